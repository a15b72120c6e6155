import { once } from 'node:events'
import { connect, type TLSSocket } from 'node:tls'
import type { KeyAndChain } from '../world/certificates.ts'
import { OFFERED_ALPN } from './wrk.ts'

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
}

/** The connection was closed before an answer, or never came about. */
export class ClosedError extends Error {
  override readonly name = 'ClosedError'
}

const PROBE_MS = 5_000

/** Sends what the generator sends, on a connection of its own, and reads the answer. Rejects with a {@link ClosedError}. */
export async function probe({ port, path, root, certificate, token }: ProbeRequest): Promise<Probed> {
  const socket = connect({
    host: '127.0.0.1',
    port,
    ca: root,
    ...(certificate === undefined ? {} : { cert: certificate.chain, key: certificate.privateKey }),
    ALPNProtocols: [...OFFERED_ALPN],
    minVersion: 'TLSv1.3',
    ecdhCurve: 'X25519:P-256',
    checkServerIdentity: () => undefined,
  })
  socket.setTimeout(PROBE_MS, () => socket.destroy(new Error('no answer in time')))
  try {
    await once(socket, 'secureConnect')
    const authorization = token === undefined ? '' : `Authorization: Bearer ${token}\r\n`
    socket.write(`GET ${path} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n${authorization}\r\n`)
    return await readAnswer(socket)
  } catch (cause) {
    if (cause instanceof ClosedError) throw cause
    throw new ClosedError(`no answer: ${(cause as Error).message}`, { cause })
  } finally {
    socket.destroy()
  }
}

async function readAnswer(socket: TLSSocket): Promise<Probed> {
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
    const { type, name } = socket.getEphemeralKeyInfo() as { type?: string; name?: string }
    const tls = `${socket.getProtocol()} ${socket.getCipher().standardName} ${name ?? type}`
    return { status: Number(head.slice(9, 12)), body: text.slice(headEnd + 4), bytes, tls }
  }
  throw new ClosedError('closed without an answer')
}
