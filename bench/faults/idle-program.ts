/**
 * A process of `npm run faults`: opens idle connections of mutual TLS, as many as it is told, and holds them until it is
 * ended. Reads what it is told from its one argument, prints a line when all are open, and one each time that some were lost.
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

const { port, count, key, cert, alpn, from } = JSON.parse(process.argv[2] ?? '') as Given
let open = 0
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
  let isOpen = false
  socket.once('secureConnect', () => {
    isOpen = true
    open += 1
    if (open === count) process.stdout.write('open\n')
    openNext()
  })
  socket.on('error', () => {})
  socket.once('close', () => {
    begun -= 1
    if (isOpen) {
      open -= 1
      process.stdout.write('lost\n')
    }
    setTimeout(openNext, 100)
  })
  socket.resume()
}

for (let i = 0; i < AT_ONCE; i++) openNext()
