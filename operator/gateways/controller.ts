import { resourceKey } from '../../model/resource.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { Log } from '../../runtime/log.ts'
import type { KubernetesClient } from '../kubernetes/client.ts'
import { KubernetesError } from '../kubernetes/errors.ts'
import type { Events } from '../kubernetes/events.ts'
import { createWorkQueue } from '../kubernetes/queue.ts'
import type { ReportedStatus } from '../operation.ts'
import type { ObserveStatus } from '../status/status-applier.ts'
import type { Snapshot } from '../store/snapshot.ts'
import type { GatewayFacts } from '../translate/gateways.ts'
import { createBundleVersions } from './bundle-versions.ts'
import { gatewayClassStatus } from './class-status.ts'
import type { GatewayCounters } from './counters.ts'
import { gatewayStatus, type ObjectsStanding } from './gateway-status.ts'
import { createKeeper, NotOursError } from './keeper.ts'
import { runMirror } from './mirror.ts'
import type { GatewaySettings } from './objects.ts'
import { objectsStanding } from './standing.ts'
import { createStatusWriter } from './status-writer.ts'

/** Milliseconds that changes are gathered: a push is acknowledged by many pods at nearly the same time. */
const GATHER_MS = 100

/** Milliseconds until what is not known yet is asked for again. */
const NOT_YET_MS = 500

/** What the controller acts upon: the newest of everything, asked for each time. */
export interface GatewayWorld {
  /** Everything that was read. */
  snapshot(): Snapshot
  /** Every Gateway of ours; undefined until the first translation. */
  gateways(): readonly GatewayFacts[] | undefined
  /** What is reported of resources of these kinds, and what their pods acknowledged. */
  statuses(kinds: ReadonlySet<string>): readonly ReportedStatus[]
  /** The status that the API server has, as far as it was seen. */
  readonly observed: ObserveStatus
}

export interface GatewayControllerOptions {
  readonly client: KubernetesClient
  readonly world: GatewayWorld
  readonly settings: GatewaySettings
  readonly events: Pick<Events, 'record'>
  readonly counters: GatewayCounters
  readonly clock: Clock
  /** Uniform in [0, 1). */
  readonly random: () => number
  readonly log: Log
  /** Ends the work: this operator leads no more, or ends. */
  readonly signal: AbortSignal
}

/** Keeps the objects of every Gateway, and writes the statuses of Gateways and GatewayClasses. One in a cluster: the leader's. */
export interface GatewayController {
  /** Something that a Gateway depends on may have changed. Called often: it gathers. */
  touch(): void
  /** Resolves when the signal has ended it and nothing runs any more. */
  readonly done: Promise<void>
}

/**
 * Level-based: a Gateway is a name in a queue, and what is done for it follows from how everything is by then. Nothing is
 * deleted that does not carry our labels, nor for a Gateway that the API server still has.
 */
export function runGatewayController(options: GatewayControllerOptions): GatewayController {
  const { client, world, settings, events, counters, clock, random, log, signal } = options
  const mirror = runMirror({ client, onChange: (gateway) => void queue.add(gateway), clock, random, log, signal })
  const keeper = createKeeper({ client, mirror, snapshot: () => world.snapshot(), settings, counters, log, signal })
  const { observed } = world
  const statuses = createStatusWriter({ client, observed, counters, clock, signal })
  const bundleVersions = createBundleVersions(client, clock, signal)
  /** By key of the resource, as of the last touch. */
  let reported: ReadonlyMap<string, ReportedStatus> = new Map()
  let cancel: (() => void) | undefined

  const queue = createWorkQueue({
    work: (key) => (key.startsWith(CLASS_PREFIX) ? workOnClass(key.slice(CLASS_PREFIX.length)) : workOnGateway(key)),
    onFailure(key, err, attempt) {
      counters.failures.add()
      const facts = { err, 'hauberk.gateway': key, 'hauberk.attempt': attempt }
      log.warn('a gateway could not be kept as it should be', facts)
    },
    onOverflow: () => touch(),
    clock,
    random,
    signal,
  })

  const workOnGateway = async (key: string): Promise<number | undefined> => {
    const gateways = world.gateways()
    if (gateways === undefined || !mirror.hasSynced()) return NOT_YET_MS
    const facts = gateways.find(({ namespace, name }) => `${namespace}/${name}` === key)
    if (facts === undefined) {
      await keeper.collect(key)
      return undefined
    }
    try {
      await keeper.keep(facts)
    } catch (error) {
      const problem = problemOf(error)
      if (problem !== undefined) {
        tell(facts, problem.message)
        await writeStatus(facts, problem)
      }
      throw error
    }
    await writeStatus(facts)
    return undefined
  }

  const writeStatus = async (facts: GatewayFacts, problem?: ObjectsStanding['problem']) => {
    const { namespace, name } = facts
    const found = reported.get(resourceKey('Gateway', namespace, name))
    if (found === undefined) return
    const key = `${namespace}/${name}`
    const standing = objectsStanding(keeper.wanted(facts), mirror.objects(key), mirror.pods(key))
    const objects = problem === undefined ? standing : { ...standing, made: false, problem }
    await statuses.gateway(namespace, name, gatewayStatus(found.report, found.status, objects))
  }

  const workOnClass = async (name: string): Promise<undefined> => {
    const found = reported.get(resourceKey('GatewayClass', undefined, name))
    if (found !== undefined) {
      await statuses.gatewayClass(name, gatewayClassStatus(found.report, await bundleVersions()))
    }
  }

  const tell = ({ resource, namespace, name }: GatewayFacts, note: string) => {
    const { apiVersion, kind, metadata } = resource
    const regarding = { apiVersion, kind, namespace, name, ...(metadata.uid !== undefined && { uid: metadata.uid }) }
    events.record({ regarding, type: 'Warning', reason: 'GatewayNotMade', note })
  }

  const refresh = () => {
    cancel = undefined
    const gateways = world.gateways()
    if (signal.aborted || gateways === undefined) return
    const before = reported
    reported = statusesOf(world)
    for (const [key, { report }] of before) {
      const { kind, namespace, name } = report
      if (!reported.has(key)) statuses.forget(kind as 'Gateway' | 'GatewayClass', namespace, name)
    }
    const keys = new Set([...gateways.map(({ namespace, name }) => `${namespace}/${name}`), ...mirror.gateways()])
    for (const key of keys) queue.add(key)
    for (const { report } of reported.values()) {
      if (report.kind === 'GatewayClass') queue.add(CLASS_PREFIX + report.name)
    }
  }
  const touch = () => {
    cancel ??= clock.setTimer(GATHER_MS, refresh)
  }
  signal.addEventListener('abort', () => cancel?.(), { once: true })
  touch()
  return { touch, done: Promise.all([queue.done, mirror.done]).then(() => undefined) }
}

/** Begins no Gateway's key: those begin with a namespace. */
const CLASS_PREFIX = '/'

const KINDS: ReadonlySet<string> = new Set(['Gateway', 'GatewayClass'])

function statusesOf(world: GatewayWorld): ReadonlyMap<string, ReportedStatus> {
  return new Map(
    world.statuses(KINDS).map((each) => {
      const { kind, namespace, name } = each.report
      return [resourceKey(kind, namespace, name), each]
    }),
  )
}

/** Something that a person has to mend; not that the API server is away. */
function problemOf(error: unknown): ObjectsStanding['problem'] {
  if (error instanceof NotOursError) return { reason: 'Invalid', message: error.message }
  if (!(error instanceof KubernetesError) || ![400, 403, 422].includes(error.status)) return undefined
  return { reason: 'Invalid', message: `The API server does not take what it needs: ${error.message}` }
}
