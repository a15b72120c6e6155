/** Something that requests can be sent to. */
export interface Candidate {
  /** Requests that it has now. */
  readonly outstanding: number
  isAvailable(nowMs: number): boolean
}

/**
 * Power of two choices: of two endpoints drawn at random, the one with fewer requests (Mitzenmacher, 2001). It follows load
 * without anyone counting all of it, and never herds.
 *
 * Endpoints that are put aside are left out unless all of them are: to try one of them is better than to try none.
 * `except`, the one that has just failed, is left out too. Undefined only if there is no other.
 */
export function pick<C extends Candidate>(
  candidates: readonly C[],
  random: () => number,
  nowMs: number,
  except?: C,
): C | undefined {
  const only = candidates.length === 1 ? candidates[0] : undefined
  if (only !== undefined) return only === except ? undefined : only
  const isUsable = (candidate: C) => candidate !== except && candidate.isAvailable(nowMs)
  let usable = candidates
  if (!candidates.every(isUsable)) {
    usable = candidates.filter(isUsable)
    if (usable.length === 0) usable = candidates.filter((candidate) => candidate !== except)
  }
  const { length } = usable
  if (length < 2) return usable[0]
  const first = Math.floor(random() * length)
  const step = 1 + Math.floor(random() * (length - 1))
  const a = usable[first]!
  const b = usable[(first + step) % length]!
  return b.outstanding < a.outstanding ? b : a
}
