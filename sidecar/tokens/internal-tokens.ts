import type { FilterClock, FilterCrypto } from '../../model/filter.ts'
import type { InternalTokens, IssuedToken, TokenFailure, WantedToken } from '../../model/internal-tokens.ts'
import { TwoGenerations } from '../../policies/jwt/two-generations.ts'
import type { Counter, Metrics } from '../../runtime/metrics.ts'
import type { GrantedToken, TokenClient } from './token-client.ts'

/** Tokens that are kept at once. What was not asked for lately is forgotten first. */
export const MAX_KEPT_TOKENS = 10_000

/** Requests to the token service at once; more get no token. */
export const MAX_FLIGHTS = 256

/** What was refused lately, so that a client that repeats itself costs the token service nothing. */
export const MAX_REFUSALS = 1_000
const REFUSED_FOR_MS = 1_000

/** The share of its life after which a token that is asked for is renewed. */
const RENEW_AFTER = 0.75

/** After a failure nobody asks again for this long: whoever waits for a token is told at once. */
export const PAUSE_MS = 500

export interface InternalTokensOptions {
  /** Of this workload, in its trust domain: both are the same for all that is kept here. */
  readonly client: Pick<TokenClient, 'ask'>
  readonly crypto: Pick<FilterCrypto, 'sha256'>
  readonly clock: Pick<FilterClock, 'monotonic'>
  readonly metrics: InternalTokenMetrics
}

export interface InternalTokenMetrics {
  readonly tokens: Counter<'outcome'>
}

export function internalTokenMetrics(metrics: Metrics): InternalTokenMetrics {
  return {
    tokens: metrics.counter({
      name: 'hauberk_internal_tokens_total',
      help: 'Internal tokens that requests were to go on with, by where they came from.',
      labels: ['outcome'],
    }),
  }
}

/**
 * Internal tokens by whose they are and all that they were wanted with (a subject's token by its hash): one request to the token
 * service however many wait for it, renewed ahead while it is used, and good to its end when nobody can be asked.
 */
export function createInternalTokens(options: InternalTokensOptions): InternalTokens & { readonly size: number } {
  const { client, crypto, clock, metrics } = options
  const kept = new TwoGenerations<KeptToken>({ maxEntries: MAX_KEPT_TOKENS })
  const refusals = new TwoGenerations<{ readonly failure: TokenFailure; readonly untilMs: number }>({
    maxEntries: MAX_REFUSALS,
  })
  const flights = new Map<string, Promise<IssuedToken | TokenFailure>>()
  let pausedUntilMs = Number.NEGATIVE_INFINITY

  const fly = (key: string, wanted: WantedToken): Promise<IssuedToken | TokenFailure> => {
    const flight = client.ask(wanted).then((outcome) => {
      flights.delete(key)
      return take(key, outcome)
    })
    flights.set(key, flight)
    return flight
  }

  const take = (key: string, outcome: GrantedToken | TokenFailure): IssuedToken | TokenFailure => {
    const nowMs = clock.monotonic()
    if (outcome.kind === 'granted') {
      const { text, expiresInMs } = outcome
      const issued: IssuedToken = { kind: 'issued', text }
      kept.set(key, { issued, untilMs: nowMs + expiresInMs, renewAtMs: nowMs + expiresInMs * RENEW_AFTER })
      return issued
    }
    if (outcome.kind === 'unavailable') pausedUntilMs = nowMs + PAUSE_MS
    else {
      // Nobody gets by an older token what is refused now.
      kept.delete(key)
      refusals.set(key, { failure: outcome, untilMs: nowMs + REFUSED_FOR_MS })
    }
    return outcome
  }

  const found = (
    key: string,
    wanted: WantedToken,
  ): IssuedToken | TokenFailure | Promise<IssuedToken | TokenFailure> => {
    const nowMs = clock.monotonic()
    const mayAsk = nowMs >= pausedUntilMs && flights.size < MAX_FLIGHTS
    const known = kept.get(key)
    if (known !== undefined && nowMs < known.untilMs) {
      if (nowMs >= known.renewAtMs && mayAsk && !flights.has(key)) void fly(key, wanted)
      return known.issued
    }
    const underWay = flights.get(key)
    if (underWay !== undefined) return underWay
    const refusal = refusals.get(key)
    if (refusal !== undefined && nowMs < refusal.untilMs) return refusal.failure
    if (mayAsk) return fly(key, wanted)
    return flights.size >= MAX_FLIGHTS ? TOO_MANY : PAUSED
  }

  return {
    get size() {
      return kept.size
    },
    tokenFor(wanted) {
      const outcome = found(keyOf(wanted, crypto), wanted)
      if (!(outcome instanceof Promise)) {
        metrics.tokens.handle({ outcome: outcome.kind === 'issued' ? 'kept' : outcome.kind }).add()
        return outcome
      }
      return outcome.then((settled) => {
        metrics.tokens.handle({ outcome: settled.kind }).add()
        return settled
      })
    },
  }
}

interface KeptToken {
  readonly issued: IssuedToken
  readonly untilMs: number
  readonly renewAtMs: number
}

const TOO_MANY: TokenFailure = { kind: 'unavailable', detail: 'too many requests wait for tokens' }
const PAUSED: TokenFailure = { kind: 'unavailable', detail: 'the token service has failed a moment ago' }

/** No part can hold the space or line that ends the one before it. */
function keyOf({ subject, scope, ttlSeconds, claims }: WantedToken, { sha256 }: Pick<FilterCrypto, 'sha256'>): string {
  const whose = subject === undefined ? '' : `${subject.issuer} ${sha256(subject.text)}`
  return `${whose}\n${scope.join(' ')}\n${ttlSeconds}\n${JSON.stringify(claims)}`
}
