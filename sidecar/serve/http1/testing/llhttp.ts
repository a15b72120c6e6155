import { once } from 'node:events'
import { createServer, type IncomingMessage, request } from 'node:http'
import { Duplex } from 'node:stream'

/** One message as `node:http` understood it: llhttp in strict mode, the oracle of the differential tests. */
export interface OracleMessage {
  readonly startLine: string
  /** Names in lower case. */
  readonly headers: readonly (readonly [string, string])[]
  readonly body: string
  readonly complete: boolean
}

export interface OracleTranscript {
  readonly messages: readonly OracleMessage[]
  /** What it refused with, if it refused anything. */
  readonly error: string | undefined
}

/** Feeds the octets to a real `http.Server` as one connection and tells which requests came out. */
export async function serverOracle(bytes: Buffer): Promise<OracleTranscript> {
  const messages: OracleMessage[] = []
  let error: string | undefined
  const pending: Promise<void>[] = []
  const server = createServer({ keepAliveTimeout: 0, requestTimeout: 0, headersTimeout: 0 }, (incoming, reply) => {
    const place = messages.length
    messages.push(unfinished(incoming))
    pending.push(
      collect(incoming).then((body) => {
        messages[place] = { ...unfinished(incoming), body, complete: incoming.complete }
        // Only now: a request that is answered early has its body thrown away.
        reply.end()
      }),
    )
  })
  server.on('clientError', (cause: NodeJS.ErrnoException, socket) => {
    error = cause.code ?? cause.message
    socket.destroy()
  })
  const wire = new Wire(bytes)
  server.emit('connection', wire)
  await wire.finished()
  await Promise.all(pending)
  return { messages, error }
}

/** Feeds the octets to a real `http.request` as the answer, and tells which response came out after interim ones. */
export async function clientOracle(bytes: Buffer, method = 'GET'): Promise<OracleTranscript> {
  const messages: OracleMessage[] = []
  let error: string | undefined
  const wire = new Wire(bytes)
  const outgoing = request({ method, path: '/', headers: { host: 'a' }, createConnection: () => wire })
  const pending: Promise<void>[] = []
  outgoing.on('error', (cause: NodeJS.ErrnoException) => {
    error = cause.code ?? cause.message
    wire.destroy()
  })
  outgoing.on('response', (incoming) => {
    const place = messages.length
    messages.push(unfinished(incoming))
    pending.push(
      collect(incoming).then((body) => {
        messages[place] = { ...unfinished(incoming), body, complete: incoming.complete }
      }),
    )
  })
  outgoing.on('upgrade', (_incoming, socket) => socket.destroy())
  outgoing.end()
  await wire.finished()
  await Promise.all(pending)
  return { messages, error }
}

function unfinished(incoming: IncomingMessage): OracleMessage {
  const { rawHeaders, method, url, statusCode, httpVersionMinor } = incoming
  const start = statusCode === null || statusCode === undefined ? `${method} ${url}` : `${statusCode}`
  const headers: (readonly [string, string])[] = []
  for (let at = 0; at < rawHeaders.length; at += 2) headers.push([rawHeaders[at]!.toLowerCase(), rawHeaders[at + 1]!])
  return { startLine: `${start} 1.${httpVersionMinor}`, headers, body: '', complete: false }
}

async function collect(incoming: IncomingMessage): Promise<string> {
  let body = ''
  incoming.on('data', (chunk: Buffer) => {
    body += chunk.toString('latin1')
  })
  // An aborted message ends with an error; what counts is `complete`.
  incoming.on('error', () => {})
  if (!incoming.closed) await once(incoming, 'close').catch(() => {})
  return body
}

/** A connection in memory: everything the peer sends, then its end. What is written to it is forgotten. */
class Wire extends Duplex {
  #bytes: Buffer | null

  constructor(bytes: Buffer) {
    super({ allowHalfOpen: true })
    this.#bytes = bytes
    this.on('error', () => {})
  }

  override _read(): void {
    this.push(this.#bytes)
    this.#bytes = null
  }

  override _write(_chunk: unknown, _encoding: unknown, done: () => void): void {
    done()
  }

  setTimeout(): this {
    return this
  }

  setNoDelay(): this {
    return this
  }

  setKeepAlive(): this {
    return this
  }

  ref(): this {
    return this
  }

  unref(): this {
    return this
  }

  /** The other side has taken all of it and is through. */
  async finished(): Promise<void> {
    if (!this.closed) await once(this, 'close')
  }
}
