import { connect, type Socket } from 'node:net'
import { connect as connectTls, type TLSSocket } from 'node:tls'
import type { GatewayAddress } from './gateway.ts'

/** A host and a port to dial. */
export interface Address {
  readonly host: string
  readonly port: number
}

/** What a connection came to. */
export interface Heard {
  /** What was sent to us, as latin1. */
  readonly text: string
  /** Whether the other side ended it before our patience did. */
  readonly isClosed: boolean
  /** How it ended, when it did not end quietly: `ECONNRESET`, `ERR_SSL_TLSV1_ALERT_...`. */
  readonly error?: string
}

/** Milliseconds that the other side has to answer or to close. */
const PATIENCE_MS = 20_000

/** A certificate to show, PEM. */
export interface ShownCertificate {
  readonly chain: string
  readonly privateKey: string
}

/** Sends bytes without TLS and listens until the other side closes. */
export function sayInPlain({ host, port }: Address, bytes: string, patienceMs?: number): Promise<Heard> {
  return listenTo(connect({ host, port }), 'connect', bytes, patienceMs)
}

/** Sends bytes to the gateway, inside TLS, and listens until it closes. */
export function sayToGateway(gateway: GatewayAddress, bytes: string): Promise<Heard> {
  const { address, hostname, httpsPort, ca } = gateway
  const socket = connectTls({ host: address, port: httpsPort, servername: hostname, ca, ALPNProtocols: ['http/1.1'] })
  return listenTo(socket, 'secureConnect', bytes)
}

/** Speaks mutual TLS to a sidecar's port as somebody who holds this certificate, or none; who answers is not asked. */
export function sayWithCertificate(
  { host, port }: Address,
  shown: ShownCertificate | undefined,
  alpn: string,
  bytes: string,
): Promise<Heard> {
  const socket = connectTls({
    host,
    port,
    rejectUnauthorized: false,
    minVersion: 'TLSv1.3',
    ALPNProtocols: [alpn],
    ...(shown !== undefined && { cert: shown.chain, key: shown.privateKey }),
  })
  return listenTo(socket, 'secureConnect', bytes)
}

function listenTo(
  socket: Socket | TLSSocket,
  ready: 'connect' | 'secureConnect',
  bytes: string,
  patienceMs = PATIENCE_MS,
): Promise<Heard> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = []
    let error: string | undefined
    let isOurs = false
    const patience = setTimeout(() => {
      isOurs = true
      socket.destroy()
    }, patienceMs)
    socket.once(ready, () => socket.write(bytes, 'latin1'))
    socket.on('data', (chunk: Buffer) => chunks.push(chunk))
    socket.on('error', (cause: NodeJS.ErrnoException) => {
      error ??= cause.code ?? cause.message
    })
    socket.once('close', () => {
      clearTimeout(patience)
      const text = Buffer.concat(chunks).toString('latin1')
      resolve({ text, isClosed: !isOurs, ...(error !== undefined && { error }) })
    })
  })
}

/** The status line's number of a response that came as bytes; undefined when none came. */
export function statusIn({ text }: Heard): number | undefined {
  const status = /^HTTP\/1\.1 ([0-9]{3})/.exec(text)?.[1]
  return status === undefined ? undefined : Number(status)
}
