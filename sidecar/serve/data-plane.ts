import type { EndpointsDocument } from '../../contract/endpoints.ts'
import type { BackendCalls } from '../../model/backend-calls.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { Log } from '../../runtime/log.ts'
import type { Pipeline } from '../compile/pipeline.ts'
import type { IdentityStore } from '../identity/identity-store.ts'
import { MeshConnections } from '../identity/mesh-connections.ts'
import type { ServingCertificates } from '../identity/serving-certificates.ts'
import { UpstreamCalls } from '../upstream/backend-calls.ts'
import { Deadlines } from '../upstream/deadlines.ts'
import type { PoolDeps } from '../upstream/pool.ts'
import { NO_UPSTREAM_EVENTS, type UpstreamEvents } from '../upstream/upstream-events.ts'
import { Upstreams } from '../upstream/upstreams.ts'
import { ConnectionTable } from './accepted.ts'
import type { Engine } from './engine.ts'
import { createGatewayPort, type GatewayGroup, gatewayGroups } from './gateway.ts'
import { createIdSource } from './ids.ts'
import { createInboundPort } from './inbound.ts'
import { LENT_READ_BYTES } from './lent-reads.ts'
import { DEFAULT_LIMITS, type Limits } from './limits.ts'
import { createLoad } from './load.ts'
import type { MemoryWatch } from './memory-watch.ts'
import { Mirrors } from './mirrors.ts'
import type { Observer } from './observation.ts'
import { OpenTunnels } from './open-tunnels.ts'
import { createProxyPort } from './outbound/proxy-port.ts'
import { createTcpPort } from './outbound/tcp-port.ts'
import type { BindAddress, Placement } from './placement.ts'
import type { Port } from './port.ts'
import type { Sharing } from './sharing.ts'
import { createStreamPort } from './stream-port.ts'
import type { TunnelAbout } from './tunnel.ts'

/** What the data plane is handed. Nothing is served before `pipeline()` returns one. */
export interface DataPlaneOptions {
  readonly placement: Placement
  /** The newest config that compiled. Read once a request. */
  pipeline(): Pipeline | undefined
  /** The newest endpoints. An upstream that is missing has none. */
  endpoints(): EndpointsDocument | undefined
  readonly identity: IdentityStore
  /** Certificates of `source: mesh` for a gateway; handshakes for a name without one fail until it has come. */
  readonly certificates?: Pick<ServingCertificates, 'get' | 'onChange'>
  readonly observer: Observer
  /** Is waited for when the last connection of a client has ended, while upstreams can be asked still. */
  beforeClose?(): Promise<void>
  /** Absent: nobody wants to know. */
  readonly upstreamEvents?: UpstreamEvents
  readonly clock: Clock
  readonly log: Log
  readonly limits?: Partial<Limits>
  /** How much memory is left; absent: it is not watched. */
  readonly memory?: MemoryWatch
  /** Uniform in [0, 1): balancing. Default `Math.random`. */
  random?(): number
  /**
   * The process that the workload's process tree starts from; undefined while the workload does not run. Connections to
   * the ports of `placement.tcp` must come from that tree (T33, T35); absent, or not on Linux, this is not checked.
   */
  appRootPid?(): number | undefined
  /** In a pod whose traffic the kernel redirects. */
  readonly capture?: Capture
  /** `namespace/pod` of this proxy: endpoints say by it which zone it is in. Absent: it is in none. */
  readonly pod?: string
  /** Where other workers listen on the same ports. Absent: this is the only one. */
  readonly sharing?: Sharing
}

/** Where captured connections arrive, and how the sidecar reaches its own pod. */
export interface Capture {
  /** What is dialled in place of an address of the pod itself; undefined for every other. */
  dialHost(address: string): string | undefined
  inboundPort(engine: Engine, table: ConnectionTable): Port
  outboundPort(engine: Engine, table: ConnectionTable): Port
}

/** What is bound, by what the placement calls it. */
export interface BoundListener {
  readonly kind: 'inbound' | 'gateway' | 'proxy' | 'tcp' | 'captured'
  /** The container port, the Gateway's listener, `proxy`, the upstream's name; `inbound` or `outbound` where captured. */
  readonly name: string
  readonly address: BindAddress
}

export interface DataPlane {
  /** Asks upstreams of the current pipeline. */
  readonly calls: BackendCalls
  /** Opens what the current pipeline has. Rejects with a {@link ListenError} (or an AggregateError of them). */
  listen(): Promise<void>
  /**
   * Call after `pipeline()` has begun to return `next`. Opens and closes the listeners that it adds and removes, and
   * judges open tunnels (TCP, WebSocket, CONNECT) again. No other socket is closed. Rejects like `listen`; what could be
   * opened is open.
   */
  apply(previous: Pipeline | undefined, next: Pipeline): Promise<void>
  /** Answers whatever comes from now on with `Connection: close`, and goes on accepting: clients are to go elsewhere (F19). */
  retire(): void
  /**
   * Stops accepting, answers with `Connection: close`, closes what is idle, and resolves when everything in flight has
   * ended; after `deadlineMs` what is left is destroyed.
   */
  drain(deadlineMs: number): Promise<void>
  listeners(): readonly BoundListener[]
  stats(): DataPlaneStats
  /** The connections that pass bytes now. */
  openTunnels(): Iterable<TunnelAbout>
  /** How many endpoints of each upstream are put aside now. */
  ejected(): ReadonlyMap<string, number>
}

/** Gauges, for metrics and tests. */
export interface DataPlaneStats {
  readonly connections: number
  readonly inFlight: number
  readonly upstreamConnections: number
  readonly upstreamIdle: number
}

interface WantedPort {
  readonly kind: BoundListener['kind']
  readonly names: readonly string[]
  make(): Port
}

interface OpenPort {
  readonly kind: BoundListener['kind']
  names: readonly string[]
  readonly port: Port
  /** Undefined while it is being bound. */
  address: BindAddress | undefined
}

/** Bytes that upstream sockets read into. */
const READ_BUFFER_BYTES = 65_536

/** The request path of a sidecar or gateway: everything between the sockets of one process. */
export function createDataPlane(options: DataPlaneOptions): DataPlane {
  const { placement, capture, identity, observer, clock, log, random = Math.random } = options
  const limits = { ...DEFAULT_LIMITS, ...options.limits }
  const deadlines = new Deadlines(clock)
  const counts = { open: 0, idle: 0 }
  const poolDeps: PoolDeps = {
    identity,
    clock,
    deadlines,
    connectMs: limits.connectMs,
    readBuffer: Buffer.allocUnsafeSlow(READ_BUFFER_BYTES),
    limits,
    counts,
    meshConnections: new MeshConnections(identity, clock),
  }
  let isRetiring = false
  let isDraining = false
  const upstreams = new Upstreams(poolDeps, random, (address) => capture?.dialHost(address), options.pod, {
    events: options.upstreamEvents ?? NO_UPSTREAM_EVENTS,
    sharing: options.sharing?.upstreams,
  })
  const engine: Engine = {
    pipeline: () => options.pipeline(),
    endpoints: () => options.endpoints(),
    upstreams,
    poolDeps,
    identity,
    observer,
    clock,
    log,
    limits,
    clientReadBuffer: Buffer.allocUnsafeSlow(LENT_READ_BYTES),
    deadlines,
    tunnels: new OpenTunnels(() => options.pipeline()),
    mirrors: new Mirrors(upstreams, clock, deadlines, random),
    sharing: options.sharing,
    load: createLoad(clock, limits, options.memory, options.sharing?.inFlight),
    newId: createIdSource(),
    random,
    isDraining: () => isDraining || isRetiring,
  }
  const calls = new UpstreamCalls({
    upstreams,
    update() {
      const pipeline = options.pipeline()
      if (pipeline !== undefined) upstreams.update(pipeline.config, options.endpoints())
      return pipeline !== undefined
    },
    clock,
    deadlines,
  })
  const table = new ConnectionTable(limits.maxConnections, options.memory, options.sharing?.connections)
  const open = new Map<string, OpenPort>()

  /** Everything that the placement has a place for and the pipeline a listener. */
  function wanted(pipeline: Pipeline): ReadonlyMap<string, WantedPort> {
    const ports = new Map<string, WantedPort>()
    for (const place of placement.inbound) {
      if (!pipeline.inbound.has(place.containerPort)) continue
      const name = String(place.containerPort)
      ports.set(`inbound ${name}`, {
        kind: 'inbound',
        names: [name],
        make: () => createInboundPort(engine, table, place),
      })
    }
    for (const group of gatewayGroups(placement.gateway, pipeline)) {
      const { certificates } = options
      const isStream = group.protocol === 'tls' || group.protocol === 'tcp'
      ports.set(`gateway ${group.key} ${group.protocol}`, {
        kind: 'gateway',
        names: group.listeners,
        make: () =>
          isStream
            ? createStreamPort(engine, table, group, { listenersOf, certificates })
            : createGatewayPort(engine, table, group, { listenersOf, certificates, visiblePort }),
      })
    }
    const { proxy } = placement
    const { services } = pipeline.config.outbound
    if (proxy !== undefined && pipeline.config.role === 'sidecar') {
      ports.set('proxy', { kind: 'proxy', names: ['proxy'], make: () => createProxyPort(engine, table, proxy) })
    }
    for (const place of placement.tcp) {
      const isDeclared = services.some(({ upstream, protocol }) => protocol === 'tcp' && upstream === place.upstream)
      if (!isDeclared) continue
      ports.set(`tcp ${place.upstream}`, {
        kind: 'tcp',
        names: [place.upstream],
        make: () => createTcpPort(engine, table, place, options.appRootPid),
      })
    }
    if (capture !== undefined) {
      for (const name of ['inbound', 'outbound'] as const) {
        ports.set(`captured ${name}`, {
          kind: 'captured',
          names: [name],
          make: () => capture[`${name}Port`](engine, table),
        })
      }
    }
    return ports
  }

  const listenersOf = ({ key }: GatewayGroup, pipeline: Pipeline): readonly string[] =>
    gatewayGroups(placement.gateway, pipeline).find((group) => group.key === key)?.listeners ?? []

  /** The port that clients dial for a port of the Gateway; itself where nobody says otherwise. */
  function visiblePort(configured: number): number {
    for (const [name, { listener }] of options.pipeline()?.gateway ?? []) {
      if (listener.port !== configured) continue
      const place = placement.gateway.find((one) => one.listener === name)
      const bound = [...open.values()].find((one) => one.kind === 'gateway' && one.names.includes(name))
      return place?.visiblePort ?? bound?.address?.port ?? configured
    }
    return configured
  }

  async function openPort(key: string, { kind, names, make }: WantedPort): Promise<void> {
    const opened: OpenPort = { kind, names, port: make(), address: undefined }
    open.set(key, opened)
    try {
      opened.address = await opened.port.listen()
    } catch (error) {
      opened.port.close()
      if (open.get(key) === opened) open.delete(key)
      throw error
    }
  }

  async function match(pipeline: Pipeline): Promise<void> {
    if (isDraining) return
    const ports = wanted(pipeline)
    for (const [key, opened] of open) {
      const still = ports.get(key)
      if (still === undefined) {
        open.delete(key)
        opened.port.close()
      } else {
        opened.names = still.names
        opened.port.refresh?.()
      }
    }
    const missing = [...ports].filter(([key]) => !open.has(key))
    const outcomes = await Promise.allSettled(missing.map(([key, port]) => openPort(key, port)))
    const failures = outcomes.flatMap((outcome) => (outcome.status === 'rejected' ? [outcome.reason] : []))
    if (failures.length === 1) throw failures[0]
    if (failures.length > 1) throw new AggregateError(failures, failures.map(String).join('; '))
  }

  return {
    calls,
    async listen() {
      const pipeline = options.pipeline()
      if (pipeline !== undefined) await match(pipeline)
    },
    async apply(_previous, next) {
      engine.upstreams.update(next.config, options.endpoints())
      engine.tunnels.judgeAgain(next)
      await match(next)
    },
    retire() {
      isRetiring = true
    },
    async drain(deadlineMs) {
      isDraining = true
      for (const { port } of open.values()) port.close()
      open.clear()
      table.drain()
      if (deadlineMs === 0) table.destroy()
      const cancel = clock.setTimer(deadlineMs, () => table.destroy())
      await table.whenEmpty()
      cancel()
      await options.beforeClose?.()
      engine.mirrors.close()
      calls.close()
      engine.upstreams.close()
      engine.load.stop()
    },
    listeners: () =>
      [...open.values()].flatMap(({ kind, names, address }) =>
        address === undefined ? [] : names.map((name) => ({ kind, name, address })),
      ),
    stats: () => ({
      connections: table.size,
      inFlight: engine.load.inFlight,
      upstreamConnections: counts.open,
      upstreamIdle: counts.idle,
    }),
    openTunnels: () => engine.tunnels.about(),
    ejected: () => upstreams.ejected(),
  }
}
