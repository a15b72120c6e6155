import { duplexPair } from 'node:stream'
import { type ConnectionOptions, connect, createServer, type TLSSocket } from 'node:tls'

/** What OpenSSL does not take; `cause` is its own word for it. */
export class ChainError extends Error {
  override readonly name = 'ChainError'
  readonly code = 'untrusted-chain'
}

export interface ChainParts {
  /** PKCS#8, PEM. */
  readonly privateKey: string
  /** PEM: a leaf for both ends of TLS, then its issuers without the root. */
  readonly chain: string
  /** PEM. */
  readonly root: string
}

/**
 * Proves by a handshake with itself, in memory, that a leaf of this chain is believed on both ends by whoever trusts this
 * root and nothing else. Path lengths, name constraints, purposes and key identifiers of CAs that others made are judged
 * by the very code that will judge them in every sidecar.
 *
 * @throws ChainError
 */
export async function proveChain({ privateKey, chain, root }: ChainParts): Promise<void> {
  const options = { key: privateKey, cert: chain, ca: root, minVersion: 'TLSv1.3' } as const
  const [near, far] = duplexPair()
  const server = createServer({ ...options, requestCert: true, rejectUnauthorized: true })
  const asClient: ConnectionOptions = { ...options, socket: near, servername: '', checkServerIdentity: () => undefined }
  let client: TLSSocket | undefined
  try {
    await new Promise<void>((resolve, reject) => {
      const fail = (side: string) => (cause: Error) =>
        reject(new ChainError(`it is not believed as a ${side}`, { cause }))
      server.once('secureConnection', () => resolve())
      server.once('tlsClientError', fail('client'))
      server.emit('connection', far)
      client = connect(asClient)
      client.on('error', fail('server'))
    })
  } finally {
    client?.destroy()
    far.destroy()
  }
}
