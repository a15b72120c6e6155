/**
 * How long a connection outlives the certificate its peer proved itself with (T06: at most 60 s). Requests that were
 * begun in time may end; the difference is for a busy event loop and two clocks.
 */
const GRACE_MS = 30_000

/**
 * Milliseconds until a connection must be closed, whatever it is doing: its peer's certificate has expired and the grace
 * is over. 0 when that is past.
 */
export function msUntilClose(peerNotAfterMs: number, nowMs: number): number {
  return Math.max(0, peerNotAfterMs + GRACE_MS - nowMs)
}

/**
 * Milliseconds until a client should put nothing new on a connection: the first of the two certificates expires. The
 * server closes it {@link msUntilClose} later, so a request sent before that has its answer. 0 when that is past.
 */
export function msUntilRetire(ownNotAfterMs: number, peerNotAfterMs: number, nowMs: number): number {
  return Math.max(0, Math.min(ownNotAfterMs, peerNotAfterMs) - nowMs)
}
