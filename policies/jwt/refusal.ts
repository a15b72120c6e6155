import type { Denial } from '../../model/verdict.ts'

/** Why a token was refused. */
export interface Refusal {
  readonly kind: 'refused'
  readonly denial: Denial
  /** For the log; names the field, never holds the token. */
  readonly detail: string
  /** The TokenIssuer that it was judged by, once that is known. */
  readonly issuer: string | undefined
  /** What would have to change for another answer: nothing can, the keys of the issuer, or time. */
  readonly until: 'never' | 'other-keys' | 'later'
}

export function refuse(denial: Denial, detail: string, until: Refusal['until'], issuer?: string): Refusal {
  return { kind: 'refused', denial, detail, issuer, until }
}
