import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect as connectPlain, type Socket } from 'node:net'
import { type ConnectionOptions, connect as connectTls, type TLSSocket } from 'node:tls'
import { MESH_ALPN, type MeshAlpn } from '../../../contract/alpn.ts'
import type { SpiffeId } from '../../../model/spiffe-id.ts'
import type { Identity } from '../../identity/identity.ts'
import { clientTlsOptions } from '../../identity/tls-options.ts'
import { until } from './until.ts'

/** A response as a test reads it. */
export interface TestResponse {
  readonly status: number
  readonly headers: ReadonlyMap<string, string>
  readonly body: string
  /** As it came. */
  readonly head: string
}

/** A client that writes what a test says, to the byte, and reads what comes. */
export class TestClient {
  readonly socket: Socket
  received: Buffer = Buffer.alloc(0)
  hasEnded = false
  isClosed = false
  error: Error | undefined

  constructor(socket: Socket) {
    this.socket = socket
    socket.on('data', (chunk: Buffer) => {
      this.received = Buffer.concat([this.received, chunk])
    })
    socket.on('end', () => {
      this.hasEnded = true
    })
    socket.on('error', (error: Error) => {
      this.error = error
    })
    socket.on('close', () => {
      this.isClosed = true
    })
  }

  send(text: string | Buffer): void {
    this.socket.write(text)
  }

  /** The next response, read whole. */
  async response({ toHead = false, deadlineMs = 30_000 } = {}): Promise<TestResponse> {
    let parsed: { readonly response: TestResponse; readonly length: number } | undefined
    await until(
      () => {
        parsed = parseResponse(this.received, toHead, this.hasEnded || this.isClosed)
        return parsed !== undefined || ((this.hasEnded || this.isClosed) && this.received.length === 0)
      },
      `a response (got ${JSON.stringify(this.received.toString('latin1').slice(0, 300))})`,
      deadlineMs,
    )
    assert.ok(parsed !== undefined, `closed without a response${this.error ? `: ${this.error.message}` : ''}`)
    this.received = this.received.subarray(parsed.length)
    return parsed.response
  }

  async request(text: string, options: { readonly toHead?: boolean } = {}): Promise<TestResponse> {
    this.send(text)
    return this.response(options)
  }

  /** Resolves when the other side has closed. */
  async closed(deadlineMs = 30_000): Promise<void> {
    await until(() => this.hasEnded || this.isClosed, 'the connection is closed', deadlineMs)
  }

  async text(text: string): Promise<void> {
    await until(() => this.received.includes(text), `${JSON.stringify(text)} arrives`)
  }

  destroy(): void {
    this.socket.destroy()
  }
}

export async function dialPlain(port: number, host = '127.0.0.1'): Promise<TestClient> {
  const socket = connectPlain({ port, host, allowHalfOpen: true })
  await once(socket, 'connect')
  return new TestClient(socket)
}

/** As the sidecar of `identity` would dial, expecting `expected` there. */
export async function dialMesh(
  port: number,
  identity: Identity,
  expected: SpiffeId,
  alpn: MeshAlpn = MESH_ALPN.http,
): Promise<TestClient> {
  const options: ConnectionOptions & { allowHalfOpen: boolean } = {
    ...clientTlsOptions(identity, new Set([expected]), { alpn, now: Date.now }),
    host: '127.0.0.1',
    port,
    allowHalfOpen: true,
  }
  return dialTls(options)
}

export async function dialTls(options: ConnectionOptions & { readonly allowHalfOpen?: boolean }): Promise<TestClient> {
  const socket: TLSSocket = connectTls(options)
  await once(socket, 'secureConnect')
  return new TestClient(socket)
}

/** GET with a Host, and whatever lines a test adds. */
export function get(path: string, lines: readonly string[] = [], host = 'orders.shop'): string {
  return `GET ${path} HTTP/1.1\r\nHost: ${host}\r\n${lines.map((line) => `${line}\r\n`).join('')}\r\n`
}

export function parseResponse(
  bytes: Buffer,
  toHead: boolean,
  isClosed: boolean,
): { readonly response: TestResponse; readonly length: number } | undefined {
  const headEnd = bytes.indexOf('\r\n\r\n')
  if (headEnd === -1) return undefined
  const head = bytes.toString('latin1', 0, headEnd)
  const [statusLine = '', ...lines] = head.split('\r\n')
  const headers = new Map(
    lines.map((line) => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 1).trim()]),
  )
  const status = Number(statusLine.split(' ')[1])
  const start = headEnd + 4
  const done = (body: string, length: number) => ({ response: { status, headers, body, head }, length })
  if (toHead || status < 200 || status === 204 || status === 304) return done('', start)
  const declared = headers.get('content-length')
  if (declared !== undefined) {
    const end = start + Number(declared)
    return bytes.length < end ? undefined : done(bytes.toString('utf8', start, end), end)
  }
  if (headers.get('transfer-encoding') === 'chunked') return readChunks(bytes, start, done)
  return isClosed ? done(bytes.toString('utf8', start), bytes.length) : undefined
}

function readChunks<T>(bytes: Buffer, start: number, done: (body: string, length: number) => T): T | undefined {
  const parts: Buffer[] = []
  let at = start
  for (;;) {
    const lineEnd = bytes.indexOf('\r\n', at)
    if (lineEnd === -1) return undefined
    const size = Number.parseInt(bytes.toString('latin1', at, lineEnd), 16)
    const end = lineEnd + 2 + size
    if (bytes.length < end + 2) return undefined
    if (size === 0) return done(Buffer.concat(parts).toString('utf8'), end + 2)
    parts.push(bytes.subarray(lineEnd + 2, end))
    at = end + 2
  }
}
