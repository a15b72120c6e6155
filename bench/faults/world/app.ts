import { createServer, type RequestListener } from 'node:http'
import { createServer as createTcpServer, type Server, type Socket } from 'node:net'

/** An application behind a sidecar. */
export interface App {
  /** Requests that it was sent so far; connections where it does not speak HTTP. */
  readonly asked: number
  /** Stops accepting, ends what is under way, and resolves when that is done. */
  close(): Promise<void>
  /** Ends at once. */
  destroy(): Promise<void>
}

const answerOk: RequestListener = (request, response) => {
  request.resume()
  request.on('end', () => response.end(`answered ${request.url}`))
}

/** One of Node's own HTTP servers. */
export async function startApp(port: number, handler: RequestListener = answerOk): Promise<App> {
  let asked = 0
  const server = createServer((request, response) => {
    asked += 1
    handler(request, response)
  })
  return appOf(server, port, () => asked)
}

/** A server that sends and takes octets as the scenario says. */
export async function startRawApp(port: number, onData: (text: string, socket: Socket) => void): Promise<App> {
  let asked = 0
  const server = createTcpServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    asked += 1
    socket.on('error', () => {})
    socket.on('data', (chunk: Buffer) => onData(chunk.toString('latin1'), socket))
    socket.on('end', () => socket.end())
  })
  return appOf(server, port, () => asked)
}

async function appOf(server: Server, port: number, asked: () => number): Promise<App> {
  const sockets = new Set<Socket>()
  server.on('connection', (socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, '127.0.0.1', resolve)
  })
  const close = () => new Promise<void>((resolve) => server.close(() => resolve()))
  return {
    get asked() {
      return asked()
    },
    close,
    destroy() {
      const closed = close()
      for (const socket of sockets) socket.destroy()
      return closed
    },
  }
}
