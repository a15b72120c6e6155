import type { UpstreamTraffic } from '../../contract/traffic.ts'
import { Balancer, PLAIN_BALANCE } from './balancer.ts'
import { Gate, OPEN_GATE } from './gate.ts'
import { HashRing } from './hash-ring.ts'
import { DEFAULT_EJECTION, mayEjectOneMore } from './health.ts'
import type { EndpointPool } from './pool.ts'
import { DEFAULT_RETRY_BUDGET, RetryBudget } from './retry-budget.ts'

/** Of its endpoints at most so many percent are put aside where nobody says otherwise; the last one never is. */
const DEFAULT_MAX_EJECTED_PERCENT = 100

/**
 * The endpoints of one upstream, with all that is known of them and all that bounds what is asked of them. It lives as long
 * as the upstream does, whatever is pushed meanwhile.
 */
export class UpstreamGroup {
  readonly name: string
  readonly budget = new RetryBudget()
  readonly #random: () => number
  #pools: readonly EndpointPool[] = []
  #zones: readonly (string | undefined)[] = []
  #traffic: UpstreamTraffic | undefined
  #zone: string | undefined
  #balancer: Balancer<EndpointPool>
  #ring: HashRing<EndpointPool> | undefined
  #gate: Gate | undefined

  constructor(name: string, random: () => number) {
    this.name = name
    this.#random = random
    this.#balancer = new Balancer([], [], PLAIN_BALANCE, random)
  }

  get pools(): readonly EndpointPool[] {
    return this.#pools
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
    const mayOpen = traffic?.circuitBreaker?.maxConnections === undefined ? undefined : () => this.#mayOpen()
    for (const pool of pools) {
      pool.health.configure(ejection, mayEject)
      pool.configure({ connectMs: traffic?.connectTimeoutMs, mayOpen })
    }
    const near = traffic?.zone === undefined || zone === undefined ? [] : pools.filter((pool) => pool.zone === zone)
    const far = near.length === 0 ? pools : pools.filter((pool) => pool.zone !== zone)
    const settings = {
      warmUpMs: traffic?.warmUpMs ?? PLAIN_BALANCE.warmUpMs,
      spillOver: (traffic?.zone?.spillOverPercent ?? 100) / 100,
    }
    this.#balancer = new Balancer(near, far, settings, this.#random)
    this.#ring = traffic?.hash === undefined ? undefined : new HashRing(pools)
    const { maxInFlight = Number.POSITIVE_INFINITY, maxPending = 0 } = traffic?.circuitBreaker ?? OPEN_GATE
    if (maxInFlight < Number.POSITIVE_INFINITY || this.#ring !== undefined) this.#gate ??= new Gate()
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

  /** Room for one more connection: where there is none, one that nobody uses goes. */
  #mayOpen(): boolean {
    const most = this.#traffic?.circuitBreaker?.maxConnections ?? Number.POSITIVE_INFINITY
    let open = 0
    for (const pool of this.#pools) open += pool.connections
    return open < most || this.#pools.some((pool) => pool.closeIdle())
  }
}

const DEFAULT_EJECTION_OF_ALL = { ...DEFAULT_EJECTION, maxPercent: DEFAULT_MAX_EJECTED_PERCENT }
