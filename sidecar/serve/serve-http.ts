import type { Socket } from 'node:net'
import { TLSSocket } from 'node:tls'
import type { Accepted } from './accepted.ts'
import type { Client } from './client.ts'
import { HttpConnection } from './connection.ts'
import type { Engine } from './engine.ts'
import { isAdequate } from './http2/adequate-tls.ts'
import { ERROR_CODE } from './http2/error-code.ts'
import { MESH_LIMITS, OUTSIDE_LIMITS } from './http2/limits.ts'
import { Http2Connection } from './http2-connection.ts'
import { guard } from './port.ts'
import type { HttpSite } from './site.ts'

/** What a client of HTTP/2 begins with (RFC 9113, 3.4): no method is called PRI, so that it cannot be HTTP/1.1. */
const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1')

/** A connection on which HTTP is to be served. */
export interface HttpOnConnection {
  readonly accepted: Accepted
  readonly socket: Socket
  readonly client: Client
  readonly site: HttpSite
  /** What TLS agreed on. Absent: HTTP/1.1, or HTTP/2 by prior knowledge where the site takes it. */
  readonly version?: 'http1' | 'http2'
}

/** Serves HTTP on a connection to its end. */
export function serveHttp(engine: Engine, on: HttpOnConnection): void {
  const { accepted, socket, client, site, version = site.takesPreface === true ? undefined : 'http1' } = on
  if (version === undefined) return readPreface(engine, on)
  if (version === 'http2') {
    // Of a peer in the mesh it is known who it is, and that its sidecar bounds each of its callers.
    const limits = client.peer.spiffeId === undefined ? OUTSIDE_LIMITS : MESH_LIMITS
    const connection = new Http2Connection({ engine, socket, client, site, limits })
    accepted.served = connection
    if (!(socket instanceof TLSSocket)) return
    const { name } = socket.getCipher()
    if (isAdequate(socket.getProtocol(), name)) return
    return connection.refuse(ERROR_CODE.INADEQUATE_SECURITY, `${name} is not enough for HTTP/2`)
  }
  accepted.served = new HttpConnection({
    engine,
    socket,
    client,
    site,
    handOver: (next) => serveHttp(engine, { accepted, socket, client, site: next }),
  })
}

/** Reads as many bytes as tell the versions apart, and puts them back. */
function readPreface(engine: Engine, on: HttpOnConnection): void {
  const { accepted, socket } = on
  let read: Buffer = Buffer.alloc(0)
  const settle = () => {
    engine.deadlines.remove(deadline)
    socket.off('data', onData)
    socket.off('end', onGone)
    socket.off('close', onGone)
  }
  const onData = (chunk: Buffer) => {
    read = read.length === 0 ? chunk : Buffer.concat([read, chunk])
    const compared = Math.min(read.length, PREFACE.length)
    const isPreface = read.compare(PREFACE, 0, compared, 0, compared) === 0
    if (isPreface && compared < PREFACE.length) return
    settle()
    socket.pause()
    socket.unshift(read)
    guard(engine, socket, () => serveHttp(engine, { ...on, version: isPreface ? 'http2' : 'http1' }))
  }
  const onGone = () => {
    settle()
    socket.destroy()
  }
  const deadline = engine.deadlines.create(onGone)
  const nowMs = engine.clock.monotonic()
  engine.deadlines.set(deadline, engine.limits.idleMs, nowMs)
  accepted.served = { idleSinceMs: nowMs, headSinceMs: undefined, drain: onGone }
  socket.on('data', onData)
  socket.on('end', onGone)
  socket.on('close', onGone)
  socket.resume()
}
