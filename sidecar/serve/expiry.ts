import type { Socket } from 'node:net'
import { TLSSocket } from 'node:tls'
import { msUntilClose } from '../identity/lifetime.ts'
import type { Client } from './client.ts'
import type { Engine } from './engine.ts'

/** Milliseconds that a tunnel outlives the certificate of its peer, as long as bytes pass (T06: at most 60 s, timers included). */
const TUNNEL_GRACE_MS = 59_000

/** Milliseconds without a byte in which a tunnel is cut between what is said, and not in the middle of it. */
const QUIET_MS = 1_000

/** How often a peer's certificate is looked at again, so that a jump of the clock does not keep its connection open (F10). */
const EXPIRY_CHECK_MS = 25_000

/**
 * Closes a connection when the certificate that its peer proved itself with is over, whatever passes on it (T06), and when
 * the root of that is distrusted (F06). What passes bytes unread has no request that it could end with: a tunnel goes in
 * its first quiet second.
 */
export function closeAtExpiry(
  engine: Engine,
  { notAfterMs }: Client,
  socket: Socket,
  isTunnel: () => boolean = () => false,
): void {
  if (!Number.isFinite(notAfterMs)) return
  /** Bytes both ways when a tunnel whose certificate is over was last looked at. */
  let passed: number | undefined
  const check = () => {
    const nowMs = engine.clock.now()
    if (!isTunnel()) return closeOrWait(msUntilClose(notAfterMs, nowMs))
    if (nowMs < notAfterMs) return closeOrWait(notAfterMs - nowMs)
    const before = passed
    passed = socket.bytesRead + socket.bytesWritten
    const leftMs = Math.max(0, notAfterMs + TUNNEL_GRACE_MS - nowMs)
    closeOrWait(passed === before ? 0 : Math.min(leftMs, QUIET_MS))
  }
  const closeOrWait = (ms: number) => {
    if (ms === 0) socket.destroy()
    else engine.deadlines.set(deadline, Math.min(ms, EXPIRY_CHECK_MS))
  }
  const deadline = engine.deadlines.create(check)
  socket.once('close', () => engine.deadlines.remove(deadline))
  check()
  if (socket instanceof TLSSocket) engine.poolDeps.meshConnections?.add(socket)
}
