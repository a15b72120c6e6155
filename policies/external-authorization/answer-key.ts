import type { FilterCrypto } from '../../model/filter.ts'
import type { Facts, RequestView } from '../../model/request.ts'
import type { CacheKeyPart } from './config.ts'
import type { ToldRequest } from './told-request.ts'

/**
 * What an answer is remembered under: who asks, all that the service is told of in headers, and what the policy names. A
 * hash: what it is of may be a token.
 *
 * Who asks: the workload, the verified user and the client of an API key; where there is none of them, the address.
 */
export function answerKeyOf(
  parts: readonly CacheKeyPart[],
  told: ToldRequest,
  { clientIp }: RequestView,
  { token, client }: Facts,
  { sha256 }: Pick<FilterCrypto, 'sha256'>,
): string {
  const isKnown = told.principal !== '' || token !== undefined || client !== undefined
  const identity = [
    told.principal,
    token === undefined ? null : [token.issuer, token.iss, token.subject ?? null, token.claims],
    client?.id ?? null,
    isKnown ? null : clientIp,
  ]
  const named = parts.map((part) => (part === 'identity' ? '' : told[part]))
  return sha256(JSON.stringify([identity, told.headers, named]))
}
