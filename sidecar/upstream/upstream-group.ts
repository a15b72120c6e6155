import type { UpstreamTraffic } from '../../contract/traffic.ts'
import type { Clock } from '../../runtime/clock.ts'
import { Balancer, PLAIN_BALANCE } from './balancer.ts'
import { ConnectionCount } from './connection-count.ts'
import { Gate, OPEN_GATE } from './gate.ts'
import { HashRing } from './hash-ring.ts'
import { DEFAULT_EJECTION, mayEjectOneMore } from './health.ts'
import type { EndpointPool } from './pool.ts'
import { DEFAULT_RETRY_BUDGET, RetryBudget } from './retry-budget.ts'
import type { UpstreamEvents } from './upstream-events.ts'
import type { UpstreamSharing } from './upstream-sharing.ts'

/** Of its endpoints at most so many percent are put aside where nobody says otherwise; the last one never is. */
const DEFAULT_MAX_EJECTED_PERCENT = 100

/** What all groups have. */
export interface UpstreamGroupDeps {
  /** Uniform in [0, 1). */
  readonly random: () => number
  readonly clock: Clock
  readonly events: UpstreamEvents
  /** Absent where this is the only worker. */
  readonly sharing?: UpstreamSharing | undefined
}

/**
 * The endpoints of one upstream, with all that is known of them and all that bounds what is asked of them. It lives as long
 * as the upstream does, whatever is pushed meanwhile.
 */
export class UpstreamGroup {
  readonly name: string
  readonly budget: RetryBudget
  readonly #deps: UpstreamGroupDeps
  readonly #count = new ConnectionCount()
  #pools: readonly EndpointPool[] = []
  #zones: readonly (string | undefined)[] = []
  #traffic: UpstreamTraffic | undefined
  #zone: string | undefined
  #balancer: Balancer<EndpointPool>
  #ring: HashRing<EndpointPool> | undefined
  #gate: Gate | undefined

  constructor(name: string, deps: UpstreamGroupDeps) {
    this.name = name
    this.#deps = deps
    this.budget = new RetryBudget(DEFAULT_RETRY_BUDGET, deps.sharing?.workers)
    this.#balancer = new Balancer([], [], PLAIN_BALANCE, deps.random)
  }

  get pools(): readonly EndpointPool[] {
    return this.#pools
  }

  /** How many of its endpoints are put aside. `nowMs` is monotonic. */
  ejected(nowMs: number): number {
    let count = 0
    for (const { health } of this.#pools) if (!health.isAvailable(nowMs)) count += 1
    return count
  }

  /** What TrafficPolicies say of it. */
  get traffic(): UpstreamTraffic | undefined {
    return this.#traffic
  }

  /** Where requests are counted and held back; undefined where nothing bounds them. */
  get gate(): Gate | undefined {
    return this.#gate
  }

  /** The newest endpoints and settings, and the zone of this proxy if it is known. */
  update(pools: readonly EndpointPool[], traffic: UpstreamTraffic | undefined, zone: string | undefined): void {
    const isSame =
      traffic === this.#traffic &&
      zone === this.#zone &&
      pools.length === this.#pools.length &&
      pools.every((pool, i) => pool === this.#pools[i] && pool.zone === this.#zones[i])
    if (isSame) return
    this.#pools = pools
    this.#zones = pools.map((pool) => pool.zone)
    this.#traffic = traffic
    this.#zone = zone
    this.budget.configure(traffic?.retryBudget ?? DEFAULT_RETRY_BUDGET)
    const { maxPercent = DEFAULT_MAX_EJECTED_PERCENT, ...ejection } = traffic?.outlier ?? DEFAULT_EJECTION_OF_ALL
    const mayEject = (nowMs: number) => mayEjectOneMore(this.#pools, maxPercent, nowMs)
    const { random, clock, events, sharing } = this.#deps
    const { maxInFlight = Number.POSITIVE_INFINITY, maxPending = 0 } = traffic?.circuitBreaker ?? OPEN_GATE
    this.#bound(traffic?.circuitBreaker?.maxConnections)
    const makeRoom = () => this.#pools.some((pool) => pool.closeIdle())
    const onEjected = () => events.ejected(this.name)
    for (const pool of pools) {
      pool.health.configure(ejection, mayEject, onEjected)
      pool.configure({ connectMs: traffic?.connectTimeoutMs, count: this.#count, makeRoom })
    }
    const near = traffic?.zone === undefined || zone === undefined ? [] : pools.filter((pool) => pool.zone === zone)
    const far = near.length === 0 ? pools : pools.filter((pool) => pool.zone !== zone)
    const settings = {
      warmUpMs: traffic?.warmUpMs ?? PLAIN_BALANCE.warmUpMs,
      spillOver: (traffic?.zone?.spillOverPercent ?? 100) / 100,
    }
    this.#balancer = new Balancer(near, far, settings, random)
    this.#ring = traffic?.hash === undefined ? undefined : new HashRing(pools)
    const isBounded = maxInFlight < Number.POSITIVE_INFINITY
    if (isBounded || this.#ring !== undefined) {
      this.#gate ??= new Gate(OPEN_GATE, sharing === undefined ? undefined : { sharing, clock, name: this.name })
    }
    this.#gate?.configure({ maxInFlight, maxPending })
  }

  /** Undefined: there is no endpoint, or no other than `except`. `hash` is of what the upstream hashes by, where it does. */
  pick(nowMs: number, except?: EndpointPool, hash?: number): EndpointPool | undefined {
    if (hash === undefined || this.#ring === undefined) return this.#balancer.pick(nowMs, except)
    return this.#ring.pick(hash, this.#gate?.inFlight ?? 0, nowMs, except)
  }

  /** The endpoint that a session is with, while it is there and not put aside. */
  ofSession(token: string, nowMs: number): EndpointPool | undefined {
    return this.#pools.find((pool) => pool.sessionToken === token && pool.isAvailable(nowMs))
  }

  /** A count in common is asked for only where there is a bound: there are not so many of them. */
  #bound(maxConnections: number | undefined): void {
    const { sharing } = this.#deps
    if (maxConnections === undefined) return this.#count.configure(Number.POSITIVE_INFINITY, undefined, 1)
    this.#count.configure(maxConnections, sharing?.countOf(`${this.name} connections`), sharing?.workers ?? 1)
  }
}

const DEFAULT_EJECTION_OF_ALL = { ...DEFAULT_EJECTION, maxPercent: DEFAULT_MAX_EJECTED_PERCENT }
