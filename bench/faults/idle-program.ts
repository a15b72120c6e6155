/**
 * A process of `npm run faults`: opens idle connections of mutual TLS, as many as it is told, and holds them until it is
 * ended. Reads what it is told from its one argument. On each of them a request is sent before the proxy would close it.
 */
import { type ConnectionOptions, connect } from 'node:tls'

interface Given {
  readonly port: number
  readonly count: number
  readonly key: string
  readonly cert: string
  readonly alpn: string
  /** The address that they come from: one has no more than some 28,000 ports. */
  readonly from: string
}

/** Handshakes at once. */
const AT_ONCE = 16

/** Milliseconds between two requests on a connection: a proxy closes those that are idle for 60 s. */
const ASK_EVERY_MS = 40_000
const REQUEST = 'GET / HTTP/1.1\r\nHost: app.faults\r\n\r\n'

const { port, count, key, cert, alpn, from } = JSON.parse(process.argv[2] ?? '') as Given
let begun = 0

function openNext(): void {
  if (begun >= count) return
  begun += 1
  const options: ConnectionOptions & { readonly localAddress: string } = {
    host: '127.0.0.1',
    port,
    key,
    cert,
    localAddress: from,
    // Who is idle here is of no interest: the scenario is about the one that is connected to.
    rejectUnauthorized: false,
    ALPNProtocols: [alpn],
  }
  const socket = connect(options)
  let asking: NodeJS.Timeout | undefined
  socket.once('secureConnect', () => {
    asking = setInterval(() => socket.write(REQUEST), ASK_EVERY_MS)
    openNext()
  })
  socket.on('error', () => {})
  socket.once('close', () => {
    clearInterval(asking)
    begun -= 1
    setTimeout(openNext, 100)
  })
  socket.resume()
}

for (let i = 0; i < AT_ONCE; i++) openNext()
