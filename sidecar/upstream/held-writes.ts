import type { Socket } from 'node:net'

/** Sockets that wait at once: what came in first waits for as many others, and no longer. */
export const MAX_HELD = 16

let held: Socket[] = []

/**
 * Has what is written to the socket in this turn of the event loop go out at its end, with what was written to others.
 *
 * An application that sleeps is woken by the first write it can read, and that costs the writer more than the write. Of
 * requests that were read in one turn each would wake it again, because it is done with one before we are with the next;
 * sent together they wake it once. Whoever is alone in a turn waits for nothing.
 */
export function holdWrites(socket: Socket): void {
  if (socket.writableCorked > 0) return
  socket.cork()
  held.push(socket)
  if (held.length === 1) setImmediate(letGo)
  else if (held.length === MAX_HELD) letGo()
}

function letGo(): void {
  const sockets = held
  held = []
  for (const socket of sockets) socket.uncork()
}
