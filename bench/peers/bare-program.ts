/**
 * `node bare-program.ts SETTINGS`: Node's own `tls` and `net` between the same two sockets, and nothing of ours. It parses,
 * checks and adds nothing: what it costs is what no program on Node gets below.
 */
import { connect, type Socket } from 'node:net'
import { createServer, type TLSSocket } from 'node:tls'
import type { BareSettings } from './bare.ts'

const { port, backendPort, key, cert, ca, options } = JSON.parse(process.argv[2] ?? '{}') as BareSettings

const HEAD_END = Buffer.from('\r\n\r\n')
const CLOSE = 'Connection: close\r\n'
const KEPT = 'Connection: keep-alive\r\n'

/** Who waits for the answer of each connection to the backend; those of nobody are idle. */
const waiting = new Map<Socket, { readonly socket: TLSSocket; readonly closes: boolean }>()
const idle: Socket[] = []
/** Octets of an answer: the same for all. */
let answerBytes = 0
const received = new Map<Socket, number>()
const shared = Buffer.allocUnsafeSlow(65_536)

function openBackend(): Socket {
  const backend = connect({
    host: '127.0.0.1',
    port: backendPort,
    noDelay: true,
    onread: {
      buffer: shared,
      callback(length, lent) {
        onAnswer(backend, Buffer.from((lent as Buffer).subarray(0, length)))
        return true
      },
    },
  })
  backend.on('error', () => process.exit(1))
  return backend
}

function onAnswer(backend: Socket, part: Buffer): void {
  if (answerBytes === 0) {
    const length = /^content-length: (\d+)\r$/im.exec(part.toString('latin1'))?.[1]
    answerBytes = part.indexOf(HEAD_END) + HEAD_END.length + Number(length)
  }
  const client = waiting.get(backend)
  client?.socket.write(client.closes ? replaced(part, KEPT, CLOSE) : part)
  const total = (received.get(backend) ?? 0) + part.length
  received.set(backend, total)
  if (total < answerBytes) return
  received.set(backend, 0)
  waiting.delete(backend)
  if (client?.closes === true) client.socket.end()
  idle.push(backend)
}

function replaced(octets: Buffer, what: string, by: string): Buffer {
  return Buffer.from(octets.toString('latin1').replace(what, by), 'latin1')
}

const server = createServer(
  {
    ...options,
    key,
    cert,
    ca,
    requestCert: true,
    rejectUnauthorized: true,
    noDelay: true,
    ALPNProtocols: ['hauberk/http1'],
  },
  (client) => {
    client.on('error', () => client.destroy())
    client.on('data', (request: Buffer) => {
      const backend = idle.pop() ?? openBackend()
      const closes = request.includes(CLOSE)
      waiting.set(backend, { socket: client, closes })
      // Connections to the backend are kept, whatever becomes of the client's.
      backend.write(closes ? replaced(request, CLOSE, '') : request)
    })
  },
)
server.on('tlsClientError', (_error, socket) => socket.destroy())
server.listen(port, '127.0.0.1')
process.on('SIGTERM', () => process.exit())
