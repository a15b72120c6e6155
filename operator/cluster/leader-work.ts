import type { SpiffeId } from '../../model/spiffe-id.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { Log } from '../../runtime/log.ts'
import type { Core } from '../core.ts'
import { type GatewayController, runGatewayController } from '../gateways/controller.ts'
import type { GatewayCounters } from '../gateways/counters.ts'
import type { GatewaySettings } from '../gateways/objects.ts'
import type { Authority } from '../identity/authority.ts'
import type { Member } from '../identity/rotation/advance.ts'
import type { RootRotation } from '../identity/rotation/root-rotation.ts'
import { trustAnchorsOf } from '../identity/trust-anchors.ts'
import type { KubernetesClient } from '../kubernetes/client.ts'
import type { Events } from '../kubernetes/events.ts'
import type { ReflectorMetrics } from '../kubernetes/reflector-metrics.ts'
import type { KubernetesSource } from '../sources/kubernetes.ts'
import { type KubernetesStatus, runKubernetesStatus, type StatusMetrics } from '../status/kubernetes-status.ts'
import type { UnmeshedPod } from '../status/unmeshed-pods.ts'
import type { Store } from '../store/store.ts'
import { keepMetricsClient } from './metrics-client.ts'
import { keepTrustAnchors, type TrustAnchors } from './trust-anchors.ts'
import { createUnmeshedEvents } from './unmeshed.ts'

/** What the operator that leads does beside what every one does, for as long as it leads. */
export interface LeaderWork {
  /** Anything may have changed. Called often: each part gathers. */
  touch(): void
  /** Where pods learn whom to trust. */
  anchors(): readonly Member[]
  /** Resolves when the signal has ended it and nothing runs any more. */
  readonly done: Promise<void>
}

export interface LeaderWorkOptions {
  readonly client: KubernetesClient
  readonly store: Store
  readonly source: KubernetesSource
  readonly core: Core
  readonly authority: Authority
  readonly rotation: RootRotation
  readonly events: Events
  readonly gatewaySettings: GatewaySettings
  /** Who is given a certificate for reading metrics; undefined: nobody. */
  readonly metricsClient: SpiffeId | undefined
  readonly unmeshed: () => readonly UnmeshedPod[]
  readonly statusMetrics: StatusMetrics
  readonly gatewayCounters: GatewayCounters
  readonly reflectorMetrics: ReflectorMetrics
  readonly clock: Clock
  /** Uniform in [0, 1). */
  readonly random: () => number
  readonly log: Log
  /** Ends the work: this operator leads no more, or ends. */
  readonly signal: AbortSignal
}

/** Milliseconds between two looks for pods without a sidecar, when anything changed. */
const UNMESHED_MS = 1_000

export function runLeaderWork(options: LeaderWorkOptions): LeaderWork {
  const { client, authority, metricsClient, unmeshed, events, clock, log, signal } = options
  const status = startStatus(options)
  const gateways = startGateways(options)
  const anchors = startTrustAnchors(options)
  const certificates =
    metricsClient === undefined
      ? Promise.resolve()
      : keepMetricsClient({ client, authority, spiffeId: metricsClient, clock, log, signal })
  const tellUnmeshed = createUnmeshedEvents((event) => events.record(event))
  let isLooking = false
  const lookForUnmeshed = () => {
    if (isLooking) return
    isLooking = true
    const look = () => {
      isLooking = false
      tellUnmeshed(unmeshed())
    }
    clock.setTimer(UNMESHED_MS, look, { signal, keepAlive: false })
  }
  const stopAnchors = authority.onChange(() => anchors.touch())
  signal.addEventListener('abort', stopAnchors, { once: true })
  lookForUnmeshed()
  return {
    touch() {
      status.touch()
      gateways.touch()
      anchors.touch()
      lookForUnmeshed()
    },
    anchors: anchors.members,
    done: Promise.all([status.done, gateways.done, anchors.done, certificates]).then(() => undefined),
  }
}

function startStatus(options: LeaderWorkOptions): KubernetesStatus {
  const { client, store, source, core, rotation, events, statusMetrics, clock, random, log, signal } = options
  return runKubernetesStatus({
    client,
    world: {
      snapshot: () => store.snapshot(),
      statuses: (kinds) => core.operation.statuses(kinds),
      issuers: () => core.issuerKeys.states(),
      certificateAuthority: () => rotation.status(),
      observed: source.observed,
      onObserved: source.onObserved,
    },
    events,
    metrics: statusMetrics,
    clock,
    random,
    log,
    signal,
  })
}

function startGateways(options: LeaderWorkOptions): GatewayController {
  const { client, store, source, core, events, gatewaySettings, gatewayCounters, clock, random, log, signal } = options
  return runGatewayController({
    client,
    world: {
      snapshot: () => store.snapshot(),
      gateways: () => core.operation.translation()?.gateways,
      statuses: (kinds) => core.operation.statuses(kinds),
      observed: source.observed,
    },
    settings: gatewaySettings,
    events,
    counters: gatewayCounters,
    clock,
    random,
    log,
    signal,
  })
}

function startTrustAnchors(options: LeaderWorkOptions): TrustAnchors {
  const { client, store, authority, reflectorMetrics, clock, random, log, signal } = options
  return keepTrustAnchors({
    client,
    snapshot: () => store.snapshot(),
    roots: () => trustAnchorsOf(authority.trustBundle()),
    counters: reflectorMetrics.of('ConfigMap'),
    clock,
    random,
    log,
    signal,
  })
}
