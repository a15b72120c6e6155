import { hash } from 'node:crypto'

/** Users whose pseudonym is remembered. With one more, all are forgotten: making one costs a microsecond. */
export const MAX_PSEUDONYMS = 4_096

/**
 * A name for a user that tells nobody who it is, and is the same in every process of the mesh: the first 16 hex digits of the SHA-256 of
 * the token's `sub`. It keeps names out of what many read. It is no secret: whoever has a list of all users can make the same list.
 */
export function pseudonymOf(subject: string): string {
  return hash('sha256', subject, 'hex').slice(0, 16)
}

/** {@link pseudonymOf} for the request path, where the same users come again. */
export interface Pseudonyms {
  readonly size: number
  of(subject: string): string
}

export function createPseudonyms(): Pseudonyms {
  const known = new Map<string, string>()
  return {
    get size() {
      return known.size
    },
    of(subject) {
      const before = known.get(subject)
      if (before !== undefined) return before
      const pseudonym = pseudonymOf(subject)
      if (known.size >= MAX_PSEUDONYMS) known.clear()
      // A long one is not worth its memory.
      if (subject.length <= 256) known.set(subject, pseudonym)
      return pseudonym
    },
  }
}
