import type { EndpointsDocument } from '../../contract/endpoints.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { Log } from '../../runtime/log.ts'
import type { Pipeline } from '../compile/pipeline.ts'
import type { IdentityStore } from '../identity/identity-store.ts'
import type { Deadlines } from '../upstream/deadlines.ts'
import type { PoolDeps } from '../upstream/pool.ts'
import type { Upstreams } from '../upstream/upstreams.ts'
import type { Limits } from './limits.ts'
import type { Load } from './load.ts'
import type { Mirrors } from './mirrors.ts'
import type { Observer } from './observation.ts'
import type { OpenTunnels } from './open-tunnels.ts'
import type { Sharing } from './sharing.ts'

/** What all connections of one data plane share. */
export interface Engine {
  pipeline(): Pipeline | undefined
  endpoints(): EndpointsDocument | undefined
  readonly upstreams: Upstreams
  readonly poolDeps: PoolDeps
  readonly identity: IdentityStore
  readonly observer: Observer
  readonly clock: Clock
  readonly log: Log
  readonly limits: Limits
  /** What clients' sockets read into, one after the other. */
  readonly clientReadBuffer: Buffer
  readonly deadlines: Deadlines
  readonly load: Load
  readonly tunnels: OpenTunnels
  readonly mirrors: Mirrors
  /** Undefined where this is the only worker. */
  readonly sharing?: Sharing | undefined
  newId(): string
  /** Uniform in [0, 1). */
  random(): number
  /** True once the data plane drains: every response says `Connection: close`. */
  isDraining(): boolean
}
