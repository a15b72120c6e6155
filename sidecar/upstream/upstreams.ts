import { createHash } from 'node:crypto'
import { MESH_ALPN } from '../../contract/alpn.ts'
import type { Endpoint, EndpointsDocument } from '../../contract/endpoints.ts'
import type { Upstream, WorkloadConfig } from '../../contract/workload-config.ts'
import type { SpiffeId } from '../../model/spiffe-id.ts'
import type { Target } from './connect.ts'
import { isLoopback, isNeverOutside, type OutsideTarget } from './outside.ts'
import { EndpointPool, type PoolDeps } from './pool.ts'
import { NO_UPSTREAM_EVENTS, type UpstreamEvents } from './upstream-events.ts'
import { UpstreamGroup, type UpstreamGroupDeps } from './upstream-group.ts'

/** Destinations outside the mesh that are remembered at once; the oldest is forgotten first. */
const MAX_OUTSIDE = 256

/**
 * The upstreams of the newest config with the newest endpoints. What did not change keeps its connections and its health,
 * whatever else was pushed.
 */
export class Upstreams {
  readonly #deps: PoolDeps
  readonly #groupDeps: UpstreamGroupDeps
  readonly #dialHost: (address: string) => string | undefined
  readonly #ownPod: string
  /** What is done about upstreams that do not do as they should is told here. */
  readonly events: UpstreamEvents
  #groups = new Map<string, UpstreamGroup>()
  #pools = new Map<string, EndpointPool>()
  readonly #outside = new Map<string, UpstreamGroup>()
  #config: WorkloadConfig | undefined
  #endpoints: EndpointsDocument | undefined

  /**
   * `dialHost` says what is dialled in place of an address; undefined: the address itself. `ownPod` is `namespace/pod` of this
   * proxy: by it the endpoints say which zone it is in.
   */
  constructor(
    deps: PoolDeps,
    random: () => number,
    dialHost: (address: string) => string | undefined = () => undefined,
    ownPod = '',
    more: Omit<UpstreamGroupDeps, 'random' | 'clock'> = { events: NO_UPSTREAM_EVENTS },
  ) {
    this.#deps = deps
    this.events = more.events
    this.#groupDeps = { random, clock: deps.clock, ...more }
    this.#dialHost = dialHost
    this.#ownPod = ownPod
  }

  /** Brings the groups up to date; two comparisons when nothing came. */
  update(config: WorkloadConfig, endpoints: EndpointsDocument | undefined): void {
    if (config === this.#config && endpoints === this.#endpoints) return
    if (config !== this.#config) this.#forgetOutside()
    this.#config = config
    this.#endpoints = endpoints
    const groups = new Map<string, UpstreamGroup>()
    const pools = new Map<string, EndpointPool>()
    const zones = endpoints?.zones ?? {}
    const zone = Object.hasOwn(zones, this.#ownPod) ? zones[this.#ownPod] : undefined
    const nowMs = this.#deps.clock.monotonic()
    for (const [name, upstream] of Object.entries(config.upstreams)) {
      const known = membersOf(name, upstream, endpoints)
      const members = known.map(({ address, port, pod, zone: its }) => {
        const key = poolKey(name, upstream, address, port)
        const pool =
          pools.get(key) ??
          this.#pools.get(key) ??
          new EndpointPool(this.#targetOf(upstream, address, port), this.#deps, {
            sinceMs: nowMs,
            sessionToken: sessionTokenOf(pod),
          })
        pool.zone = its
        pools.set(key, pool)
        return pool
      })
      const group = this.#groups.get(name) ?? new UpstreamGroup(name, this.#groupDeps)
      group.update(members, upstream.traffic, zone)
      groups.set(name, group)
    }
    for (const [key, pool] of this.#pools) if (!pools.has(key)) pool.close()
    this.#groups = groups
    this.#pools = pools
  }

  get(name: string): UpstreamGroup | undefined {
    return this.#groups.get(name) ?? this.#outside.get(name)
  }

  /** The one endpoint of an upstream that has this address; undefined: it has none such now. */
  endpoint(name: string, address: string, port: number): EndpointPool | undefined {
    return this.#groups
      .get(name)
      ?.pools.find(({ target }) => target.kind !== 'unix' && target.host === address && target.port === port)
  }

  /** The upstream for a destination outside the mesh, known as `name` until the config changes. */
  outside(name: string, target: OutsideTarget): UpstreamGroup {
    const known = this.#outside.get(name)
    if (known !== undefined) return known
    if (this.#outside.size >= MAX_OUTSIDE) {
      const [oldest, group] = this.#outside.entries().next().value!
      this.#outside.delete(oldest)
      for (const pool of group.pools) pool.close()
    }
    const group = new UpstreamGroup(name, this.#groupDeps)
    group.update([new EndpointPool(target, this.#deps)], undefined, undefined)
    this.#outside.set(name, group)
    return group
  }

  /** How many endpoints of each upstream are put aside. */
  ejected(): ReadonlyMap<string, number> {
    const nowMs = this.#deps.clock.monotonic()
    return new Map([...this.#groups].map(([name, group]) => [name, group.ejected(nowMs)]))
  }

  close(): void {
    for (const pool of this.#pools.values()) pool.close()
    this.#forgetOutside()
  }

  #targetOf(upstream: Upstream, host: string, port: number): Target {
    if (upstream.tls !== 'https') return targetOf(upstream, host, port, this.#dialHost(host))
    // Whoever is there proves by its certificate that the name is its own: no workload of the mesh can.
    const allows = (address: string) => !isNeverOutside(address) && (address === host || !isLoopback(address))
    return { kind: 'outside', host, port, tls: true, allows }
  }

  #forgetOutside(): void {
    for (const { pools } of this.#outside.values()) for (const pool of pools) pool.close()
    this.#outside.clear()
  }
}

/** Where an upstream is reached. One outside of the mesh has a name, which is looked up when it is dialled. */
function membersOf(
  name: string,
  { tls, host, port }: Upstream,
  document: EndpointsDocument | undefined,
): readonly Endpoint[] {
  if (tls === 'https') return host === undefined ? [] : [{ address: host, port, pod: '' }]
  return document !== undefined && Object.hasOwn(document.endpoints, name) ? document.endpoints[name]! : []
}

/** The same at every replica of a gateway. The name of a pod is part random, so nobody finds it by trying. */
function sessionTokenOf(pod: string): string {
  return createHash('sha256').update(pod).digest('base64url').slice(0, 22)
}

/** All that a connection depends on: another expectation of who is there is another pool. */
function poolKey(name: string, upstream: Upstream, address: string, port: number): string {
  const { tls, protocol, appProtocol, spiffeIds } = upstream
  return JSON.stringify([name, tls, protocol, appProtocol, [...spiffeIds].sort(), address, port])
}

function targetOf(
  { tls, protocol, appProtocol, spiffeIds }: Upstream,
  host: string,
  port: number,
  dialHost: string | undefined,
): Target {
  if (tls === 'plaintext') return { kind: 'plain', host, port, speaks: appProtocol }
  return {
    kind: 'mesh',
    host,
    port,
    // The contract carries them as plain text; a peer's own id is parsed, so a malformed one here equals none.
    spiffeIds: new Set(spiffeIds as SpiffeId[]),
    // A sidecar that does not read HTTP/2 yet carries it to its application as bytes (F20).
    alpn: protocol === 'tcp' || appProtocol !== undefined ? MESH_ALPN.tcp : MESH_ALPN.http,
    speaks: appProtocol,
    ...(dialHost === undefined ? {} : { dialHost }),
  }
}
