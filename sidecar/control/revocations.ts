import type { Revocation, RevocationsDocument } from '../../contract/revocations.ts'
import type { FilterClock, RevocableToken, Revocations } from '../../model/filter.ts'

/** The revocations as last pushed. */
export interface RevokedTokens extends Revocations {
  /** Takes a new document; the generation changes. */
  replace(document: RevocationsDocument): void
}

/** In the place of a name, where there are more revocations than a sidecar holds: no token is taken then. */
export const TOO_MANY = '(there are more of them than sidecars hold)'

/**
 * Finds revocations by `jti`, `sub` or `kid` in one lookup each; those that go by none of them, or by the issuer alone, are gone
 * through. All of that happens once for a token after each push: who asks goes by the generation.
 */
export function createRevokedTokens(clock: Pick<FilterClock, 'now'>): RevokedTokens {
  let generation = 0
  let index = indexOf({ revocations: [] })

  return {
    get generation() {
      return generation
    },
    replace(document) {
      index = indexOf(document)
      generation += 1
    },
    revokedBy(token) {
      if (index.isEmpty) return undefined
      if (index.tooMany) return TOO_MANY
      const nowMs = clock.now()
      for (const revocation of candidates(index, token)) {
        if (isRevoked(revocation, token, nowMs)) return revocation.name
      }
      return undefined
    },
  }
}

interface Index {
  readonly isEmpty: boolean
  readonly tooMany: boolean
  readonly byJti: ReadonlyMap<string, readonly Revocation[]>
  readonly bySub: ReadonlyMap<string, readonly Revocation[]>
  readonly byKid: ReadonlyMap<string, readonly Revocation[]>
  readonly others: readonly Revocation[]
}

function indexOf({ revocations, tooMany }: Pick<RevocationsDocument, 'revocations' | 'tooMany'>): Index {
  const by = (field: 'jti' | 'sub' | 'kid', among: readonly Revocation[]) =>
    Map.groupBy(among, (revocation) => revocation[field] ?? '')
  const [ofJti, notOfJti] = split(revocations, 'jti')
  const [ofSub, notOfSub] = split(notOfJti, 'sub')
  const [ofKid, others] = split(notOfSub, 'kid')
  return {
    isEmpty: revocations.length === 0 && tooMany !== true,
    tooMany: tooMany === true,
    byJti: by('jti', ofJti),
    bySub: by('sub', ofSub),
    byKid: by('kid', ofKid),
    others,
  }
}

function split(
  revocations: readonly Revocation[],
  field: 'jti' | 'sub' | 'kid',
): [has: readonly Revocation[], others: readonly Revocation[]] {
  return [
    revocations.filter((each) => each[field] !== undefined),
    revocations.filter((each) => each[field] === undefined),
  ]
}

function* candidates({ byJti, bySub, byKid, others }: Index, { jti, sub, kid }: RevocableToken): Generator<Revocation> {
  if (jti !== undefined) yield* byJti.get(jti) ?? []
  if (sub !== undefined) yield* bySub.get(sub) ?? []
  if (kid !== undefined) yield* byKid.get(kid) ?? []
  yield* others
}

function isRevoked(
  { issuer, jti, sub, kid, issuedBefore, untilMs }: Revocation,
  token: RevocableToken,
  nowMs: number,
): boolean {
  if (issuer !== undefined && issuer !== token.issuer) return false
  if (jti !== undefined && jti !== token.jti) return false
  if (sub !== undefined && sub !== token.sub) return false
  if (kid !== undefined && kid !== token.kid) return false
  if (issuedBefore !== undefined && token.issuedAt !== undefined && token.issuedAt >= issuedBefore) return false
  return untilMs === undefined || nowMs < untilMs
}
