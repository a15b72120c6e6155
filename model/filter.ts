import type { BackendCalls } from './backend-calls.ts'
import type { InternalTokens, LiveRequests } from './internal-tokens.ts'
import type { Facts, RequestView } from './request.ts'
import type { Result } from './result.ts'
import type { Denial, Verdict } from './verdict.ts'

/** What a compiled filter asks of each request. Throwing is not a yes: the runner refuses then. */
export type Check = (request: RequestView, facts: Facts) => Verdict | Promise<Verdict>

/** What the process that runs a filter hands it. All of it is replaceable by values in a test. */
export interface FilterDeps {
  readonly clock: FilterClock
  readonly crypto: FilterCrypto
  readonly keys: KeySource
  /** Absent where there is nobody to ask (admission, explanations): what depends on a token then refuses. */
  readonly internalTokens?: InternalTokens
  /** Absent where nobody can say to which request a call of the workload belongs: then each is its own. */
  readonly liveRequests?: LiveRequests
  /** Absent: nothing was ever revoked. */
  readonly revocations?: Revocations
  /**
   * Memory that outlives a push: the value that the previous pipeline kept under `key`, or a new one. What no filter of
   * the new pipeline asks for is forgotten. Name the policy and all that shapes the value in the key.
   */
  remember<T>(key: string, create: () => T): T
  /**
   * As `remember`, what all workers of a pod count by together. Absent: there is one, and what it remembers is all there is.
   */
  readonly sharedTimes?: (name: string) => SharedTimes
  /** Asks other services. Absent where there is nobody to ask (admission, explanations): what depends on an answer then refuses. */
  readonly calls?: BackendCalls
  /** How many replicas of the workload a limit is divided among. Absent: there is this one. */
  readonly share?: ReplicaShare
  /** What a store that all replicas share grants ahead of requests. Absent: nobody asks one, and each replica keeps to its share. */
  readonly quota?: SharedQuota
  /** Counts something of interest, by a fixed set of names; the sidecar turns it into `hauberk_<name>_total`. */
  count(name: FilterCounter, issuer?: string): void
}

/** It changes as replicas come and go: whoever goes by it asks each time. */
export interface ReplicaShare {
  /** At least 1, this one counted. */
  readonly replicas: number
}

export interface SharedQuota {
  /**
   * The leases of the limit that is known by `name`, at every replica the same. They are nothing while there is no store.
   * `memory` is read and written in the background.
   */
  leasesOf(name: string, rate: LeasedRate, memory: CountMemory): Leases
}

/** What a replica believes that all replicas together have counted, in requests, and fractions of one: it is earned back by the rate. */
export interface CountMemory {
  read(key: string): number
  write(key: string, counted: number): void
}

/** A limit as a store counts it. */
export interface LeasedRate {
  readonly requests: number
  readonly perMs: number
  readonly burst: number
}

/** Requests that a store has granted this worker. Nothing here waits: the store is asked in the background. */
export interface Leases {
  /** Whether a request of the key is granted already. */
  has(key: string, nowMs: number): boolean
  /** Uses one that was granted; with -1 it is not used after all. */
  use(key: string, count: 1 | -1): void
  /** Tells of one that was let through though none was granted; with -1 it was not, after all. */
  owe(key: string, count: 1 | -1): void
  /** Tells of one that was refused: it may be that the store knows better by now. */
  refused(key: string, nowMs: number): void
}

/**
 * Times by key that several workers keep together: whole numbers above 0, in whatever unit their name stands for. Nothing is
 * locked: who changes one says what it was.
 */
export interface SharedTimes {
  /** `nowMs` is monotonic. */
  get(key: string, nowMs: number): number | undefined
  /**
   * Puts `time` in the place of `before`, which `get` gave. `moved`: another worker did so first, and nothing was changed.
   * `forgot`: a key that mattered had to be forgotten for this one. After `idleAtMs` the time says nothing that matters.
   */
  set(key: string, time: number, before: number | undefined, idleAtMs: number): 'set' | 'forgot' | 'moved'
  /** Takes back what was added. */
  subtract(key: string, amount: number, nowMs: number): void
}

export type FilterCounter =
  | 'tokens_cached'
  | 'tokens_verified'
  | 'tokens_rejected'
  | 'rate_limit_keys_evicted'
  | 'requests_failed_open'

export interface FilterClock {
  /** Milliseconds since the epoch. For `exp` and `nbf`. */
  now(): number
  /** Milliseconds that never go back. For limits and cache ages. */
  monotonic(): number
}

/** The cryptography that a filter may use; the sidecar's is OpenSSL's. Synchronous: a thread hop costs more than it saves. */
export interface FilterCrypto {
  /** SHA-256 of the UTF-8 (or latin1) bytes of `text`, as a base64url string. */
  sha256(text: string): string
  /** A public key from a JWK that `usableKey` has passed; undefined when OpenSSL refuses it. */
  importJwk(jwk: Readonly<Record<string, unknown>>): PublicKey | undefined
  /** Verifies a JWS signature (RFC 7515, 5.2) over the ASCII bytes of `signingInput`; `signature` is base64url. */
  verify(algorithm: string, key: PublicKey, signingInput: string, signature: string): boolean | Promise<boolean>
}

/** An imported key; opaque to filters. */
export interface PublicKey {
  readonly kind: 'public-key'
}

/** The keys of token issuers as the operator pushed them. */
export interface KeySource {
  /** Changes with each push of keys. */
  readonly generation: number
  /** The JWKs of a TokenIssuer; undefined when none were ever received. */
  keysOf(issuer: string): readonly Readonly<Record<string, unknown>>[] | undefined
  /** Asks the operator for newer keys: at most once in 30 s per issuer, single flight, resolves within 2 s in any case. */
  refresh(issuer: string): Promise<void>
}

/** Tokens that count no more although they have not expired, as the operator pushed them. */
export interface Revocations {
  /** Changes with each push of revocations, and never becomes what it was: an answer of `revokedBy` holds until then. */
  readonly generation: number
  /** The name of the TokenRevocation by which `token` counts no more; undefined when none does. */
  revokedBy(token: RevocableToken): string | undefined
}

/** What a revocation goes by. */
export interface RevocableToken {
  /** The name of the TokenIssuer that verified it. */
  readonly issuer: string
  /** Of the JWS header: the key that signed it. */
  readonly kid?: string
  readonly jti?: string
  readonly sub?: string
  /** `iat`, seconds since the epoch. A token without one is older than any. */
  readonly issuedAt?: number
}

/** One line of an explanation: a rule considered and how it came out. */
export interface Consideration {
  readonly filter: string
  /** Absent when the consideration is about the filter as a whole. */
  readonly rule?: string
  /** What the rule does when it matches, where rules do either. */
  readonly effect?: 'allow' | 'deny'
  readonly origin?: string
  readonly outcome: 'matched' | 'not-matched' | 'allowed' | 'denied' | 'answered' | 'skipped'
  /** With `denied`: the name of the denial that the check's verdict has. */
  readonly denial?: string
  /** The first field that did not match: what the policy says and what the request has. */
  readonly field?: string
  readonly expected?: string
  readonly got?: string
  /** The smallest change to the request or the policy that would turn this rule's outcome. */
  readonly change?: string
}

/** A policy feature as the sidecar runs it: the door `filter.ts` of a room. */
export interface Filter<Config = unknown> {
  readonly name: string
  /** Every denial its checks can return. */
  readonly denials: readonly Denial[]
  /** True when asking twice about one request has no effect of its own: then a dry run may ask it again. */
  readonly repeatable: boolean
  /** True when it also judges connections of opaque TCP ports. */
  readonly tcp: boolean
  /** False when it judges nothing else. Absent: it judges requests. */
  readonly http?: false
  /**
   * What the clients of a TCP port say first, where its check has to know: it is read after the filters before it let the
   * connection pass, and is in the view then. Absent: bytes are left unread.
   */
  readonly opening?: 'postgres'
  /** Reads what came over the wire. What it does not know it refuses. */
  decode(wire: unknown): Result<Config>
  compile(config: Config, deps: FilterDeps): Result<Check>
  /**
   * Every rule considered for this request, in order. It tells `facts` what the check would that matters to the checks
   * after it, and has no other effect; the outcome of the whole is the one that `compile`'s check returns (a property test
   * holds them equal): at most one consideration is `denied` or `answered`, and it is there exactly if the verdict is.
   */
  explain(config: Config, request: RequestView, facts: Facts): readonly Consideration[]
  /**
   * The contract version that a sidecar must speak to obey this config; `undefined` is a slot that does not resolve. Say
   * it when a filter, or a word in its config, is added (F20). Absent: 1, every sidecar does.
   */
  since?(config: Config | undefined): number
  /** True for a filter that needs `RequestView.traceId`: traces are kept wherever it stands on a route. Absent: it does not. */
  readonly readsTrace?: true
  /** True for a filter whose verdict is another service's (`facts.externalAnswers`). Absent: it never is. */
  readonly asksServices?: true
  /** True for a filter whose check tells those after it of a verified token (`facts.token`). Absent: it never does. */
  readonly verifiesToken?: true
  /** True for a filter whose check tells those after it of a client (`facts.client`). Absent: it never does. */
  readonly knowsClient?: true
}

export function defineFilter<Config>(filter: Filter<Config>): Filter<Config> {
  return filter
}
