import type { Backend } from './backend.ts'
import type { Certificates } from './certificates.ts'
import type { CountingBackend } from './child-backend.ts'
import type { Tokens } from './tokens.ts'

/** What all contestants of a run share. */
export interface World {
  /** Of this run: gone afterwards. */
  readonly directory: string
  readonly cores: Cores
  readonly certificates: Certificates
  readonly tokens: Tokens
  readonly backend: Backend
  /** Answers unary calls of gRPC over HTTP/2 in plaintext. Started when it is first asked for. */
  grpc(): Promise<CountingBackend>
  /** Sends back what it gets: octets, or WebSocket messages after an upgrade of `/ws`. Started when it is first asked for. */
  echo(): Promise<CountingBackend>
  /** The product's own bundle, made from this tree. */
  readonly bundle: string
  /** Where V8 profiles of our rows go; absent: none are taken, and that is what may be compared. */
  readonly profiles?: string
}

export interface Cores {
  /** Of the proxy under load. */
  readonly proxy: number
  /** Of the generator and the backend. */
  readonly rest: number
}
