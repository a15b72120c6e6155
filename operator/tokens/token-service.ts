import { randomBytes } from 'node:crypto'
import { decode } from '../../contract/codec.ts'
import {
  ACCESS_TOKEN,
  TOKEN_EXCHANGE,
  type TokenAnswer,
  TokenRequestDetails,
  TXN_TOKEN,
  UNSIGNED_JSON,
} from '../../contract/internal-token.ts'
import type { FilterDeps, KeySource } from '../../model/filter.ts'
import { DEFAULT_TOKEN_TTL_SECONDS, INTERNAL_TOKENS } from '../../model/internal-tokens.ts'
import type { RequestView } from '../../model/request.ts'
import type { SpiffeId, TrustDomain } from '../../model/spiffe-id.ts'
import type { TokenExchangeConfig } from '../../policies/internal-token/config.ts'
import {
  isWorkload,
  MAX_INTERNAL_TOKEN_BYTES,
  scopeWords,
  tokenServiceOf,
} from '../../policies/internal-token/issuer.ts'
import type { IssuerConfig } from '../../policies/jwt/config.ts'
import { createVerifier, type KnownToken, type Verifier } from '../../policies/jwt/verifier.ts'
import { openssl } from '../../runtime/crypto/openssl.ts'
import type { IssuedToken } from '../audit/events.ts'
import type { IssuerKeysStore } from '../keys/issuer-keys.ts'
import { contextOf } from './context.ts'
import type { TokenGrant } from './grants.ts'
import { mint } from './mint.ts'
import type { SigningKeys } from './signing-keys.ts'

/** Exchanges tokens of users, and of other workloads' calls, for those that the caller may go on with. */
export interface TokenService {
  /** `form` as it was sent. Never rejects for what is in it. */
  exchange(caller: TokenCaller, form: URLSearchParams): TokenOutcome | Promise<TokenOutcome>
}

/** Who asks, by the certificate of the connection. */
export interface TokenCaller {
  readonly spiffeId: SpiffeId
  readonly address: string
}

export type TokenOutcome =
  | { readonly kind: 'issued'; readonly answer: TokenAnswer; readonly of: 'user' | 'workload' | 'token' }
  | TokenRefusal

export interface TokenRefusal {
  readonly kind: 'refused'
  readonly status: 400 | 403 | 503
  /** RFC 6749, 5.2 and RFC 8693, 2.2.2. */
  readonly error:
    | 'invalid_request'
    | 'invalid_scope'
    | 'invalid_target'
    | 'unauthorized_client'
    | 'temporarily_unavailable'
  /** Stable, kebab-case. */
  readonly reason: string
}

export interface TokenServiceOptions {
  readonly trustDomain: TrustDomain
  readonly keys: SigningKeys
  readonly issuerKeys: Pick<IssuerKeysStore, 'keysOf' | 'refresh'>
  /** Changes whenever keys of either do. */
  readonly keysGeneration: () => number
  readonly grantOf: (caller: SpiffeId) => TokenGrant
  readonly clock: FilterDeps['clock']
  /** Told of each token that was signed. */
  readonly onIssued?: (token: IssuedToken) => void
}

/** Sets of issuers whose tokens are remembered as verified; the one that was asked for longest ago is forgotten first. */
export const MAX_VERIFIERS = 64

export function createTokenService(options: TokenServiceOptions): TokenService {
  const { trustDomain, keys, issuerKeys, keysGeneration, grantOf, clock, onIssued } = options
  const self = tokenServiceOf(trustDomain)
  const verifiers = new Map<string, Verifier>()
  const source: KeySource = {
    get generation() {
      return keysGeneration()
    },
    keysOf: (issuer) => (issuer === INTERNAL_TOKENS ? keys.published() : issuerKeys.keysOf(issuer))?.keys,
    refresh: (issuer) => (issuer === INTERNAL_TOKENS ? keys.refresh() : issuerKeys.refresh(issuer)),
  }

  const verifierFor = (issuers: readonly IssuerConfig[]): Verifier => {
    const key = JSON.stringify(issuers)
    const known = verifiers.get(key)
    verifiers.delete(key)
    const memory = new Map<string, unknown>()
    const verifier =
      known ??
      createVerifier(issuers, {
        clock,
        crypto: openssl,
        keys: source,
        count() {},
        remember<T>(name: string, create: () => T): T {
          if (!memory.has(name)) memory.set(name, create())
          return memory.get(name) as T
        },
      })
    verifiers.set(key, verifier)
    if (verifiers.size > MAX_VERIFIERS) verifiers.delete(verifiers.keys().next().value!)
    return verifier
  }

  const issue = (caller: TokenCaller, asked: Asked, basis: Basis): TokenOutcome => {
    const iat = Math.floor(clock.now() / 1_000)
    const exp = Math.min(iat + asked.ttl, Math.floor(basis.expiresAt))
    if (exp <= iat) return refused('invalid_request', 'subject-token-expired')
    const scope = asked.scope.join(' ')
    const { txn, sub, tctx, rctx } = basis
    const key = keys.current()
    const token = mint(
      {
        iss: trustDomain,
        aud: trustDomain,
        iat,
        exp,
        txn,
        sub,
        scope,
        req_wl: caller.spiffeId,
        ...(tctx !== undefined && { tctx }),
        ...(rctx !== undefined && { rctx }),
      },
      key,
    )
    if (token.length > MAX_INTERNAL_TOKEN_BYTES) return refused('invalid_request', 'token-too-large')
    onIssued?.({
      caller: caller.spiffeId,
      txn,
      ...(sub !== caller.spiffeId && { sub }),
      audience: trustDomain,
      ...(scope !== '' && { scope }),
      kid: key.kid,
      expiresMs: exp * 1_000,
      of: basis.of,
    })
    return {
      kind: 'issued',
      of: basis.of,
      answer: {
        access_token: token,
        issued_token_type: TXN_TOKEN,
        token_type: 'N_A',
        expires_in: exp - iat,
        ...(scope !== '' && { scope }),
      },
    }
  }

  /** A user's token, which becomes what the policy of the caller's route says. */
  const exchangeForUser = (caller: TokenCaller, asked: Asked): TokenOutcome | Promise<TokenOutcome> => {
    const { exchanges } = grantOf(caller.spiffeId)
    const issuers = [...new Map(exchanges.flatMap((each) => each.issuers).map((each) => [JSON.stringify(each), each]))]
    if (issuers.length === 0) return notGranted('exchanges-no-user-tokens')
    const judged = verifierFor(issuers.map(([, issuer]) => issuer)).verify(asked.subjectToken, viewOf(caller))
    return then(judged, (outcome) => {
      if (outcome.kind === 'refused') return unverified(outcome)
      const { claims, subject, expiresAt, issuer } = outcome.token
      if (subject === undefined || subject === '') return refused('invalid_request', 'subject-token-without-sub')
      if (isWorkload(subject)) return refused('invalid_request', 'subject-is-no-user')
      const admitting = exchanges.filter((each) => each.issuers.some(({ name }) => name === issuer))
      // What its own issuer did not say, nobody can have narrowed.
      const ofUser = Object.hasOwn(claims, 'scope') ? scopeWords(claims['scope']) : undefined
      const problem = nearestProblem(
        admitting.map(({ config }) => config),
        asked,
        ({ scope = [] }) => ofUser ?? scope,
      )
      if (problem !== undefined) return problem
      const tctx = contextOf(claims, asked.claims)
      return issue(caller, asked, { of: 'user', txn: newTxn(), sub: subject, expiresAt, tctx, rctx: { issuer } })
    })
  }

  /** A token that another workload's call has brought: the same transaction, in the caller's own name. */
  const exchangeForHop = (caller: TokenCaller, asked: Asked): TokenOutcome | Promise<TokenOutcome> => {
    const { relays } = grantOf(caller.spiffeId)
    if (relays.length === 0) return notGranted('receives-no-internal-tokens')
    if (asked.claims.length > 0) return refused('invalid_request', 'context-is-immutable')
    return then(verifierFor([self]).verify(asked.subjectToken, viewOf(caller)), (outcome) => {
      if (outcome.kind === 'refused') return unverified(outcome)
      const { claims, expiresAt } = outcome.token
      const problem = nearestProblem(relays, asked, () => scopeWords(claims['scope']))
      if (problem !== undefined) return problem
      const { txn, sub, tctx, rctx } = claims
      return issue(caller, asked, { of: 'token', txn: String(txn), sub: String(sub), expiresAt, tctx, rctx })
    })
  }

  /** The caller's own token: a request without a user. */
  const issueToWorkload = (caller: TokenCaller, asked: Asked): TokenOutcome => {
    const subject = ownSubject(asked.subjectToken)
    if (subject !== caller.spiffeId) return refused('invalid_request', 'subject-is-not-the-caller')
    const { exchanges, relays } = grantOf(caller.spiffeId)
    const bounds = [...exchanges.map(({ config }) => config), ...relays]
    if (bounds.length === 0) return notGranted('calls-without-internal-tokens')
    const own = { ...asked, claims: [] }
    const problem = nearestProblem(bounds, own, ({ scope = [] }) => scope)
    if (problem !== undefined) return problem
    return issue(caller, own, { of: 'workload', txn: newTxn(), sub: caller.spiffeId, expiresAt: Infinity })
  }

  return {
    exchange(caller, form) {
      const asked = readForm(form, trustDomain)
      if (asked.kind === 'refused') return asked
      switch (asked.subjectTokenType) {
        case ACCESS_TOKEN:
          return exchangeForUser(caller, asked)
        case TXN_TOKEN:
          return exchangeForHop(caller, asked)
        case UNSIGNED_JSON:
          return issueToWorkload(caller, asked)
        default:
          return refused('invalid_request', 'subject-token-type')
      }
    },
  }
}

/** Whose token, and what is in it. */
interface Basis {
  readonly of: 'user' | 'workload' | 'token'
  readonly txn: string
  readonly sub: string
  /** Seconds since the epoch. */
  readonly expiresAt: number
  readonly tctx?: unknown
  readonly rctx?: unknown
}

interface Asked {
  readonly kind: 'asked'
  readonly subjectToken: string
  readonly subjectTokenType: string
  /** Sorted. */
  readonly scope: readonly string[]
  /** Seconds. */
  readonly ttl: number
  readonly claims: readonly string[]
}

/** Each of them is there once (RFC 6749, 3.2). */
const PARAMETERS = new Set([
  'grant_type',
  'requested_token_type',
  'audience',
  'scope',
  'subject_token',
  'subject_token_type',
  'request_details',
])

function readForm(form: URLSearchParams, trustDomain: TrustDomain): Asked | TokenRefusal {
  const names = [...form.keys()]
  if (names.some((name) => !PARAMETERS.has(name))) return refused('invalid_request', 'unknown-parameter')
  if (new Set(names).size !== names.length) return refused('invalid_request', 'repeated-parameter')
  if (form.get('grant_type') !== TOKEN_EXCHANGE) return refused('invalid_request', 'grant-type')
  if (form.get('requested_token_type') !== TXN_TOKEN) return refused('invalid_request', 'requested-token-type')
  if (form.get('audience') !== trustDomain) return refused('invalid_target', 'audience')
  const details = form.get('request_details')
  const read = details === null ? undefined : decode(TokenRequestDetails, details)
  if (read?.ok === false) return refused('invalid_request', 'request-details')
  const { ttl = DEFAULT_TOKEN_TTL_SECONDS, claims = [] } = read?.value ?? {}
  return {
    kind: 'asked',
    subjectToken: form.get('subject_token') ?? '',
    subjectTokenType: form.get('subject_token_type') ?? '',
    scope: scopeWords(form.get('scope')),
    ttl,
    claims,
  }
}

/** What a policy bounds tokens by. */
type Bounds = Pick<TokenExchangeConfig, 'scope' | 'ttlSeconds'> & { readonly claims?: readonly string[] }

/** What keeps every one of these policies from having asked so; of several, the last one's. `within` is the widest scope by one. */
function nearestProblem(
  all: readonly Bounds[],
  { scope, ttl, claims }: Asked,
  within: (bounds: Bounds) => readonly string[],
): TokenRefusal | undefined {
  const problems = all.map((bounds): TokenRefusal | undefined => {
    if (bounds.scope !== undefined && !isWithin(scope, bounds.scope)) {
      return refused('invalid_scope', 'scope-not-granted')
    }
    if (!isWithin(scope, within(bounds))) return refused('invalid_scope', 'scope-widens')
    if (ttl > bounds.ttlSeconds) return refused('invalid_request', 'ttl-not-granted')
    return isWithin(claims, bounds.claims ?? []) ? undefined : refused('invalid_request', 'claims-not-granted')
  })
  return problems.includes(undefined) ? undefined : (problems.at(-1) ?? notGranted('exchanges-no-user-tokens'))
}

function unverified({ denial }: Exclude<Awaited<ReturnType<Verifier['verify']>>, KnownToken>): TokenRefusal {
  return denial.status === 503 || denial.status === 429
    ? { kind: 'refused', status: 503, error: 'temporarily_unavailable', reason: denial.name }
    : refused('invalid_request', `subject-${denial.name}`)
}

function refused(error: Exclude<TokenRefusal['error'], 'temporarily_unavailable'>, reason: string): TokenRefusal {
  return { kind: 'refused', status: 400, error, reason }
}

function notGranted(reason: string): TokenRefusal {
  return { kind: 'refused', status: 403, error: 'unauthorized_client', reason }
}

function ownSubject(text: string): unknown {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null && Object.hasOwn(value, 'sub')
      ? (value as { sub: unknown }).sub
      : undefined
  } catch {
    return undefined
  }
}

/** 128 random bits. */
function newTxn(): string {
  return randomBytes(16).toString('base64url')
}

function isWithin(some: readonly string[], all: readonly string[]): boolean {
  return some.every((one) => all.includes(one))
}

/** What a verifier asks of a request: who pays for tokens that are not good. */
function viewOf({ spiffeId, address }: TokenCaller): RequestView {
  return {
    protocol: 'http',
    method: 'POST',
    path: '/',
    query: '',
    host: '',
    port: 0,
    scheme: 'https',
    peer: { spiffeId, ip: address },
    clientIp: address,
    header: () => undefined,
    headers: () => [],
  }
}

function then<From, To>(value: From | Promise<From>, next: (value: From) => To): To | Promise<To> {
  return value instanceof Promise ? value.then(next) : next(value)
}
