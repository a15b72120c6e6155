import type { TokenSubject } from './internal-tokens.ts'
import type { Deny, HeaderPair } from './verdict.ts'

/**
 * A request as a check sees it: parsed, normalised, and with a caller whose certificate was verified.
 *
 * On an opaque TCP port there is one for each connection; `method`, `path`, `query` and `host` are empty then and
 * `protocol` is `tcp`.
 */
export interface RequestView {
  readonly protocol: 'http' | 'tcp'
  /** As sent: methods are case-sensitive (RFC 9110, 9.1). */
  readonly method: string
  /** The one normal form (POLICY-API rule 10), without the query; the upstream gets this same string. Starts with `/`, or is `*`. */
  readonly path: string
  /** Without the `?`; empty when there is none. */
  readonly query: string
  /** Lower-case, without port or trailing dot. */
  readonly host: string
  /** `host`, with the port that the client names where it names one. Absent: `host` is all that is known. */
  readonly authority?: string
  /** The port of the workload that the request is for, as its Service or Gateway names it; not a local detail. */
  readonly port: number
  readonly scheme: 'http' | 'https'
  readonly peer: Peer
  /** The client's address after the trusted hops of `X-Forwarded-For`: an IPv4 or IPv6 literal. */
  readonly clientIp: string
  /**
   * Of the trace that the request is part of: 32 hex digits. It is never one that a client from outside the mesh has chosen (T34),
   * and the workload's own calls have that which the workload passes on. Absent where no traces are kept.
   */
  readonly traceId?: string | undefined
  /**
   * What a client of Postgres asked for when it connected. Absent: it is none, or nobody has read it (`Filter.opening`).
   */
  readonly postgres?: PostgresOpening
  /** The first value of a header; `name` in lower case. */
  header(name: string): string | undefined
  /** Every value of a header in the order sent; `name` in lower case. */
  headers(name: string): readonly string[]
  /**
   * Has `listener` called, once, if the request is over before its checks have decided: its client went away, or waited as long
   * as a decision may take. What returns takes it back. Absent: nobody goes away.
   */
  onAbandoned?(listener: () => void): () => void
  /** Has `listener` called, once, when the request is over, however it ends; at once if it is. Absent: it has no end. */
  onEnd?(listener: () => void): void
  /**
   * The whole body; undefined where it is longer than `maxBytes`, or does not come. Whoever asks for it has to answer the request
   * or refuse it, since nothing is left to pass on. Once a request. Absent: there is nobody who could send one.
   */
  body?(maxBytes: number): Promise<Uint8Array | undefined>
}

/** The beginning of a connection to Postgres (PostgreSQL, 54.7): a session, or the wish to have another session's query cancelled. */
export type PostgresOpening =
  | ({ readonly kind: 'session'; readonly isReplication: boolean } & PostgresLogin)
  | { readonly kind: 'cancel' }

/** Who a session is, and where. */
export interface PostgresLogin {
  readonly user: string
  readonly database: string
}

/** Who is at the other end of the connection. */
export interface Peer {
  /** The verified SPIFFE ID; absent for an outside client and for plaintext under Permissive. */
  readonly spiffeId?: string
  readonly trustDomain?: string
  /** From an ID of the form `/ns/<namespace>/sa/<service-account>`. */
  readonly namespace?: string
  readonly serviceAccount?: string
  /** The address of the socket: an IPv4 or IPv6 literal. */
  readonly ip: string
}

/** What checks found out about one request, for the checks after them and for the forwarder. One object a request. */
export interface Facts {
  /** Set by `jwt`, `oidc` and `internal-token` when a token was verified. */
  token?: VerifiedToken
  /**
   * The access token of a login that the gateway did for a browser, where the request has its session. Set by `oidc`; to filters that
   * verify tokens it is in the request, as if the client had sent it.
   */
  loginToken?: string
  /** Set by `jwt` where the token that it verified is to be exchanged; taken by `token-exchange`, so that nobody keeps it. */
  subject?: TokenSubject
  /** Set by `postgres`: as whom the session is let in, whatever the client asked for. */
  postgres?: PostgresLogin
  /** Who an API key says calls. Set by `api-key` when a key was good. */
  client?: Client
  /** What services said that were asked about this request, in the order of asking. Set by filters that ask (`asksServices`). */
  externalAnswers?: ExternalAnswer[]
  /** True when an `exempt` entry let the request pass without user authentication. */
  exempt?: boolean
  /** The rule that allowed, for the decision log. */
  rule?: string
  /** Values that the request to the upstream gets, set or removed (lower-case names; set replaces every copy). */
  setRequestHeaders?: HeaderPair[]
  removeRequestHeaders?: string[]
  /** Values that the response to the client gets; set replaces every copy. */
  setResponseHeaders?: HeaderPair[]
  /** Values that the response to the client gets beside those that it has (`Vary`). */
  addResponseHeaders?: HeaderPair[]
  /** Set by `response` before any check can refuse. */
  refusalForm?: RefusalForm
  /** The first refusal that a part of an enforced policy would have made, had it not been in dry run itself. */
  wouldDeny?: Deny
}

/** How the client is told of a refusal by a policy. Logs and metrics tell of the refusal itself, whatever this says. */
export interface RefusalForm {
  readonly format: 'problem-json' | 'text' | 'empty'
  /** The status in place of 403; 400..499. */
  readonly deniedStatus: number
  /** 401 and 403 look like the 404 of a path that no route leads to. */
  readonly hidesExistence: boolean
}

export interface ExternalAnswer {
  /** Who had it asked. */
  readonly filter: string
  /** Who was asked. */
  readonly upstream: string
  /** `failed-open`: there was no answer, and the policy lets requests pass then. */
  readonly outcome: 'allowed' | 'denied' | 'failed-open' | 'unavailable'
  /** For the log and `explain`. Holds nothing of the request. */
  readonly detail: string
}

/** A program or partner that is known by an API key. */
export interface Client {
  /** As its keys name it. */
  readonly id: string
}

export interface VerifiedToken {
  /** Name of the TokenIssuer that verified it. */
  readonly issuer: string
  /** The `iss` claim. */
  readonly iss: string
  readonly subject?: string
  /** The claims; read-only and without prototype surprises: look members up by `Object.hasOwn`. */
  readonly claims: Readonly<Record<string, unknown>>
  /** Seconds since the epoch. */
  readonly expiresAt: number
}
