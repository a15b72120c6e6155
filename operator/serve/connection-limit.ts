import type { Socket } from 'node:net'
import type { Server } from 'node:tls'

export interface ConnectionLimitOptions {
  /** Open at once, of one address. */
  readonly maxOfAddress: number
  /** Called for each that was hung up on. */
  readonly onRefused: (remoteAddress: string) => void
}

/**
 * Hangs up on connections of an address that has so many open already: one pod, whatever it runs, takes no more than its
 * share of the sessions and descriptors that all of them need.
 *
 * Call it before the server listens, and after what else takes the connections of a server into its hands.
 */
export function limitConnections(server: Server, { maxOfAddress, onRefused }: ConnectionLimitOptions): void {
  const open = new Map<string, number>()
  const begin = server.listeners('connection')
  server.removeAllListeners('connection')
  server.on('connection', (socket: Socket) => {
    const { remoteAddress } = socket
    // Gone already.
    if (remoteAddress === undefined) return socket.destroy()
    const own = open.get(remoteAddress) ?? 0
    if (own >= maxOfAddress) {
      socket.destroy()
      return onRefused(remoteAddress)
    }
    open.set(remoteAddress, own + 1)
    socket.once('close', () => {
      const left = (open.get(remoteAddress) ?? 1) - 1
      if (left > 0) open.set(remoteAddress, left)
      else open.delete(remoteAddress)
    })
    for (const listener of begin) listener.call(server, socket)
  })
}
