import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto'
import { createSecureContext } from 'node:tls'

/**
 * Why a gateway cannot serve TLS with a certificate chain and a private key, both PEM; undefined if it can.
 *
 * The answer is OpenSSL's own, as the gateway would have it, so that a status says what is wrong rather than a handshake.
 * Nothing of the key is in it.
 */
export function judgeKeyPair(chain: string, privateKey: string): string | undefined {
  let leaf: X509Certificate
  let key: KeyObject
  try {
    leaf = new X509Certificate(chain)
  } catch {
    return 'tls.crt begins with no certificate that can be read'
  }
  try {
    key = createPrivateKey(privateKey)
  } catch {
    // `BEGIN ENCRYPTED PRIVATE KEY` (RFC 5958), or `Proc-Type: 4,ENCRYPTED` (RFC 1421).
    return privateKey.includes('ENCRYPTED') ? 'tls.key is encrypted' : 'tls.key holds no private key that can be read'
  }
  if (!leaf.checkPrivateKey(key)) return 'tls.key is not the key of the certificate in tls.crt'
  try {
    createSecureContext({ cert: chain, key: privateKey, minVersion: 'TLSv1.2' })
    return undefined
  } catch (error) {
    return `TLS cannot be served with it: ${(error as { readonly reason?: string }).reason ?? 'it is refused'}`
  }
}
