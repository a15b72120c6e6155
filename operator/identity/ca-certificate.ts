import { createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto'
import type { TrustDomain } from '../../model/spiffe-id.ts'
import { type Certificate, parseCertificates } from '../../model/x509/certificate.ts'
import { encodePem } from '../../model/x509/pem.ts'
import { nameConstraintsFor } from './name-constraints.ts'
import { makeSigningKeyPair, randomSerial, SIGNING_ALGORITHM, toSigningKey } from './signing.ts'
import { validity } from './validity.ts'
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  SubjectKeyIdentifierExtension,
  X509Certificate,
  X509CertificateGenerator,
} from './x509-library.ts'

/** A CA: its key, and the certificate that says so. */
export interface CertificateAuthority {
  readonly privateKey: KeyObject
  readonly certificate: Certificate
}

/** What stands in the store cannot be a CA's key and certificate. Starting over with another root is a person's decision. */
export class CaEntryError extends Error {
  override readonly name = 'CaEntryError'
  readonly code = 'malformed'
}

/** A self-signed root. It signs issuing CAs and nothing else (path length 1). */
export async function makeRoot(trustDomain: TrustDomain, nowMs: number, lifetimeMs: number): Promise<string> {
  const { privateKey, publicKey } = makeSigningKeyPair()
  const name = nameFor('root', trustDomain)
  const certificate = await X509CertificateGenerator.create({
    serialNumber: randomSerial(),
    subject: name,
    issuer: name,
    ...validity(nowMs, lifetimeMs),
    publicKey,
    signingKey: toSigningKey(privateKey),
    signingAlgorithm: SIGNING_ALGORITHM,
    extensions: [
      new BasicConstraintsExtension(true, 1, true),
      new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
      await SubjectKeyIdentifierExtension.create(publicKey),
    ],
  })
  return entryOf(privateKey, new Uint8Array(certificate.rawData))
}

/** A CA that signs leaves (path length 0), for one trust domain only, and never outlives `root`. */
export async function makeIssuingCa(
  root: CertificateAuthority,
  trustDomain: TrustDomain,
  nowMs: number,
  lifetimeMs: number,
): Promise<string> {
  const { privateKey, publicKey } = makeSigningKeyPair()
  const signer = new X509Certificate(root.certificate.der.slice())
  const certificate = await X509CertificateGenerator.create({
    serialNumber: randomSerial(),
    subject: nameFor('issuing', trustDomain),
    issuer: signer.subjectName,
    ...validity(nowMs, lifetimeMs, root.certificate.notAfterMs),
    publicKey,
    signingKey: toSigningKey(root.privateKey),
    signingAlgorithm: SIGNING_ALGORITHM,
    extensions: [
      new BasicConstraintsExtension(true, 0, true),
      new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
      nameConstraintsFor(trustDomain),
      await SubjectKeyIdentifierExtension.create(publicKey),
      await AuthorityKeyIdentifierExtension.create(signer.publicKey),
    ],
  })
  return entryOf(privateKey, new Uint8Array(certificate.rawData))
}

/**
 * Reads what {@link makeRoot} and {@link makeIssuingCa} wrote.
 *
 * @throws CaEntryError
 */
export function readCa(name: string, entry: string): CertificateAuthority {
  const [key, pem] = splitEntry(entry)
  const certificates = parseCertificates(pem ?? '')
  const certificate = certificates.ok ? certificates.value[0] : undefined
  if (key === undefined || certificate === undefined) throw new CaEntryError(`${name} holds no key and certificate`)
  const privateKey = createPrivateKey(key)
  const publicKey = createPublicKey(privateKey).export({ type: 'spki', format: 'der' })
  if (!certificate.isCa || !publicKey.equals(certificate.publicKey)) {
    throw new CaEntryError(`${name} holds a certificate that is not of a CA with the key beside it`)
  }
  return { privateKey, certificate }
}

function entryOf(privateKey: KeyObject, certificate: Uint8Array): string {
  return `${privateKey.export({ type: 'pkcs8', format: 'pem' })}${encodePem(certificate, 'CERTIFICATE')}`
}

function splitEntry(entry: string): readonly [key: string | undefined, certificate: string | undefined] {
  const key = /-----BEGIN PRIVATE KEY-----[^-]+-----END PRIVATE KEY-----/.exec(entry)?.[0]
  const certificate = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/.exec(entry)?.[0]
  return [key, certificate]
}

/** Names are for people; what binds a chain is the key identifiers. X.520 allows an O of 64 characters. */
function nameFor(kind: 'root' | 'issuing', trustDomain: TrustDomain) {
  return [{ O: [trustDomain.slice(0, 64)] }, { CN: [`Hauberk ${kind} CA`] }]
}
