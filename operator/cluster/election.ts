import { readIpAddress } from '../../model/match/ip-address.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { Log } from '../../runtime/log.ts'
import type { Metrics } from '../../runtime/metrics.ts'
import type { KubernetesClient } from '../kubernetes/client.ts'
import { type Leadership, type LeaseHolder, runLeaderElection } from '../kubernetes/leader.ts'
import type { ReplicaAddress } from '../replicas/replica-client.ts'
import { OPERATOR_SERVICE_ACCOUNT, SYSTEM_NAMESPACE } from '../translate/gateways.ts'

/** On the Lease: where the operator that holds it takes sessions, those of other operators among them. */
export const ADDRESS_ANNOTATION = 'hauberk.dev/address'

/** The operator that leads. */
export interface Leader {
  /** The name of its pod. */
  readonly pod: string
  /** Undefined: the Lease does not say. */
  readonly address: ReplicaAddress | undefined
}

export interface ElectionOptions {
  readonly client: KubernetesClient
  readonly pod: { readonly name: string; readonly uid: string }
  /** Where this one takes sessions. */
  readonly address: ReplicaAddress
  /** Runs while this operator leads, and resolves soon after the signal aborts. */
  readonly lead: (leadership: Leadership) => Promise<void>
  /** Another operator leads from now on, or nobody; undefined also while this one does. */
  readonly onOther: (leader: Leader | undefined) => void
  readonly clock: Clock
  /** Uniform in [0, 1). */
  readonly random: () => number
  readonly log: Log
  readonly metrics: Metrics
  readonly signal: AbortSignal
}

export interface Election {
  /** Whether this operator may act as the one that leads, now. */
  leads(): boolean
  /** The pod that leads, as the Lease says. */
  leader(): string | undefined
  /** Resolves when the signal has ended it and the lease is given back. */
  readonly done: Promise<void>
}

/** One of the operators leads: by the Lease `hauberk-system/hauberk-operator`. */
export function runElection(options: ElectionOptions): Election {
  const { client, pod, address, lead, onOther, clock, random, log, metrics, signal } = options
  const identity = `${pod.name}_${pod.uid}`
  let leadership: Leadership | undefined
  let leader: Leader | undefined
  const done = runLeaderElection({
    client,
    namespace: SYSTEM_NAMESPACE,
    name: OPERATOR_SERVICE_ACCOUNT,
    identity,
    annotations: { [ADDRESS_ANNOTATION]: formatAddress(address) },
    async onLeading(given) {
      leadership = given
      log.info('this operator leads')
      try {
        await lead(given)
      } finally {
        leadership = undefined
        log.info('this operator leads no more')
      }
    },
    onObserved(holder) {
      leader = holder && leaderOf(holder)
      onOther(holder === undefined || holder.identity === identity ? undefined : leader)
    },
    clock,
    random,
    log,
    metrics,
    signal,
  })
  return {
    leads: () => leadership?.isHeld() === true && !leadership.signal.aborted,
    leader: () => leader?.pod,
    done,
  }
}

function leaderOf({ identity, annotations }: LeaseHolder): Leader {
  return { pod: identity.split('_', 1)[0] ?? '', address: parseAddress(annotations[ADDRESS_ANNOTATION] ?? '') }
}

export function formatAddress({ host, port }: ReplicaAddress): string {
  return `${host.includes(':') ? `[${host}]` : host}:${port}`
}

/** Undefined for what is no IP address with a port. */
export function parseAddress(text: string): ReplicaAddress | undefined {
  const [, six, four, digits = ''] = /^(?:\[([0-9a-f:.]+)\]|([0-9.]+)):(\d{1,5})$/i.exec(text) ?? []
  const host = six ?? four
  const port = Number(digits)
  if (host === undefined || readIpAddress(host) === undefined || port < 1 || port > 65_535) return undefined
  return { host, port }
}
