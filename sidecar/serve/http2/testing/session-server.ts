import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { systemClock } from '../../../../runtime/clock.ts'
import { NO_HEADERS } from '../../http1/header-lines.ts'
import type { RequestHead } from '../../http1/message.ts'
import type { Problem } from '../../http1/problem.ts'
import { ERROR_CODE } from '../error-code.ts'
import type { Http2Handler, Http2StreamUser, SessionEnd } from '../handler.ts'
import { type Http2Limits, OUTSIDE_LIMITS } from '../limits.ts'
import { Http2Session } from '../session.ts'
import type { Http2Stream } from '../stream.ts'

/** What the server does with a request. */
export type Answer = (stream: Http2Stream, head: RequestHead | Problem, hasEnded: boolean) => void

/** A server whose connections are sessions over plain sockets, HTTP/2 with prior knowledge. */
export interface SessionServer {
  readonly port: number
  readonly sessions: ReadonlySet<Http2Session>
  /** Why connections ended, in that order. */
  readonly ends: readonly SessionEnd[]
  close(): Promise<void>
}

export interface SessionServerOptions {
  readonly limits?: Http2Limits
  readonly answer?: Answer
  readonly port?: number
}

export async function startSessionServer({
  limits = OUTSIDE_LIMITS,
  answer = echo,
  port = 0,
}: SessionServerOptions = {}): Promise<SessionServer> {
  const sessions = new Set<Http2Session>()
  const sockets = new Set<Socket>()
  const ends: SessionEnd[] = []
  const server: Server = createServer({ noDelay: true }, (socket) => {
    sockets.add(socket)
    const handler: Http2Handler = {
      onStream: answer,
      onGoaway() {},
      onIdle() {},
      onClose(end) {
        ends.push(end)
        sessions.delete(session)
        socket.end()
      },
    }
    const session = new Http2Session({
      role: 'server',
      write: (bytes) => socket.write(Buffer.from(bytes)),
      clock: systemClock,
      limits,
      handler,
    })
    sessions.add(session)
    socket.on('data', (chunk) => session.receive(chunk))
    socket.on('drain', () => session.onWritable())
    socket.on('error', () => {})
    socket.on('close', () => {
      sockets.delete(socket)
      session.disconnected()
    })
  })
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
  return {
    port: (server.address() as AddressInfo).port,
    sessions,
    ends,
    async close() {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

/** Answers with the body that was sent, or a short one of its own; trailers come back as trailers. */
export const echo: Answer = (stream, head, hasEnded) => {
  if (head.kind === 'problem') {
    respond(stream, head.status, true)
    if (!hasEnded) stream.reset(ERROR_CODE.NO_ERROR)
    return
  }
  if (hasEnded) {
    respond(stream, 200, head.method === 'HEAD')
    if (head.method !== 'HEAD') stream.sendData([Buffer.from('hello')], true)
    return
  }
  stream.user = new Echo(stream)
  respond(stream, 200, false)
}

function respond(stream: Http2Stream, status: number, endStream: boolean): void {
  stream.sendResponse({ status, headers: NO_HEADERS, framing: { kind: 'chunked' } }, endStream)
}

class Echo implements Http2StreamUser {
  readonly #stream: Http2Stream
  #waiting = 0
  #isDone = false

  constructor(stream: Http2Stream) {
    this.#stream = stream
  }

  onHead(): void {}

  onData(chunk: Buffer, start: number, end: number): void {
    if (this.#stream.sendData([chunk.subarray(start, end)], false)) this.#stream.consumed(end - start)
    else this.#waiting += end - start
  }

  onTrailers(lines: Parameters<Http2StreamUser['onTrailers']>[0]): void {
    this.#isDone = true
    this.#stream.sendTrailers(lines)
  }

  onEnd(): void {
    if (!this.#isDone) this.#stream.sendData([], true)
  }

  onReset(): void {}

  onDrain(): void {
    this.#stream.consumed(this.#waiting)
    this.#waiting = 0
  }
}
