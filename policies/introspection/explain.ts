import type { Consideration } from '../../model/filter.ts'
import type { Facts, RequestView } from '../../model/request.ts'
import type { Denial } from '../../model/verdict.ts'
import { explainExemptions } from '../exemptions/explain.ts'
import { findToken, SEVERAL, tokenPlaceOf } from '../jwt/token-location.ts'
import type { IntrospectionConfig } from './config.ts'
import { INTROSPECTION_UNAVAILABLE, OPAQUE_TOKEN_INACTIVE, OPAQUE_TOKEN_MISSING, TWO_OPAQUE_TOKENS } from './denials.ts'

const FILTER = 'introspection'

/**
 * Every exemption considered, and whose token it is. Nobody is asked here: `facts.token` is what an issuer said, by the request's
 * decision or by whoever asks "what if". A token that is only in the request was verified by nobody, and is never allowed.
 */
export function explainIntrospection(
  config: IntrospectionConfig,
  request: RequestView,
  facts: Facts,
): readonly Consideration[] {
  const exempt = explainExemptions(FILTER, config, request)
  if (exempt.some(({ outcome }) => outcome === 'matched')) {
    // As the check: what nobody verified, the checks after it do not see.
    facts.exempt = true
    delete facts.token
    const got = `${request.method} ${request.path}`
    return [...exempt, { filter: FILTER, outcome: 'allowed', field: 'exempt', expected: 'no token', got }]
  }
  return [...exempt, explainToken(config, request, facts)]
}

function explainToken(config: IntrospectionConfig, request: RequestView, facts: Facts): Consideration {
  const { token, externalAnswers } = facts
  const names = config.issuers.map(({ name }) => name)
  const expected = `a token of ${names.join(' or ')}`
  const places = config.locations.map(tokenPlaceOf)
  const where = places.map(({ label }) => label).join(' or ')
  const common = { filter: FILTER, field: 'token' }
  const denied = ({ name }: Denial, got: string, change = `send ${expected}`): Consideration => ({
    ...{ ...common, outcome: 'denied', denial: name, expected, got, change },
  })
  const found = findToken(places, request, facts)
  if (found === SEVERAL) return denied(TWO_OPAQUE_TOKENS, 'more than one', 'send one token')
  if (token !== undefined) {
    return names.includes(token.issuer)
      ? { ...common, outcome: 'allowed', expected, got: token.issuer }
      : denied(OPAQUE_TOKEN_INACTIVE, `one of ${token.issuer}`)
  }
  if (found === undefined) {
    return config.required
      ? denied(OPAQUE_TOKEN_MISSING, `none in the ${where}`)
      : { ...common, outcome: 'allowed', field: 'required', expected: 'false', got: 'no token' }
  }
  const outage = externalAnswers?.find(({ filter, outcome }) => filter === FILTER && outcome === 'unavailable')
  if (outage !== undefined) return denied(INTROSPECTION_UNAVAILABLE, outage.detail, `have ${outage.upstream} answer`)
  return denied(OPAQUE_TOKEN_INACTIVE, 'a token that was not verified here')
}
