import { createServer } from 'node:tls'
import { type AppOptions, readOptions } from './options.ts'
import { selfSigned } from './self-signed.ts'

/** Ends TLS itself, and answers each line with who was asked for. */
function start({ hostname, host, port }: AppOptions): void {
  const { certificate, privateKey } = selfSigned(hostname, Date.now())
  const server = createServer({ key: privateKey, cert: certificate }, (socket) => {
    const asked = typeof socket.servername === 'string' ? socket.servername : 'nobody'
    socket.on('error', () => {})
    socket.on('data', () => socket.write(`${hostname} was asked for as ${asked}\n`))
  })
  server.on('tlsClientError', () => {})
  server.listen(port, host)
  process.on('SIGTERM', () => process.exit(0))
}

start(readOptions())
