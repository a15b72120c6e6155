import { once } from 'node:events'
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
} from 'node:http2'
import type { TestContext } from 'node:test'
import { type ConnectionOptions, connect as connectTls } from 'node:tls'
import { MESH_ALPN } from '../../../contract/alpn.ts'
import type { SpiffeId } from '../../../model/spiffe-id.ts'
import type { Identity } from '../../identity/identity.ts'
import { clientTlsOptions } from '../../identity/tls-options.ts'

/** A response as a test reads it. */
export interface Http2TestResponse {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: string
  readonly trailers: IncomingHttpHeaders | undefined
  /** Statuses of the interim responses before it. */
  readonly interim: readonly number[]
}

/** Node's own client of HTTP/2, with prior knowledge. */
export async function connectHttp2(t: TestContext, port: number): Promise<ClientHttp2Session> {
  const session = connect(`http://127.0.0.1:${port}`)
  return begin(t, session)
}

/** The same over TLS, as whatever ALPN the options offer. */
export async function connectHttp2Tls(t: TestContext, options: ConnectionOptions): Promise<ClientHttp2Session> {
  const socket = connectTls({ ALPNProtocols: ['h2'], ...options })
  await once(socket, 'secureConnect')
  return begin(t, connect('https://shop.example', { createConnection: () => socket }))
}

/** As the sidecar of `identity` would dial, expecting `expected` there. */
export async function connectHttp2Mesh(
  t: TestContext,
  port: number,
  identity: Identity,
  expected: SpiffeId,
): Promise<ClientHttp2Session> {
  const options = clientTlsOptions(identity, new Set([expected]), { alpn: MESH_ALPN.http2, now: Date.now })
  const socket = connectTls({ ...options, host: '127.0.0.1', port })
  await once(socket, 'secureConnect')
  return begin(t, connect('http://orders.shop', { createConnection: () => socket }))
}

async function begin(t: TestContext, session: ClientHttp2Session): Promise<ClientHttp2Session> {
  session.on('error', () => {})
  t.after(() => session.destroy())
  await once(session, 'remoteSettings')
  return session
}

/** One request, and its response read whole. Rejects when the stream is reset. */
export async function exchange(
  session: ClientHttp2Session,
  headers: OutgoingHttpHeaders,
  body: string | Buffer = '',
  trailers?: OutgoingHttpHeaders,
): Promise<Http2TestResponse> {
  const stream = session.request(headers, { endStream: body.length === 0, waitForTrailers: trailers !== undefined })
  if (trailers !== undefined) stream.on('wantTrailers', () => stream.sendTrailers(trailers))
  if (body.length > 0) stream.end(body)
  return read(stream)
}

export function read(stream: ClientHttp2Stream): Promise<Http2TestResponse> {
  return new Promise((resolve, reject) => {
    let received: IncomingHttpHeaders = {}
    let trailers: IncomingHttpHeaders | undefined
    const chunks: Buffer[] = []
    const interim: number[] = []
    let isWhole = false
    stream.on('headers', (headers) => interim.push(Number(headers[':status'])))
    stream.on('continue', () => interim.push(100))
    stream.on('response', (headers) => {
      received = headers
    })
    stream.on('trailers', (headers) => {
      trailers = headers
    })
    stream.on('data', (chunk: Buffer) => chunks.push(chunk))
    stream.on('end', () => {
      isWhole = stream.rstCode === 0
    })
    stream.on('error', reject)
    stream.on('close', () => {
      if (received[':status'] === undefined) return reject(new Error(`closed with ${stream.rstCode}`))
      if (!isWhole) return reject(new Error(`broken off with ${stream.rstCode}`))
      const body = Buffer.concat(chunks).toString()
      resolve({ status: Number(received[':status']), headers: received, body, trailers, interim })
    })
  })
}
