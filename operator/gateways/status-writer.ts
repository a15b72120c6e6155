import { canonicalJson } from '../../contract/codec.ts'
import type { Clock } from '../../runtime/clock.ts'
import { applyObject } from '../kubernetes/apply.ts'
import type { KubernetesClient } from '../kubernetes/client.ts'
import { recordOf } from '../kubernetes/object.ts'
import { withTransitionTimes } from '../status/transition-times.ts'
import type { GatewayClassStatus } from './class-status.ts'
import type { GatewayCounters } from './counters.ts'
import type { GatewayStatus, StatusCondition } from './gateway-status.ts'

/** Owner of the fields of every status that the operator writes. */
const STATUS_MANAGER = 'hauberk-operator'

const API_VERSION = 'gateway.networking.k8s.io/v1'

/** Writes the statuses of Gateway API's resources, where the API server has another one. */
export interface StatusWriter {
  gateway(namespace: string, name: string, status: GatewayStatus): Promise<void>
  gatewayClass(name: string, status: GatewayClassStatus): Promise<void>
  /** The resource is gone. */
  forget(kind: 'Gateway' | 'GatewayClass', namespace: string | undefined, name: string): void
}

/** What the API server has, as far as it was seen. It is late: a write may not be in it yet. */
export type ObserveStatus = (
  kind: string,
  namespace: string | undefined,
  name: string,
) => { readonly resourceVersion: string; readonly status: unknown } | undefined

export interface StatusWriterOptions {
  readonly client: KubernetesClient
  readonly observed: ObserveStatus
  readonly counters: GatewayCounters
  readonly clock: Clock
  readonly signal: AbortSignal
}

type Fields = Readonly<Record<string, unknown>>

export function createStatusWriter({ client, observed, counters, clock, signal }: StatusWriterOptions): StatusWriter {
  /** What was written last, and which version came of it. It counts until that version or a later one is seen. */
  const written = new Map<string, { readonly resourceVersion: string; readonly status: Fields }>()

  const write = async (
    { kind, plural, namespace, name }: { kind: string; plural: string; namespace: string | undefined; name: string },
    make: (before: Fields, nowMs: number) => Fields,
  ) => {
    const key = keyOf(kind, namespace, name)
    const seen = observed(kind, namespace, name)
    const own = written.get(key)
    const isLate = own !== undefined && (seen === undefined || isOlder(seen.resourceVersion, own.resourceVersion))
    const before = isLate ? own.status : recordOf(seen?.status)
    const status = make(before, clock.now())
    if (holds(before, status)) return
    const metadata = { name, ...(namespace !== undefined && { namespace }) }
    const { metadata: result } = await applyObject(
      client,
      { apiVersion: API_VERSION, kind, metadata, status },
      { plural, fieldManager: STATUS_MANAGER, subresource: 'status', force: true, signal },
    )
    counters.statuses.add()
    written.set(key, { resourceVersion: result.resourceVersion ?? '', status })
  }

  return {
    async gateway(namespace, name, { addresses, conditions, listeners }) {
      await write({ kind: 'Gateway', plural: 'gateways', namespace, name }, (before, now) => ({
        addresses,
        conditions: withTransitionTimes(conditions, before['conditions'], now),
        listeners: listeners.map((listener) => ({
          ...listener,
          conditions: withTransitionTimes(listener.conditions, conditionsOf(before, listener.name), now),
        })),
      }))
    },
    async gatewayClass(name, { conditions, supportedFeatures }) {
      const resource = { kind: 'GatewayClass', plural: 'gatewayclasses', namespace: undefined, name }
      await write(resource, (before, now) => ({
        conditions: withTransitionTimes(conditions, before['conditions'], now),
        supportedFeatures,
      }))
    },
    forget(kind, namespace, name) {
      written.delete(keyOf(kind, namespace, name))
    },
  }
}

/** Versions of one kind are whole numbers that grow (KEP-5504). What is none is not compared. */
function isOlder(version: string, other: string): boolean {
  if (!/^\d{1,20}$/.test(version) || !/^\d{1,20}$/.test(other)) return false
  return BigInt(version) < BigInt(other)
}

function keyOf(kind: string, namespace: string | undefined, name: string): string {
  return `${kind}/${namespace ?? ''}/${name}`
}

function conditionsOf(status: Fields, listener: string): unknown {
  return recordOf(list(status['listeners']).find((each) => recordOf(each)['name'] === listener))['conditions']
}

/** Whether a status has all of another one. Conditions of others are none of ours; the order of maps is nobody's. */
function holds(before: Fields, status: Fields): boolean {
  return Object.entries(status).every(([field, value]) => {
    const there = list(before[field])
    if (field !== 'conditions') return normal(there) === normal(list(value))
    const own = new Set((value as readonly StatusCondition[]).map(({ type }) => type))
    return normal(there.filter((each) => own.has(String(recordOf(each)['type'])))) === normal(list(value))
  })
}

function normal(entries: readonly unknown[]): string {
  const texts = entries.map((entry) => {
    const fields = recordOf(entry)
    const { conditions } = fields
    return conditions === undefined
      ? canonicalJson(entry)
      : canonicalJson({ ...fields, conditions: normal(list(conditions)) })
  })
  return texts.sort().join('\n')
}

function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : []
}
