import { createPrivateKey, type webcrypto } from 'node:crypto'
import { encodeDer } from '../../../model/x509/der-write.ts'
import { encodePem } from '../../../model/x509/pem.ts'
import { randomSerial } from '../signing.ts'
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  Extension,
  KeyUsageFlags,
  KeyUsagesExtension,
  SubjectKeyIdentifierExtension,
  X509CertificateGenerator,
} from '../x509-library.ts'

/** A CA as a user would bring it: made by somebody else's tools, of any kind of key. All of it PEM. */
export interface CustomCa {
  /** Its own certificate, then those up to the root, without the root unless it is the root itself. */
  readonly chain: string
  /** PKCS#8. */
  readonly privateKey: string
  readonly root: string
  /** A CA that this one vouches for. */
  signCa(options?: CustomCaOptions): Promise<CustomCa>
}

export interface CustomCaOptions {
  /** Default: P-256. */
  readonly kind?: 'P-256' | 'P-384' | 'RSA-2048'
  /** Default: 30 days. Certificates begin an hour ago. */
  readonly lifetimeMs?: number
  readonly pathLength?: number
  readonly extendedKeyUsage?: 'serverAuth'
  /** The one host that URIs below it may name. */
  readonly permitsUris?: string
  /** Hex; instead of the hash of the key. */
  readonly keyIdentifier?: string
}

const ALGORITHMS = {
  'P-256': { key: { name: 'ECDSA', namedCurve: 'P-256' }, signing: { name: 'ECDSA', hash: 'SHA-256' } },
  'P-384': { key: { name: 'ECDSA', namedCurve: 'P-384' }, signing: { name: 'ECDSA', hash: 'SHA-384' } },
  'RSA-2048': {
    key: {
      name: 'RSASSA-PKCS1-v1_5',
      modulusLength: 2_048,
      publicExponent: new Uint8Array([1, 0, 1]),
      hash: 'SHA-256',
    },
    signing: { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' },
  },
} as const

interface Parent {
  readonly subject: string
  readonly keyIdentifier: string
  readonly signingKey: webcrypto.CryptoKey
  readonly signingAlgorithm: (typeof ALGORITHMS)[keyof typeof ALGORITHMS]['signing']
  readonly chain: string
  readonly root: string
}

let count = 0

/** A self-signed root. */
export function createCustomCa(options: CustomCaOptions = {}): Promise<CustomCa> {
  return make(options, undefined)
}

async function make(options: CustomCaOptions, parent: Parent | undefined): Promise<CustomCa> {
  const { kind = 'P-256', lifetimeMs = 30 * 86_400_000, pathLength, extendedKeyUsage, permitsUris } = options
  const { key, signing } = ALGORITHMS[kind]
  const keys = (await crypto.subtle.generateKey(key, true, ['sign', 'verify'])) as webcrypto.CryptoKeyPair
  count += 1
  const subject = `CN=Company CA ${count}`
  const hashed = (await SubjectKeyIdentifierExtension.create(keys.publicKey)).keyId
  const keyIdentifier = options.keyIdentifier ?? hashed
  const certificate = await X509CertificateGenerator.create({
    serialNumber: randomSerial(),
    subject,
    issuer: parent?.subject ?? subject,
    notBefore: new Date(Date.now() - 3_600_000),
    notAfter: new Date(Date.now() + lifetimeMs),
    publicKey: keys.publicKey,
    signingKey: parent?.signingKey ?? keys.privateKey,
    signingAlgorithm: parent?.signingAlgorithm ?? signing,
    extensions: [
      new BasicConstraintsExtension(true, pathLength, true),
      new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
      new SubjectKeyIdentifierExtension(keyIdentifier),
      ...(parent === undefined ? [] : [new AuthorityKeyIdentifierExtension(parent.keyIdentifier)]),
      ...(extendedKeyUsage === undefined ? [] : [new ExtendedKeyUsageExtension([ExtendedKeyUsage[extendedKeyUsage]])]),
      ...(permitsUris === undefined ? [] : [permittedUris(permitsUris)]),
    ],
  })
  const pem = encodePem(new Uint8Array(certificate.rawData), 'CERTIFICATE')
  const chain = pem + (parent?.chain ?? '')
  const root = parent?.root ?? pem
  const pkcs8 = Buffer.from(await crypto.subtle.exportKey('pkcs8', keys.privateKey))
  const privateKey = createPrivateKey({ key: pkcs8, type: 'pkcs8', format: 'der' })
  return {
    chain,
    privateKey: privateKey.export({ type: 'pkcs8', format: 'pem' }) as string,
    root,
    signCa: (more = {}) =>
      make(more, {
        subject,
        keyIdentifier,
        signingKey: keys.privateKey,
        signingAlgorithm: signing,
        chain: parent === undefined ? '' : chain,
        root,
      }),
  }
}

/** nameConstraints (RFC 5280, 4.2.1.10): permittedSubtrees [0] of one GeneralName [6]. */
function permittedUris(host: string): Extension {
  const subtree = encodeDer(0x30, encodeDer(0x86, new TextEncoder().encode(host)))
  return new Extension('2.5.29.30', true, encodeDer(0x30, encodeDer(0xa0, subtree)).slice())
}
