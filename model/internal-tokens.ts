/**
 * What tells of internal tokens where TokenIssuers are told by their names: keys, verified tokens, counters. No resource can have
 * this name.
 */
export const INTERNAL_TOKENS = 'hauberk:internal-tokens'

/** The header that carries one (draft-ietf-oauth-transaction-tokens-08, 5.1), in lower case. */
export const INTERNAL_TOKEN_HEADER = 'txn-token'

/** `typ` of its JWS header, in lower case. */
export const INTERNAL_TOKEN_TYPE = 'txntoken+jwt'

/** Seconds that an internal token is good for. */
export const MIN_TOKEN_TTL_SECONDS = 60
export const MAX_TOKEN_TTL_SECONDS = 300
export const DEFAULT_TOKEN_TTL_SECONDS = 120

/** A process's way to internal tokens: those that it keeps, and the token service behind them. */
export interface InternalTokens {
  /**
   * A token for this workload to call others with. Synchronous where one is kept; resolves within 2 s in any case, and never
   * rejects.
   */
  tokenFor(wanted: WantedToken): IssuedToken | TokenFailure | Promise<IssuedToken | TokenFailure>
}

/** What a token is wanted for. All of it together is what a kept one is found by. */
export interface WantedToken {
  /** Whose request it is. Absent: the workload's own. */
  readonly subject?: TokenSubject
  /** Words of the scope, sorted, each once. No more than the subject's own token has. */
  readonly scope: readonly string[]
  readonly ttlSeconds: number
  /** JSON Pointers into the claims of the subject's token: what goes into `tctx`. Sorted, each once. */
  readonly claims: readonly string[]
}

/** A token of somebody that was verified here. */
export interface TokenSubject {
  /** The TokenIssuer that verified it, or `INTERNAL_TOKENS`. */
  readonly issuer: string
  /** Secret: to be hashed, and sent to the token service. */
  readonly text: string
}

export interface IssuedToken {
  readonly kind: 'issued'
  readonly text: string
}

/** `unavailable`: nobody could be asked, or not now. `refused`: the token service said no. */
export interface TokenFailure {
  readonly kind: 'unavailable' | 'refused'
  /** For the log; holds no token. */
  readonly detail: string
}

/** The requests that a workload has in work, by their traces: what it calls meanwhile, it calls for them (T34). */
export interface LiveRequests {
  /** Remembers one until what returns is called. Undefined: too many are remembered already. */
  enter(traceId: string, caller: LiveCaller): (() => void) | undefined
  /** For whom a call of that trace is made. `several`: nobody can say. Undefined: no request of that trace is in work. */
  callerOf(traceId: string): LiveCaller | 'several' | undefined
}

/** For whom a request is. */
export interface LiveCaller {
  /** Absent: it came without an internal token. */
  readonly subject?: TokenSubject
  /** The same for tokens of the same user with the same context, however often they were exchanged. */
  readonly identity: string
  /** Words, sorted. */
  readonly scope: readonly string[]
  /** Seconds since the epoch. */
  readonly expiresAt: number
}
