import { createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto'
import type { TrustDomain } from '../../model/spiffe-id.ts'
import { type Certificate, parseCertificates } from '../../model/x509/certificate.ts'
import { encodePem } from '../../model/x509/pem.ts'
import { nameConstraintsFor } from './name-constraints.ts'
import { makeSigningKeyPair, randomSerial, SIGNING_ALGORITHM, signerOf, toSigningKey } from './signing.ts'
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
  /** From the issuer of `certificate` up to the root, and without the root: what a peer is shown besides. */
  readonly intermediates: readonly Certificate[]
}

/** A CA that may sign issuing CAs: a root itself, or one that a root vouches for. */
export interface IssuerOfCas extends CertificateAuthority {
  /** The same certificate as `certificate`, where the root signs by itself. */
  readonly root: Certificate
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

/** A CA that signs leaves (path length 0), for one trust domain only. It outlives nobody above it. */
export async function makeIssuingCa(
  issuer: IssuerOfCas,
  trustDomain: TrustDomain,
  nowMs: number,
  lifetimeMs: number,
): Promise<string> {
  const { privateKey, publicKey } = makeSigningKeyPair()
  const signer = new X509Certificate(issuer.certificate.der.slice())
  const signing = signerOf(issuer.privateKey)
  if (signing === undefined) throw new CaEntryError('the key is of a kind that signs nothing here')
  const certificate = await X509CertificateGenerator.create({
    serialNumber: randomSerial(),
    subject: nameFor('issuing', trustDomain),
    issuer: signer.subjectName,
    ...validity(nowMs, lifetimeMs, endOf(issuer)),
    publicKey,
    signingKey: signing.key,
    signingAlgorithm: signing.algorithm,
    extensions: [
      new BasicConstraintsExtension(true, 0, true),
      new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
      nameConstraintsFor(trustDomain),
      await SubjectKeyIdentifierExtension.create(publicKey),
      await keyIdentifierOf(signer),
    ],
  })
  const isRoot = issuer.certificate === issuer.root
  const above = isRoot ? [] : [issuer.certificate, ...issuer.intermediates]
  return entryOf(privateKey, new Uint8Array(certificate.rawData), ...above.map(({ der }) => der))
}

/** When the first of a CA and those above it ends. Milliseconds since the epoch. */
export function endOf({ certificate, intermediates, root }: IssuerOfCas): number {
  return Math.min(...[certificate, ...intermediates, root].map(({ notAfterMs }) => notAfterMs))
}

/**
 * Reads what {@link makeRoot} and {@link makeIssuingCa} wrote.
 *
 * @throws CaEntryError
 */
export function readCa(name: string, entry: string): CertificateAuthority {
  const key = /-----BEGIN PRIVATE KEY-----[^-]+-----END PRIVATE KEY-----/.exec(entry)?.[0]
  const [certificate, ...intermediates] = readCertificates(name, entry)
  if (key === undefined || certificate === undefined) throw new CaEntryError(`${name} holds no key and certificate`)
  const privateKey = createPrivateKey(key)
  const publicKey = createPublicKey(privateKey).export({ type: 'spki', format: 'der' })
  if (!certificate.isCa || !publicKey.equals(certificate.publicKey)) {
    throw new CaEntryError(`${name} holds a certificate that is not of a CA with the key beside it`)
  }
  return { privateKey, certificate, intermediates }
}

/**
 * The certificates of an entry, in order. One that begins with a key is not refused for it.
 *
 * @throws CaEntryError
 */
export function readCertificates(name: string, entry: string): readonly Certificate[] {
  const pems = entry.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? []
  const certificates = parseCertificates(pems.join('\n'))
  if (!certificates.ok) throw new CaEntryError(`${name} holds what cannot be read as certificates`)
  return certificates.value
}

function entryOf(privateKey: KeyObject, ...certificates: readonly Uint8Array[]): string {
  const pems = certificates.map((der) => encodePem(der, 'CERTIFICATE'))
  return [privateKey.export({ type: 'pkcs8', format: 'pem' }), ...pems].join('')
}

/** The name that the issuer gives its own key, which need not be a hash of it as ours is (RFC 5280, 4.2.1.1). */
async function keyIdentifierOf(issuer: X509Certificate): Promise<AuthorityKeyIdentifierExtension> {
  const named = issuer.getExtension(SubjectKeyIdentifierExtension)
  if (named !== null) return new AuthorityKeyIdentifierExtension(named.keyId)
  return AuthorityKeyIdentifierExtension.create(issuer.publicKey)
}

/** Names are for people; what binds a chain is the key identifiers. X.520 allows an O of 64 characters. */
function nameFor(kind: 'root' | 'issuing', trustDomain: TrustDomain) {
  return [{ O: [trustDomain.slice(0, 64)] }, { CN: [`Hauberk ${kind} CA`] }]
}
