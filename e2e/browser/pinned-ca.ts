import { createHash, X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { connect } from 'node:tls'
import type { GatewayAddress } from '../world/gateway.ts'

/**
 * What Chromium is to be told so that it trusts the mesh's CA and nothing else besides what it trusts anyway: the hash of
 * the CA's public key, for `--ignore-certificate-errors-spki-list`.
 *
 * The CA is the one that signed the gateway's certificate, after that chain was verified against the roots.
 */
export async function pinOfIssuingCa({ address, hostname, httpsPort, ca }: GatewayAddress): Promise<string> {
  const socket = connect({ host: address, port: httpsPort, servername: hostname, ca })
  await once(socket, 'secureConnect')
  const { issuerCertificate } = socket.getPeerCertificate(true)
  socket.destroy()
  const spki = new X509Certificate(issuerCertificate.raw).publicKey.export({ type: 'spki', format: 'der' })
  return createHash('sha256').update(spki).digest('base64')
}
