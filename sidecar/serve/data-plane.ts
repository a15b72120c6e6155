import type { EndpointsDocument } from '../../contract/endpoints.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { Log } from '../../runtime/log.ts'
import type { Pipeline } from '../compile/pipeline.ts'
import type { KeyedCertificate } from '../identity/identity.ts'
import type { IdentityStore } from '../identity/identity-store.ts'
import type { Limits } from './limits.ts'
import type { Observer } from './observation.ts'
import type { BindAddress, Placement } from './placement.ts'

/** What the data plane is handed. Nothing is served before `pipeline()` returns one. */
export interface DataPlaneOptions {
  readonly placement: Placement
  /** The newest config that compiled. Read once a request. */
  pipeline(): Pipeline | undefined
  /** The newest endpoints. An upstream that is missing has none. */
  endpoints(): EndpointsDocument | undefined
  readonly identity: IdentityStore
  /** Certificates of `source: mesh` for a gateway. */
  readonly certificates?: ServingCertificates
  readonly observer: Observer
  readonly clock: Clock
  readonly log: Log
  readonly limits?: Partial<Limits>
  /** Uniform in [0, 1): balancing and weights. Default `Math.random`. */
  random?(): number
  /**
   * The process that the workload's process tree starts from; undefined while the workload does not run. Connections to
   * the ports of `placement.tcp` must come from that tree (T33, T35); absent, or not on Linux, this is not checked.
   */
  appRootPid?(): number | undefined
}

/** Certificates that the gateway has from the mesh's own CA. */
export interface ServingCertificates {
  /** Undefined: not there yet; handshakes for that name fail until it is. */
  get(hostname: string): Pick<KeyedCertificate, 'privateKey' | 'chain'> | undefined
  /** Calls `listener` after a certificate came or was renewed. Returns how to stop that. */
  onChange(listener: () => void): () => void
}

/** What is bound, by what the placement calls it. */
export interface BoundListener {
  readonly kind: 'inbound' | 'gateway' | 'proxy' | 'tcp'
  /** The container port, the Gateway's listener, `proxy`, or the upstream's name. */
  readonly name: string
  readonly address: BindAddress
}

/** A listener that could not be bound: the message names the address. */
export class ListenError extends Error {
  override readonly name = 'ListenError'
  readonly address: BindAddress

  constructor(address: BindAddress, cause: NodeJS.ErrnoException) {
    super(
      `cannot listen on ${address.host}:${address.port}: ${cause.code === 'EADDRINUSE' ? 'the port is taken' : cause.message}`,
      { cause },
    )
    this.address = address
  }
}

export interface DataPlane {
  /** Opens what the current pipeline has. Rejects with a {@link ListenError} (or an AggregateError of them). */
  listen(): Promise<void>
  /**
   * Call after `pipeline()` has begun to return `next`. Opens and closes the listeners that it adds and removes, and
   * judges open TCP connections again. No other socket is closed. Rejects like `listen`; what could be opened is open.
   */
  apply(previous: Pipeline | undefined, next: Pipeline): Promise<void>
  /**
   * Stops accepting, answers with `Connection: close`, closes what is idle, and resolves when everything in flight has
   * ended; at `deadlineMs` what is left is destroyed.
   */
  drain(deadlineMs: number): Promise<void>
  listeners(): readonly BoundListener[]
  stats(): DataPlaneStats
}

/** Gauges, for metrics and tests. */
export interface DataPlaneStats {
  readonly connections: number
  readonly inFlight: number
  readonly upstreamConnections: number
  readonly upstreamIdle: number
}

export type CreateDataPlane = (options: DataPlaneOptions) => DataPlane
