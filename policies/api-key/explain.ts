import type { Consideration } from '../../model/filter.ts'
import type { Facts, RequestView } from '../../model/request.ts'
import type { Denial } from '../../model/verdict.ts'
import { explainExemptions } from '../exemptions/explain.ts'
import { findToken, SEVERAL, tokenPlaceOf } from '../jwt/token-location.ts'
import type { ApiKeyConfig } from './config.ts'
import { API_KEY_INVALID, API_KEY_MISSING, TWO_API_KEYS } from './denials.ts'

/**
 * Every exemption considered, and whose key it is. No key and no time is judged here: `facts.client` is who a key was
 * verified to be of, by the request's decision or by whoever asks "what if". A key that is only in the request was verified
 * by nobody, and is never allowed.
 */
export function explainApiKey(config: ApiKeyConfig, request: RequestView, facts: Facts): readonly Consideration[] {
  const exempt = explainExemptions('api-key', config, request)
  if (exempt.some(({ outcome }) => outcome === 'matched')) {
    // As the check: what nobody verified, the checks after it do not see.
    facts.exempt = true
    delete facts.client
    const got = `${request.method} ${request.path}`
    return [...exempt, { filter: 'api-key', outcome: 'allowed', field: 'exempt', expected: 'no API key', got }]
  }
  return [...exempt, explainKey(config, request, facts)]
}

function explainKey(config: ApiKeyConfig, request: RequestView, { client }: Facts): Consideration {
  const places = config.locations.map(tokenPlaceOf)
  const where = places.map(({ label }) => label).join(' or ')
  const allowed = (field: string, expected: string, got: string): Consideration => ({
    filter: 'api-key',
    outcome: 'allowed',
    field,
    expected,
    got,
  })
  const denied = (
    { name }: Denial,
    field: string,
    expected: string,
    got: string,
    change = 'send a key of one of its clients',
  ): Consideration => ({ filter: 'api-key', outcome: 'denied', denial: name, field, expected, got, change })

  const found = findToken(places, request)
  if (found === SEVERAL) {
    return denied(TWO_API_KEYS, 'key', `one API key in the ${where}`, 'more than one', 'send one key')
  }
  if (client !== undefined) {
    const expected = clientsOf(config)
    return config.keys.some((key) => key.client === client.id)
      ? allowed('client', expected, client.id)
      : denied(API_KEY_INVALID, 'client', expected, client.id)
  }
  if (found !== undefined) {
    return denied(API_KEY_INVALID, 'key', `a key of ${clientsOf(config)}`, 'a key that was not verified here')
  }
  return config.required
    ? denied(API_KEY_MISSING, 'key', `an API key in the ${where}`, 'none')
    : allowed('required', 'false', 'no API key')
}

/** Clients that are named at most. */
const MAX_NAMED = 5

function clientsOf({ keys }: ApiKeyConfig): string {
  const names = [...new Set(keys.map(({ client }) => client))]
  const more = names.length - MAX_NAMED
  const named = names.slice(0, MAX_NAMED).join(' or ')
  return names.length === 0 ? 'nobody' : more > 0 ? `${named} or ${more} more` : named
}
