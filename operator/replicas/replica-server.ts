import { type WebSocket, WebSocketServer } from 'ws'
import { decode } from '../../contract/codec.ts'
import type { SpiffeId } from '../../model/spiffe-id.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { Log } from '../../runtime/log.ts'
import type { PeerSessions } from '../serve/mesh-server.ts'
import { MAX_REPLICA_MESSAGE_BYTES, NOT_LEADING, REPLICA_PROTOCOL, ReplicaMessage } from './messages.ts'
import { MAX_REPLICAS, type ReplicaStream, type ReplicaTable } from './replica-table.ts'

/** The end that leads: takes what other operators tell into the table. */
export interface ReplicaServer extends PeerSessions {
  /** Others are heard from now on, or are sent away to whoever leads instead. */
  setLeading(isLeading: boolean): void
}

export interface ReplicaServerOptions {
  /** The operator's own: nobody else may tell anything. */
  readonly spiffeId: SpiffeId
  readonly table: ReplicaTable
  readonly clock: Clock
  readonly log: Log
}

/** Milliseconds between pings; a replica that hears nothing for 35 s hangs up. */
const PING_INTERVAL_MS = 10_000

/** A replica that did not answer in this time is gone. */
const SILENCE_LIMIT_MS = 30_000

export function createReplicaServer({ spiffeId, table, clock, log }: ReplicaServerOptions): ReplicaServer {
  const sockets = new Set<WebSocket>()
  const server = new WebSocketServer({
    noServer: true,
    perMessageDeflate: false,
    maxPayload: MAX_REPLICA_MESSAGE_BYTES,
    handleProtocols: (protocols) => (protocols.has(REPLICA_PROTOCOL) ? REPLICA_PROTOCOL : false),
  })
  let leads = false

  const begin = (socket: WebSocket, notAfterMs: number) => {
    sockets.add(socket)
    let stream: ReplicaStream | undefined
    let lastHeard = clock.monotonic()
    let cancelPing = () => {}
    const ping = () => {
      if (clock.monotonic() - lastHeard > SILENCE_LIMIT_MS) return socket.terminate()
      socket.ping()
      cancelPing = clock.setTimer(PING_INTERVAL_MS, ping, { keepAlive: false })
    }
    // At once: by the first ping the replica knows that it is heard, and not only connected.
    ping()
    const cancelExpiry = clock.setTimer(
      Math.max(0, notAfterMs - clock.now()),
      () => socket.close(1000, 'the certificate of this session has expired'),
      { keepAlive: false },
    )
    const heard = () => {
      lastHeard = clock.monotonic()
    }
    socket.on('pong', heard)
    socket.on('message', (data, isBinary) => {
      heard()
      const decoded = isBinary ? undefined : decode(ReplicaMessage, data.toString())
      if (!decoded?.ok) {
        log.error('another operator says what this one does not understand', { issues: decoded?.issues ?? [] })
        socket.close(1003, 'not understood')
        return
      }
      const message = decoded.value
      if (message.type === 'hello') {
        stream?.end()
        stream = table.begin(message.replica, message.release)
        log.info('another operator tells who it serves', { 'hauberk.replica': message.replica })
      } else if (stream === undefined) socket.close(1002, 'no hello')
      else if (message.type === 'whole') stream.whole()
      else if (message.type === 'self')
        stream.self({ trusts: message.trusts, ...(message.root && { root: message.root }) })
      else if (!stream.update(message)) socket.close(1009, 'more than is taken')
    })
    socket.on('error', (err) => log.debug('session of another operator failed', { err }))
    socket.on('close', () => {
      cancelPing()
      cancelExpiry()
      sockets.delete(socket)
      stream?.end()
    })
  }

  const hangUp = (code: number, reason: string) => {
    for (const socket of sockets) {
      socket.close(code, reason)
      socket.terminate()
    }
  }

  return {
    setLeading(isLeading) {
      if (leads === isLeading) return
      leads = isLeading
      if (leads) return
      hangUp(NOT_LEADING, 'another operator leads')
      table.clear()
    },
    accept(request, socket, head, peer, peerNotAfterMs) {
      if (peer !== spiffeId) {
        log.warn('session refused', { 'event.reason': 'not-an-operator', 'client.spiffe_id': peer })
        socket.end('HTTP/1.1 403 Forbidden\r\nConnection: close\r\nContent-Length: 0\r\n\r\n')
        return
      }
      server.handleUpgrade(request, socket, head, (webSocket) => {
        if (webSocket.protocol !== REPLICA_PROTOCOL) webSocket.close(1002, `speak ${REPLICA_PROTOCOL}`)
        else if (!leads) webSocket.close(NOT_LEADING, 'another operator leads')
        else if (sockets.size >= MAX_REPLICAS) webSocket.close(1013, 'too many operators')
        else begin(webSocket, peerNotAfterMs)
      })
    },
    close() {
      hangUp(1001, 'going away')
      server.close()
    },
  }
}
