import { INTERNAL_TOKEN_TYPE, INTERNAL_TOKENS, MAX_TOKEN_TTL_SECONDS } from '../../model/internal-tokens.ts'
import type { IssuerConfig } from '../jwt/config.ts'

/** Bytes of an internal token at most. A plain user's has 520. */
export const MAX_INTERNAL_TOKEN_BYTES = 2_048

/** The token service of a trust domain as its tokens are judged. It signs as the trust domain, and for it. */
export function tokenServiceOf(trustDomain: string): IssuerConfig {
  return {
    name: INTERNAL_TOKENS,
    issuer: trustDomain,
    audiences: [trustDomain],
    algorithms: ['ES256'],
    types: [INTERNAL_TOKEN_TYPE],
    clockSkewMs: 60_000,
    maxLifetimeMs: MAX_TOKEN_TTL_SECONDS * 1_000,
    maxTokenBytes: MAX_INTERNAL_TOKEN_BYTES,
    maxDepth: 8,
    cache: { maxEntries: 20_000, maxBytes: 8_388_608, maxAgeMs: 300_000 },
  }
}

/** The subject of a token that a workload has for itself: its SPIFFE id. No user is called so. */
export function isWorkload(subject: unknown): boolean {
  return typeof subject === 'string' && subject.startsWith('spiffe://')
}

/** The words of a `scope` claim (RFC 8693, 4.2), each once and sorted. */
export function scopeWords(scope: unknown): readonly string[] {
  const words = typeof scope === 'string' ? scope.split(' ') : Array.isArray(scope) ? scope : []
  return [...new Set(words.filter((word): word is string => typeof word === 'string' && word !== ''))].sort()
}
