import type { Socket } from 'node:net'
import type { Server } from 'node:tls'

/** Connections of which nobody knows yet whether they are the API server's. */
export interface Strangers {
  /** It is: whoever comes after it does not end it. */
  know(socket: Pick<Socket, 'remoteAddress' | 'remotePort'>): void
  /** Ends all of them: those that are in their handshake yet are no connections to an HTTP server. */
  end(): void
}

/**
 * Ends the oldest stranger where there are `max` and another one comes. Everybody who reaches the port may connect and say
 * nothing (T28): were newcomers sent away instead, the API server would be among them, and no pod could be made.
 */
export function limitStrangers(server: Server, max: number): Strangers {
  /** By address and port of the client, the oldest first. */
  const strangers = new Map<string, Socket>()
  server.prependListener('connection', (socket: Socket) => {
    if (strangers.size >= max) {
      const [oldest] = strangers
      strangers.delete(oldest?.[0] ?? '')
      oldest?.[1].destroy()
    }
    const key = keyOf(socket)
    strangers.set(key, socket)
    socket.once('close', () => {
      if (strangers.get(key) === socket) strangers.delete(key)
    })
  })
  return {
    know: (socket) => void strangers.delete(keyOf(socket)),
    end() {
      for (const socket of strangers.values()) socket.destroy()
    },
  }
}

function keyOf({ remoteAddress, remotePort }: Pick<Socket, 'remoteAddress' | 'remotePort'>): string {
  return `${remoteAddress} ${remotePort}`
}
