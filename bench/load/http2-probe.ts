import { once } from 'node:events'
import { type ClientHttp2Stream, connect } from 'node:http2'
import { NotThereError } from '../scenario.ts'
import { ClosedError, connectTls, describeTls, type Probed, type ProbeRequest } from './probe.ts'
import { HTTP2_ALPN } from './tools.ts'

const NO_HTTP2 = `it agrees on none of ${HTTP2_ALPN.join(', ')}`
/** The alert of RFC 7301, 3.2. */
const NO_PROTOCOL = 'ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL'
const PROBE_MS = 10_000

/** As `probe` does it, over HTTP/2. Rejects with a `NotThereError` when the proxy agrees on no such protocol. */
export function probeHttp2(request: ProbeRequest): Promise<Probed> {
  return ask(request, { ':method': 'GET', ...request.headers }, undefined)
}

/**
 * The same for a unary call of gRPC: the status is that of HTTP which means the same as the call's, and the body is the
 * message that came back.
 */
export async function probeGrpc(request: ProbeRequest): Promise<Probed> {
  const answer = await ask(
    request,
    { ':method': 'POST', 'content-type': 'application/grpc', te: 'trailers', ...request.headers },
    GRPC_MESSAGE,
  )
  if (answer.status !== 200) return answer
  if (answer.grpcStatus === undefined) throw new Error('an answer without grpc-status')
  return { ...answer, status: HTTP_STATUS_OF[answer.grpcStatus] ?? 500 }
}

/** One message of 256 octets, not compressed: `Length-Prefixed-Message` of gRPC over HTTP/2. */
const PAYLOAD = 'hauberk '.repeat(32)
export const GRPC_MESSAGE = Buffer.concat([Buffer.from([0, 0, 0, 1, 0]), Buffer.from(PAYLOAD)])

/** OK, PERMISSION_DENIED, RESOURCE_EXHAUSTED and UNAUTHENTICATED. */
const HTTP_STATUS_OF: Readonly<Record<string, number>> = { 0: 200, 7: 403, 8: 429, 16: 401 }

async function ask(
  request: ProbeRequest,
  fields: Readonly<Record<string, string>>,
  body: Buffer | undefined,
): Promise<Probed & { readonly grpcStatus: string | undefined }> {
  const { port, path, token } = request
  const socket = connectTls(request, HTTP2_ALPN)
  socket.setTimeout(PROBE_MS, () => socket.destroy(new Error('no answer in time')))
  try {
    await once(socket, 'secureConnect')
    if (!HTTP2_ALPN.includes(socket.alpnProtocol || '')) {
      throw new NotThereError(NO_HTTP2)
    }
    const session = connect(`https://127.0.0.1:${port}`, { createConnection: () => socket })
    session.on('error', () => {})
    const authorization = token === undefined ? {} : { authorization: `Bearer ${token}` }
    const stream = session.request({ ':path': path, ...fields, ...authorization }, { endStream: body === undefined })
    if (body !== undefined) stream.end(body)
    return { ...(await readAnswer(stream)), tls: describeTls(socket) }
  } catch (cause) {
    if (cause instanceof NotThereError) throw cause
    if ((cause as NodeJS.ErrnoException).code === NO_PROTOCOL) throw new NotThereError(NO_HTTP2)
    // A server that refuses a certificate does so after the client's handshake is over, or never names a protocol.
    throw new ClosedError(`no answer: ${(cause as Error).message}`, { cause })
  } finally {
    socket.destroy()
  }
}

async function readAnswer(stream: ClientHttp2Stream) {
  const head: Record<string, string> = {}
  const take = (fields: object) => {
    for (const [name, value] of Object.entries(fields)) head[name] = String(value)
  }
  stream.on('response', take)
  stream.on('trailers', take)
  const parts: Buffer[] = []
  for await (const part of stream) parts.push(part as Buffer)
  const body = Buffer.concat(parts)
  return {
    status: Number(head[':status']),
    body: body.toString('latin1'),
    bytes: body.length,
    grpcStatus: head['grpc-status'],
  }
}
