import type { Socket } from 'node:net'
import type { Server } from 'node:tls'
import type { Clock } from '../../runtime/clock.ts'
import type { Log } from '../../runtime/log.ts'

export interface HandshakeLimitOptions {
  readonly clock: Pick<Clock, 'setTimer'>
  readonly log: Log
  /** Handshakes at once. Default 1,024: at 2 ms each the last one is done before its client gives up, which is after 5 s. */
  readonly max?: number
  /** Of one address. Default 256: whoever connects and says nothing keeps the others out no more than that. */
  readonly maxOfAddress?: number
}

/** Milliseconds in which refusals are gathered for one line of the log. */
const LOG_INTERVAL_MS = 10_000

/**
 * Hangs up on connections while so many others are in their TLS handshake.
 *
 * When thousands of sidecars come at once (the operator was started again), serving all of them at the same time serves
 * none before it gives up, and then all come again. So those that are begun are finished, and the others are sent away
 * while that costs next to nothing: they come again after their backoff.
 *
 * Call it before the server listens. Returns how to end the handshakes that are under way.
 */
export function limitHandshakes(server: Server, options: HandshakeLimitOptions): () => void {
  const { clock, log, max = 1_024, maxOfAddress = 256 } = options
  /** By address and port of the client. */
  const shaking = new Map<string, Socket>()
  const ofAddress = new Map<string, number>()
  let refused = 0

  const finish = (key: string, address: string) => {
    if (!shaking.delete(key)) return
    const left = (ofAddress.get(address) ?? 1) - 1
    if (left > 0) ofAddress.set(address, left)
    else ofAddress.delete(address)
  }
  const refuse = (socket: Socket) => {
    socket.destroy()
    refused += 1
    if (refused > 1) return
    const tell = () => {
      log.warn('too many connections at once, some were refused', { 'hauberk.connections': refused })
      refused = 0
    }
    clock.setTimer(LOG_INTERVAL_MS, tell, { keepAlive: false })
  }

  const begin = server.listeners('connection')
  server.removeAllListeners('connection')
  server.on('connection', (socket: Socket) => {
    const { remoteAddress, remotePort } = socket
    // Gone already.
    if (remoteAddress === undefined) return socket.destroy()
    const own = ofAddress.get(remoteAddress) ?? 0
    if (shaking.size >= max || own >= maxOfAddress) return refuse(socket)
    const key = `${remoteAddress} ${remotePort}`
    shaking.set(key, socket)
    ofAddress.set(remoteAddress, own + 1)
    socket.once('close', () => finish(key, remoteAddress))
    for (const listener of begin) listener.call(server, socket)
  })
  server.on('secureConnection', ({ remoteAddress = '', remotePort }) => {
    finish(`${remoteAddress} ${remotePort}`, remoteAddress)
  })
  return () => {
    for (const socket of shaking.values()) socket.destroy()
  }
}
