import type { Clock } from '../../runtime/clock.ts'
import type { KubernetesClient } from '../kubernetes/client.ts'
import { recordOf } from '../kubernetes/object.ts'
import { createStatusApplier, type ObserveStatus, type StatusFields } from '../status/status-applier.ts'
import { withTransitionTimes } from '../status/transition-times.ts'
import type { GatewayClassStatus } from './class-status.ts'
import type { GatewayCounters } from './counters.ts'
import type { GatewayStatus } from './gateway-status.ts'

const API_VERSION = 'gateway.networking.k8s.io/v1'

/** Writes the statuses of Gateway API's resources, where the API server has another one. */
export interface StatusWriter {
  gateway(namespace: string, name: string, status: GatewayStatus): Promise<void>
  gatewayClass(name: string, status: GatewayClassStatus): Promise<void>
  /** The resource is gone. */
  forget(kind: 'Gateway' | 'GatewayClass', namespace: string | undefined, name: string): void
}

export interface StatusWriterOptions {
  readonly client: KubernetesClient
  readonly observed: ObserveStatus
  readonly counters: GatewayCounters
  readonly clock: Clock
  readonly signal: AbortSignal
}

export function createStatusWriter({ client, observed, counters, clock, signal }: StatusWriterOptions): StatusWriter {
  const onWritten = () => counters.statuses.add()
  const applier = createStatusApplier({ client, observed, onWritten, clock, signal })
  return {
    async gateway(namespace, name, { addresses, conditions, listeners }) {
      const subject = { apiVersion: API_VERSION, kind: 'Gateway', plural: 'gateways', namespace, name }
      await applier.write(subject, (before, now) => ({
        addresses,
        conditions: withTransitionTimes(conditions, before['conditions'], now),
        listeners: listeners.map((listener) => ({
          ...listener,
          conditions: withTransitionTimes(listener.conditions, conditionsOf(before, listener.name), now),
        })),
      }))
    },
    async gatewayClass(name, { conditions, supportedFeatures }) {
      const subject = { apiVersion: API_VERSION, kind: 'GatewayClass', plural: 'gatewayclasses', name }
      await applier.write(subject, (before, now) => ({
        conditions: withTransitionTimes(conditions, before['conditions'], now),
        supportedFeatures,
      }))
    },
    forget: (kind, namespace, name) => applier.forget(kind, namespace, name),
  }
}

function conditionsOf({ listeners }: StatusFields, listener: string): unknown {
  const there = Array.isArray(listeners) ? listeners.map(recordOf) : []
  return there.find((each) => each['name'] === listener)?.['conditions']
}
