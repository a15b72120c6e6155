import type { Facts, PostgresLogin, RequestView } from '../../model/request.ts'
import type { Chain } from '../compile/pipeline.ts'
import type { Trace } from './trace.ts'

/**
 * Is told of every request and connection once, when it is over. Must not throw and must not block: it is called on the
 * request path. Records are plain values, never changed afterwards; no token, cookie, body or query string is in them.
 */
export interface Observer {
  /** `evidence` comes with what a policy refused, or would have. */
  request(record: RequestRecord, evidence?: Evidence): void
  connection(record: ConnectionRecord): void
}

/** What a refusal was made of, to explain it later. It holds what the client sent: it never leaves the process as it is. */
export interface Evidence {
  readonly request: RequestView
  readonly facts: Facts
  readonly chain: Chain
  /** `RouteConfig.id`. */
  readonly route: string
}

/** Whose side the traffic came from: a peer in the mesh, the world outside, or the workload itself. */
export type Direction = 'inbound' | 'gateway' | 'outbound'

/**
 * How it ended. `allowed`: the upstream's answer was passed on (whatever its status). `denied`: a policy or the mesh
 * refused. `answered`: this proxy answered by config (redirect, preflight). `failed`: the upstream or this proxy could
 * not. `malformed`: it was no request that anyone may read. `aborted`: the client went away first.
 */
export type Outcome = 'allowed' | 'denied' | 'answered' | 'failed' | 'malformed' | 'aborted'

/** What a policy said, and which. */
export interface Refusal {
  /** The stable name: of a filter's denial, of the mesh's own, or of a malformed message (`docs/denials.md`). */
  readonly denial: string
  readonly filter: string | undefined
  readonly rule: string | undefined
  /** `namespace/name@generation` of the policies behind it. */
  readonly origins: readonly string[]
  readonly detail: string | undefined
}

export interface RequestRecord {
  /** When it began: milliseconds since the epoch. */
  readonly timeMs: number
  readonly durationMs: number
  /** Unique in the mesh; the client of a refusal is told it too. */
  readonly decisionId: string
  /** `x-request-id`: the same on every hop. */
  readonly requestId: string
  readonly direction: Direction
  /** `8080` (inbound, the container port), `https` (gateway, the listener), `proxy` (outbound). */
  readonly listener: string
  /** The caller's verified SPIFFE ID; undefined for an outside client, plaintext, and the workload itself. */
  readonly spiffeId: string | undefined
  readonly clientIp: string
  /** `RouteConfig.id`, or the Service on the way out; empty when nothing matched. */
  readonly route: string
  /** Where it went: name of the upstream, or `app`; empty when it went nowhere. */
  readonly upstream: string
  /** `address:port` of the endpoint that was tried last. */
  readonly endpoint: string | undefined
  readonly method: string
  readonly host: string
  /** In normal form; never the query. */
  readonly path: string
  /** What the client was told; 0 when it was told nothing. */
  readonly status: number
  readonly outcome: Outcome
  readonly refusal: Refusal | undefined
  /** The rule that allowed it. */
  readonly rule: string | undefined
  /** What a dry run would have refused. */
  readonly wouldDeny: Refusal | undefined
  /** The TokenIssuer whose token was verified, and its subject. */
  readonly issuer: string | undefined
  readonly subject: string | undefined
  /** Whom an API key says to call. */
  readonly client?: string | undefined
  /** Body bytes read from the client, and written to it. */
  readonly bytesIn: number
  readonly bytesOut: number
  /** Whether a second endpoint or connection was tried. */
  readonly retried: boolean
  /** Absent where no traces are kept. */
  readonly trace?: Trace | undefined
}

/** A connection of opaque TCP, a tunnel, or one that was closed before it was used. */
export interface ConnectionRecord {
  readonly timeMs: number
  readonly durationMs: number
  readonly decisionId: string
  readonly direction: Direction
  readonly listener: string
  readonly spiffeId: string | undefined
  readonly clientIp: string
  readonly upstream: string
  readonly endpoint: string | undefined
  /** As whom a session in a database was let in; absent where nobody read that. */
  readonly database?: PostgresLogin | undefined
  readonly outcome: 'allowed' | 'denied' | 'failed'
  readonly refusal: Refusal | undefined
  readonly rule: string | undefined
  readonly wouldDeny: Refusal | undefined
  readonly bytesIn: number
  readonly bytesOut: number
  /** True for plaintext that a Permissive or Disabled port took. Each such connection is told of once, when it opens. */
  readonly plaintext: boolean
}
