import type { Socket } from 'node:net'
import type { Engine } from './engine.ts'

/** Milliseconds that a client is given to take the last words and go. */
const LINGER_MS = 2_000

/** Tells a client that is refused why, in its own protocol, and closes the connection. What it still sends is not read. */
export function sayAndClose({ deadlines, limits }: Engine, socket: Socket, words: Buffer): void {
  // What is still unread when a socket is closed makes a reset of it, which may overtake the words.
  const deadline = deadlines.create(() => socket.destroy())
  deadlines.set(deadline, Math.min(LINGER_MS, limits.headMs))
  socket.on('data', ignore)
  socket.once('end', () => socket.destroy())
  socket.once('close', () => deadlines.remove(deadline))
  socket.end(words)
  socket.resume()
}

function ignore(): void {}
