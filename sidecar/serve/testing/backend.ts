import { randomInt } from 'node:crypto'
import { createServer as createHttpServer, type RequestListener } from 'node:http'
import { createServer as createHttp2Server, type Http2ServerRequest, type Http2ServerResponse } from 'node:http2'
import { createServer, type Server, type Socket } from 'node:net'
import type { TestContext } from 'node:test'
import { until } from './until.ts'

/** An application behind a sidecar. */
export interface Backend {
  readonly port: number
  /** Connections that it has accepted so far. */
  readonly sockets: readonly Socket[]
}

/** A backend that speaks whatever the test says: it sees and sends bytes. */
export interface RawBackend extends Backend {
  /** All that came, on every connection, as latin1. */
  received(): string
  waitFor(text: string): Promise<void>
}

/** Listens until the test is over. `onData` is called with what a connection has received so far since it was last called. */
export async function rawBackend(
  t: TestContext,
  onData: (text: string, socket: Socket, connection: number) => void = () => {},
): Promise<RawBackend> {
  let all = ''
  const sockets: Socket[] = []
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    const connection = sockets.push(socket)
    socket.on('error', () => {})
    socket.on('data', (chunk: Buffer) => {
      all += chunk.toString('latin1')
      onData(chunk.toString('latin1'), socket, connection)
    })
  })
  const port = await listen(t, server, sockets)
  return {
    port,
    sockets,
    received: () => all,
    waitFor: (text) => until(() => all.includes(text), `the backend receives ${JSON.stringify(text)}`),
  }
}

/** A backend of Node's own HTTP server. */
export async function httpBackend(t: TestContext, handler: RequestListener): Promise<Backend> {
  const server = createHttpServer({ keepAliveTimeout: 60_000 }, handler)
  const sockets: Socket[] = []
  server.on('connection', (socket: Socket) => sockets.push(socket))
  return { port: await listen(t, server, sockets), sockets }
}

/** A backend of Node's own HTTP/2 server, with prior knowledge: it takes nothing else. */
export async function http2Backend(
  t: TestContext,
  handler: (request: Http2ServerRequest, response: Http2ServerResponse) => void,
): Promise<Backend> {
  const server = createHttp2Server(handler)
  const sockets: Socket[] = []
  server.on('connection', (socket: Socket) => sockets.push(socket))
  return { port: await listen(t, server, sockets), sockets }
}

export async function listen(t: TestContext, server: Server, sockets: readonly Socket[] = []): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  const address = server.address()
  if (typeof address !== 'object' || address === null) throw new Error('not bound')
  return address.port
}

/** Below those that the kernel gives to whoever asks for any (32768 and up), and those of local meshes (20000 and up). */
const PORTS = { from: 10_000, to: 14_900 }

/** A port that nobody listened on a moment ago, and that nobody is given meanwhile who asks for any. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(PORTS.from, PORTS.to)
    const server = createServer()
    const isFree = await new Promise<boolean>((resolve) => {
      server.once('error', () => resolve(false))
      server.listen(port, '127.0.0.1', () => resolve(true))
    })
    if (!isFree) continue
    await new Promise((resolve) => server.close(resolve))
    return port
  }
}
