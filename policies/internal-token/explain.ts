import type { Consideration } from '../../model/filter.ts'
import { INTERNAL_TOKEN_HEADER, INTERNAL_TOKENS } from '../../model/internal-tokens.ts'
import type { Facts, RequestView } from '../../model/request.ts'
import type { Denial } from '../../model/verdict.ts'
import type { InternalTokenConfig } from './config.ts'
import { INTERNAL_TOKEN_INVALID, INTERNAL_TOKEN_MISSING, TWO_INTERNAL_TOKENS } from './denials.ts'
import { shortfallOf } from './shortfall.ts'

/**
 * One line: no signature and no time is judged here. `facts.token` is a token that was verified, by the request's decision or by
 * whoever asks "what if"; one that is only in the request was verified by nobody, and is never allowed.
 */
export function explainInternalToken(
  config: InternalTokenConfig,
  request: RequestView,
  { token }: Facts,
): readonly Consideration[] {
  const sent = request.headers(INTERNAL_TOKEN_HEADER).length
  if (sent > 1) {
    return [denied(TWO_INTERNAL_TOKENS, 'token', 'one token', String(sent), 'send one token')]
  }
  if (token?.issuer === INTERNAL_TOKENS) {
    const shortfall = shortfallOf(config, token.claims, request.peer)
    if (shortfall === undefined) return [allowed('token', 'an internal token', 'one that was verified')]
    const { denial, field, expected, got } = shortfall
    return [denied(denial, field, expected, got, CHANGES[field])]
  }
  if (sent === 1) {
    const change = 'send a token of the token service'
    return [
      denied(INTERNAL_TOKEN_INVALID, 'signature', 'by the token service', 'a token that was not verified here', change),
    ]
  }
  return config.required
    ? [denied(INTERNAL_TOKEN_MISSING, 'token', 'an internal token', 'none', 'call with an internal token')]
    : [allowed('required', 'false', 'no internal token')]
}

const CHANGES = {
  req_wl: 'call with a token that was made for the caller',
  sub: 'call for a user, or set internalToken.subject to Any',
  scope: 'exchange for a token with that scope',
} as const

function allowed(field: string, expected: string, got: string): Consideration {
  return { filter: 'internal-token', outcome: 'allowed', field, expected, got }
}

function denied({ name }: Denial, field: string, expected: string, got: string, change: string): Consideration {
  return { filter: 'internal-token', outcome: 'denied', denial: name, field, expected, got, change }
}
