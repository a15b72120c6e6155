import type { SectionContext } from '../../model/section.ts'

/** What becomes of a token once it was verified, as a policy writes it. */
export type Forward = 'Strip' | 'Keep' | 'Exchange'

/** A level's word on it: floors first, then the most specific. */
export interface SaidForward {
  readonly value: Forward
  readonly byFloor: boolean
}

/**
 * The most specific policy's word, within what floors permit: one that says Exchange has it exchanged everywhere, and of one that
 * says Strip nothing is left but to exchange it, which is as strict. Only a gateway exchanges: elsewhere the token is taken off.
 */
export function forwardOf(said: readonly SaidForward[], role: SectionContext['role']): 'strip' | 'keep' | 'exchange' {
  const own = said.find(({ byFloor }) => !byFloor)?.value
  const byFloor = said.filter((each) => each.byFloor).map(({ value }) => value)
  if (own === 'Exchange' || byFloor.includes('Exchange')) return role === 'gateway' ? 'exchange' : 'strip'
  if (byFloor.includes('Strip')) return 'strip'
  return (own ?? byFloor[0]) === 'Keep' ? 'keep' : 'strip'
}
