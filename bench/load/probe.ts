import { once } from 'node:events'
import { connect as connectPlain, type Socket } from 'node:net'
import { connect, TLSSocket } from 'node:tls'
import type { KeyAndChain } from '../world/certificates.ts'
import { HTTP1_ALPN } from './tools.ts'

/** One request and all that is to be known of its answer. */
export interface Probed {
  readonly status: number
  readonly body: string
  /** Octets of the whole answer, as the generator counts them. */
  readonly bytes: number
  /** Protocol, cipher and group of the connection: those of all contestants are to be equal. */
  readonly tls: string
}

export interface ProbeRequest {
  readonly port: number
  readonly path: string
  /** PEM: whom to expect the server's certificate from. */
  readonly root: string
  /** The client's; absent: none is shown. */
  readonly certificate?: KeyAndChain | undefined
  readonly token?: string | undefined
  readonly headers?: Readonly<Record<string, string>> | undefined
  /** Octets of a POST; absent: GET. */
  readonly postBytes?: number | undefined
  readonly isFresh?: boolean
  readonly isPlain?: boolean
}

/** The connection was closed before an answer, or never came about. */
export class ClosedError extends Error {
  override readonly name = 'ClosedError'
}

const PROBE_MS = 10_000

/** Opens a connection as generators do. */
export function connectTls(
  { port, root, certificate }: Pick<ProbeRequest, 'port' | 'root' | 'certificate'>,
  alpn: readonly string[],
): TLSSocket {
  return connect({
    host: '127.0.0.1',
    port,
    ca: root,
    ...(certificate === undefined ? {} : { cert: certificate.chain, key: certificate.privateKey }),
    ALPNProtocols: [...alpn],
    minVersion: 'TLSv1.3',
    ciphers: 'TLS_AES_256_GCM_SHA384',
    ecdhCurve: 'X25519:P-256',
    checkServerIdentity: () => undefined,
  })
}

/** Sends what the generator sends, on a connection of its own, and reads the answer. Rejects with a {@link ClosedError}. */
export async function probe(request: ProbeRequest): Promise<Probed> {
  const { port, isPlain = false } = request
  const socket = isPlain ? connectPlain(port, '127.0.0.1') : connectTls(request, HTTP1_ALPN)
  socket.setTimeout(PROBE_MS, () => socket.destroy(new Error('no answer in time')))
  try {
    await once(socket, isPlain ? 'connect' : 'secureConnect')
    socket.write(textOf(request))
    return await readAnswer(socket)
  } catch (cause) {
    if (cause instanceof ClosedError) throw cause
    throw new ClosedError(`no answer: ${(cause as Error).message}`, { cause })
  } finally {
    socket.destroy()
  }
}

function textOf({ port, path, token, headers = {}, postBytes, isFresh = false }: ProbeRequest): string {
  const fields = {
    Host: `127.0.0.1:${port}`,
    ...headers,
    ...(token !== undefined && { Authorization: `Bearer ${token}` }),
    ...(isFresh && { Connection: 'close' }),
    ...(postBytes !== undefined && { 'Content-Length': `${postBytes}` }),
  }
  const lines = Object.entries(fields).map(([name, value]) => `${name}: ${value}\r\n`)
  const body = postBytes === undefined ? '' : 'hauberk '.repeat(postBytes / 8)
  return `${postBytes === undefined ? 'GET' : 'POST'} ${path} HTTP/1.1\r\n${lines.join('')}\r\n${body}`
}

async function readAnswer(socket: Socket): Promise<Probed> {
  let text = ''
  for await (const chunk of socket) {
    text += (chunk as Buffer).toString('latin1')
    const headEnd = text.indexOf('\r\n\r\n')
    if (headEnd === -1) continue
    const head = text.slice(0, headEnd)
    const length = /^content-length: *(\d+)$/im.exec(head)?.[1]
    if (length === undefined) throw new Error(`an answer without a length:\n${head}`)
    const bytes = headEnd + 4 + Number(length)
    if (text.length < bytes) continue
    if (text.length > bytes) throw new Error('more than one answer')
    const tls = socket instanceof TLSSocket ? describeTls(socket) : 'plaintext'
    return { status: Number(head.slice(9, 12)), body: text.slice(headEnd + 4), bytes, tls }
  }
  throw new ClosedError('closed without an answer')
}

/** Protocol, cipher and group. */
export function describeTls(socket: TLSSocket): string {
  const { type, name } = socket.getEphemeralKeyInfo() as { type?: string; name?: string }
  return `${socket.getProtocol()} ${socket.getCipher().standardName} ${name ?? type}`
}
