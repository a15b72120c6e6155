/**
 * How far back certificates begin (F10): a machine whose clock is 5 minutes behind the operator's must still find a new
 * one valid.
 */
export const BACKDATE_MS = 6 * 60_000

/** From {@link BACKDATE_MS} ago to `lifetimeMs` from now, but never beyond `endOfSignerMs`. In whole seconds, as X.509 counts. */
export function validity(
  nowMs: number,
  lifetimeMs: number,
  endOfSignerMs = Number.POSITIVE_INFINITY,
): { readonly notBefore: Date; readonly notAfter: Date } {
  const toSecond = (ms: number) => new Date(Math.floor(ms / 1000) * 1000)
  return { notBefore: toSecond(nowMs - BACKDATE_MS), notAfter: toSecond(Math.min(nowMs + lifetimeMs, endOfSignerMs)) }
}
