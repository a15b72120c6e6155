import type { FilterDeps } from '../../model/filter.ts'
import { TOKEN_REVOKED } from './denials.ts'
import { type Refusal, refuse } from './refusal.ts'
import type { KnownToken } from './verifier.ts'

/**
 * Asks whether a verified token was revoked: each time, wherever it was remembered. One that was not among the revocations needs
 * no second look before there are others, so that this is one comparison.
 */
export function askRevocations({
  revocations,
  count,
}: Pick<FilterDeps, 'revocations' | 'count'>): (known: KnownToken) => Refusal | undefined {
  if (revocations === undefined) return () => undefined
  return (known) => {
    if (known.clearedBy === revocations.generation) return undefined
    const { generation } = revocations
    const by = revocations.revokedBy(revocableOf(known))
    if (by === undefined) {
      known.clearedBy = generation
      return undefined
    }
    count('tokens_rejected', known.token.issuer)
    return refuse(TOKEN_REVOKED, `revoked by TokenRevocation ${by}`, 'later', known.token.issuer)
  }
}

function revocableOf({ token: { issuer, subject, claims }, kid }: KnownToken) {
  const { jti, iat } = claims
  return {
    issuer,
    ...(kid !== undefined && { kid }),
    ...(typeof jti === 'string' && { jti }),
    ...(subject !== undefined && { sub: subject }),
    ...(typeof iat === 'number' && { issuedAt: iat }),
  }
}
