import { type KeyObject, sign } from 'node:crypto'
import { encodeDer } from '../../model/x509/der-write.ts'
import { encodePem } from '../../model/x509/pem.ts'
import { publicKeyOf } from './keypair.ts'

const SEQUENCE = 0x30
const BIT_STRING = 0x03
/** attributes [0], empty. */
const NO_ATTRIBUTES = Buffer.from('a000', 'hex')
const VERSION_1 = Buffer.from('020100', 'hex')
const EMPTY_NAME = Buffer.from('3000', 'hex')
/** AlgorithmIdentifier of ecdsa-with-SHA256 (RFC 5758, 3.2). */
const ECDSA_WITH_SHA256 = Buffer.from('300a06082a8648ce3d040302', 'hex')
const NO_UNUSED_BITS = Buffer.of(0)

/**
 * A certificate request (PKCS#10, RFC 2986) for this P-256 key, PEM. It asks for nothing: whose it is, the operator
 * knows better.
 */
export function createCsr(privateKey: KeyObject): string {
  const info = encodeDer(SEQUENCE, VERSION_1, EMPTY_NAME, publicKeyOf(privateKey), NO_ATTRIBUTES)
  const signature = sign('sha256', info, privateKey)
  const der = encodeDer(SEQUENCE, info, ECDSA_WITH_SHA256, encodeDer(BIT_STRING, NO_UNUSED_BITS, signature))
  return encodePem(der, 'CERTIFICATE REQUEST')
}
