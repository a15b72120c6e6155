import type { Peer } from '../../model/request.ts'
import type { Denial } from '../../model/verdict.ts'
import type { InternalTokenConfig } from './config.ts'
import { INTERNAL_TOKEN_REPLAYED, INTERNAL_TOKEN_SCOPE, INTERNAL_TOKEN_WITHOUT_USER } from './denials.ts'
import { isWorkload, scopeWords } from './issuer.ts'

/** What a token that is good lacks here. */
export interface Shortfall {
  readonly denial: Denial
  readonly field: 'req_wl' | 'sub' | 'scope'
  readonly expected: string
  readonly got: string
}

/** Undefined: nothing. */
export function shortfallOf(
  { binding, subject, scope }: InternalTokenConfig,
  claims: Readonly<Record<string, unknown>>,
  peer: Peer,
): Shortfall | undefined {
  const { req_wl: requester, sub } = claims
  if (binding === 'caller' && (requester === undefined || requester !== peer.spiffeId)) {
    const caller = peer.spiffeId ?? 'a caller without an identity'
    return { denial: INTERNAL_TOKEN_REPLAYED, field: 'req_wl', expected: caller, got: shown(requester) }
  }
  if (subject === 'user' && (typeof sub !== 'string' || isWorkload(sub))) {
    return { denial: INTERNAL_TOKEN_WITHOUT_USER, field: 'sub', expected: 'a user', got: shown(sub) }
  }
  const words = scopeWords(claims['scope'])
  const missing = scope.filter((word) => !words.includes(word))
  if (missing.length === 0) return undefined
  return { denial: INTERNAL_TOKEN_SCOPE, field: 'scope', expected: scope.join(' '), got: words.join(' ') || 'none' }
}

function shown(claim: unknown): string {
  return typeof claim === 'string' ? claim.slice(0, MAX_SHOWN) : 'none'
}

/** Characters of a claim that are shown at most. */
const MAX_SHOWN = 200
