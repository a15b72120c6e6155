import type { SharedCount, UpstreamSharing } from '../upstream/upstream-sharing.ts'
import type { SharedPorts } from './shared-ports.ts'

export type { SharedCount }

/** What the data planes of several workers have in common: to everybody else they are one. */
export interface Sharing {
  readonly ports: SharedPorts
  /** Client connections that are open. */
  readonly connections: SharedCount
  /** Requests that are being answered. */
  readonly inFlight: SharedCount
  /** What circuit breakers count. */
  readonly upstreams: UpstreamSharing
}
