import { fail, issue, ok, type Result } from '../result.ts'
import {
  checkDer,
  childrenOf,
  contentOf,
  DerError,
  type DerNode,
  encodingOf,
  expectTag,
  readBitString,
  readBoolean,
  readNode,
  readOid,
  readPrintableAscii,
  readTime,
  TAG,
} from './der.ts'
import { decodePem } from './pem.ts'

/**
 * What this mesh reads in a certificate (RFC 5280), as plain values.
 *
 * Reading is not trusting: nothing here checks a signature. That is OpenSSL's part of a handshake; what comes after it
 * (`svid.ts`) needs the names and bits exactly as they stand in the bytes, never as some library prints them.
 */
export interface Certificate {
  readonly der: Uint8Array
  /** Lower-case hex, as OpenSSL prints it, without leading zeros. */
  readonly serial: string
  readonly notBeforeMs: number
  readonly notAfterMs: number
  /** Equal exactly if the names' encodings are: lower-case hex of the DER. */
  readonly issuer: string
  readonly subject: string
  /** DER of the SubjectPublicKeyInfo. */
  readonly publicKey: Uint8Array
  readonly subjectAltNames: SubjectAltNames
  readonly isCa: boolean
  /** Undefined: no such extension. */
  readonly keyUsage: KeyUsage | undefined
  /** Object identifiers. Undefined: no such extension, which RFC 5280 reads as "any". */
  readonly extendedKeyUsage: readonly string[] | undefined
}

export interface SubjectAltNames {
  readonly uris: readonly string[]
  readonly dnsNames: readonly string[]
  /** How many names of any other kind there are (addresses, e-mail, directory and other names). */
  readonly others: number
}

/** RFC 5280, 4.2.1.3; only the bits that some check here asks for. */
export interface KeyUsage {
  readonly digitalSignature: boolean
  readonly keyCertSign: boolean
  readonly cRLSign: boolean
}

export const EXTENDED_KEY_USAGE = {
  serverAuth: '1.3.6.1.5.5.7.3.1',
  clientAuth: '1.3.6.1.5.5.7.3.2',
} as const

/** Bytes of one certificate at most. Ours have about 600; a long RSA chain's have 2,500. */
export const MAX_CERTIFICATE_BYTES = 16_384

const OID = {
  subjectAltName: '2.5.29.17',
  basicConstraints: '2.5.29.19',
  keyUsage: '2.5.29.15',
  extendedKeyUsage: '2.5.29.37',
} as const

/** Context-specific tags of the GeneralName choices (RFC 5280, 4.2.1.6). */
const GENERAL_NAME = { dnsName: 0x82, uri: 0x86 } as const

export function parseCertificate(der: Uint8Array): Result<Certificate> {
  if (der.length > MAX_CERTIFICATE_BYTES) return malformed(`is longer than ${MAX_CERTIFICATE_BYTES} bytes`)
  try {
    return ok(readCertificate(der))
  } catch (error) {
    if (error instanceof DerError) return malformed(error.message)
    throw error
  }
}

/** Every certificate of a PEM text, in order: a chain, or a bundle. */
export function parseCertificates(pem: string): Result<readonly Certificate[]> {
  const blocks = decodePem(pem, 'CERTIFICATE')
  if (!blocks.ok) return blocks
  const certificates: Certificate[] = []
  for (const der of blocks.value) {
    const certificate = parseCertificate(der)
    if (!certificate.ok) return certificate
    certificates.push(certificate.value)
  }
  return ok(certificates)
}

function readCertificate(der: Uint8Array): Certificate {
  const root = expectTag(checkDer(der), TAG.sequence, 'certificate')
  const [tbsNode, , , ...surplus] = childrenOf(der, root)
  if (surplus.length > 0) throw new DerError('has surplus values')
  const tbs = childrenOf(der, expectTag(tbsNode, TAG.sequence, 'TBSCertificate'))

  const [version, serial, , issuer, validity, subject, publicKey, ...optional] = tbs
  const versionNumber = childrenOf(der, expectTag(version, 0xa0, 'version'))[0]
  if (versionNumber === undefined || der[versionNumber.contentStart] !== 2) throw new DerError('is not of version 3')
  const [notBefore, notAfter] = childrenOf(der, expectTag(validity, TAG.sequence, 'validity'))
  if (notBefore === undefined || notAfter === undefined) throw new DerError('has no validity')

  const extensions = readExtensions(der, optional)
  return {
    der,
    serial: hex(contentOf(der, expectTag(serial, TAG.integer, 'serial number'))).replace(/^0+(?=.)/, ''),
    notBeforeMs: readTime(der, notBefore),
    notAfterMs: readTime(der, notAfter),
    issuer: hex(encodingOf(der, expectTag(issuer, TAG.sequence, 'issuer'))),
    subject: hex(encodingOf(der, expectTag(subject, TAG.sequence, 'subject'))),
    publicKey: encodingOf(der, expectTag(publicKey, TAG.sequence, 'public key')),
    subjectAltNames: readSubjectAltNames(extensions.get(OID.subjectAltName)),
    isCa: readIsCa(extensions.get(OID.basicConstraints)),
    keyUsage: readKeyUsage(extensions.get(OID.keyUsage)),
    extendedKeyUsage: readExtendedKeyUsage(extensions.get(OID.extendedKeyUsage)),
  }
}

/** By object identifier. A certificate with one of them twice is refused: two readers would believe two of them. */
function readExtensions(der: Uint8Array, optional: readonly DerNode[]): ReadonlyMap<string, Uint8Array> {
  const extensions = new Map<string, Uint8Array>()
  const field = optional.find((node) => node.tag === 0xa3)
  if (field === undefined) return extensions
  const list = expectTag(childrenOf(der, field)[0], TAG.sequence, 'list of extensions')
  for (const extension of childrenOf(der, list)) {
    const parts = childrenOf(der, expectTag(extension, TAG.sequence, 'extension'))
    const id = readOid(der, expectTag(parts[0], TAG.oid, 'extension id'))
    const value = expectTag(parts.at(-1), TAG.octetString, 'extension value')
    if (parts.length > 3 || (parts.length === 3 && parts[1]?.tag !== TAG.boolean)) {
      throw new DerError('has a malformed extension')
    }
    if (extensions.has(id)) throw new DerError(`has the extension ${id} twice`)
    extensions.set(id, contentOf(der, value))
  }
  return extensions
}

function readSubjectAltNames(value: Uint8Array | undefined): SubjectAltNames {
  const uris: string[] = []
  const dnsNames: string[] = []
  let others = 0
  if (value !== undefined) {
    for (const name of childrenOf(value, wholeSequence(value))) {
      if (name.tag === GENERAL_NAME.uri) uris.push(readPrintableAscii(value, name))
      else if (name.tag === GENERAL_NAME.dnsName) dnsNames.push(readPrintableAscii(value, name))
      else others += 1
    }
  }
  return { uris, dnsNames, others }
}

function readIsCa(value: Uint8Array | undefined): boolean {
  if (value === undefined) return false
  const first = childrenOf(value, wholeSequence(value))[0]
  return first?.tag === TAG.boolean && readBoolean(value, first)
}

function readKeyUsage(value: Uint8Array | undefined): KeyUsage | undefined {
  if (value === undefined) return undefined
  const node = readNode(value, 0, value.length)
  if (node.end !== value.length) throw new DerError('has bytes after its key usage')
  const bits = readBitString(value, node).octets[0] ?? 0
  return {
    digitalSignature: (bits & 0x80) !== 0,
    keyCertSign: (bits & 0x04) !== 0,
    cRLSign: (bits & 0x02) !== 0,
  }
}

function readExtendedKeyUsage(value: Uint8Array | undefined): readonly string[] | undefined {
  if (value === undefined) return undefined
  return childrenOf(value, wholeSequence(value)).map((node) => readOid(value, node))
}

function wholeSequence(value: Uint8Array): DerNode {
  return expectTag(checkDer(value), TAG.sequence, 'sequence in an extension')
}

function hex(bytes: Uint8Array): string {
  let text = ''
  for (const byte of bytes) text += byte.toString(16).padStart(2, '0')
  return text
}

function malformed(what: string) {
  return fail(issue('malformed-certificate', '', what))
}
