import type { Socket } from 'node:net'
import { msUntilClose } from '../identity/lifetime.ts'
import type { Client } from './client.ts'
import type { Engine } from './engine.ts'

/** How often a peer's certificate is looked at again, so that a jump of the clock does not keep its connection open (F10). */
const EXPIRY_CHECK_MS = 25_000

/** Closes a connection when the certificate that its peer proved itself with is over, whatever passes on it (T06). */
export function closeAtExpiry(engine: Engine, { notAfterMs }: Client, socket: Socket): void {
  if (!Number.isFinite(notAfterMs)) return
  const check = () => {
    const leftMs = msUntilClose(notAfterMs, engine.clock.now())
    if (leftMs === 0) socket.destroy()
    else engine.deadlines.set(deadline, Math.min(leftMs, EXPIRY_CHECK_MS))
  }
  const deadline = engine.deadlines.create(check)
  socket.once('close', () => engine.deadlines.remove(deadline))
  check()
}
