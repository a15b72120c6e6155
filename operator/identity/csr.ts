import { createPublicKey, type KeyObject, verify } from 'node:crypto'
import { fail, issue, ok, type Result } from '../../model/result.ts'
import {
  checkDer,
  childrenOf,
  contentOf,
  DerError,
  encodingOf,
  expectTag,
  readBitString,
  readOid,
  TAG,
} from '../../model/x509/der.ts'
import { decodePem } from '../../model/x509/pem.ts'

/** Bytes of a request's DER at most. Ours have 200. */
export const MAX_CSR_BYTES = 16_384

/** SubjectPublicKeyInfo of a P-256 key as an uncompressed point (RFC 5480): all of it but the 64 bytes of the point. */
const P256_PREFIX = Buffer.from('3059301306072a8648ce3d020106082a8648ce3d03010703420004', 'hex')
const P256_SPKI_BYTES = P256_PREFIX.length + 64

/** ecdsa-with-SHA256, RFC 5758. */
const ECDSA_WITH_SHA256 = '1.2.840.10045.4.3.2'

/**
 * The public key of a certificate request (PKCS#10, RFC 2986), once the request has proven that its maker holds the
 * private one. DER of a SubjectPublicKeyInfo, P-256.
 *
 * Nothing else is taken from it: subject, names and extensions that it asks for are not even looked at, so a hostile one
 * has nothing to say.
 */
export function publicKeyOfCsr(pem: string): Result<Uint8Array> {
  const blocks = decodePem(pem, 'CERTIFICATE REQUEST')
  if (!blocks.ok) return blocks
  const [der, ...more] = blocks.value
  if (der === undefined || more.length > 0) return malformed('must be one request')
  if (der.length > MAX_CSR_BYTES) return malformed(`is longer than ${MAX_CSR_BYTES} bytes`)
  try {
    return readRequest(der)
  } catch (error) {
    if (error instanceof DerError) return malformed(error.message)
    throw error
  }
}

function readRequest(der: Uint8Array): Result<Uint8Array> {
  const [info, algorithm, signature, ...surplus] = childrenOf(der, expectTag(checkDer(der), TAG.sequence, 'request'))
  if (info === undefined || signature === undefined || surplus.length > 0) return malformed('is not a PKCS#10 request')
  const [version, , keyNode] = childrenOf(der, expectTag(info, TAG.sequence, 'request info'))
  const versionNumber = contentOf(der, expectTag(version, TAG.integer, 'version'))
  if (versionNumber.length !== 1 || versionNumber[0] !== 0) return malformed('is not of version 1')

  const publicKey = encodingOf(der, expectTag(keyNode, TAG.sequence, 'public key'))
  if (publicKey.length !== P256_SPKI_BYTES || !P256_PREFIX.equals(publicKey.subarray(0, P256_PREFIX.length))) {
    return malformed('has a key that is not of P-256', 'make a P-256 (prime256v1) key')
  }
  const algorithmId = childrenOf(der, expectTag(algorithm, TAG.sequence, 'signature algorithm'))[0]
  if (readOid(der, expectTag(algorithmId, TAG.oid, 'signature algorithm')) !== ECDSA_WITH_SHA256) {
    return malformed('is not signed with ECDSA and SHA-256')
  }
  const key = importKey(publicKey)
  if (key === undefined) return malformed('has a key that is no point of P-256')
  const { unused, octets } = readBitString(der, signature)
  if (unused !== 0 || !verify('sha256', encodingOf(der, info), key, octets)) {
    return malformed('is not signed by the key in it')
  }
  return ok(publicKey.slice())
}

function importKey(spki: Uint8Array): KeyObject | undefined {
  try {
    return createPublicKey({ key: Buffer.from(spki), type: 'spki', format: 'der' })
  } catch {
    return undefined
  }
}

function malformed(what: string, fix?: string) {
  return fail(issue('malformed-csr', 'csr', what, fix))
}
