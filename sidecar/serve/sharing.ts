import type { SharedPorts } from './shared-ports.ts'

/** What the data planes of several workers have in common: to everybody else they are one. */
export interface Sharing {
  readonly ports: SharedPorts
  /** Client connections that are open. */
  readonly connections: SharedCount
  /** Requests that are being answered. */
  readonly inFlight: SharedCount
}

/** How many there are of something, by worker. */
export interface SharedCount {
  /** Tells the others how many this worker has. */
  tell(own: number): void
  /** How many all the others have. */
  others(): number
}
