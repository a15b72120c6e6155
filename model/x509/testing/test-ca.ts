import 'reflect-metadata'
import {
  BasicConstraintsExtension,
  ExtendedKeyUsageExtension,
  type Extension,
  type JsonGeneralNames,
  KeyUsageFlags,
  KeyUsagesExtension,
  SubjectAlternativeNameExtension,
  X509Certificate,
  X509CertificateGenerator,
} from '@peculiar/x509'
import { EXTENDED_KEY_USAGE } from '../certificate.ts'
import { encodePem } from '../pem.ts'

/** A CA for tests: signs anything, however wrong. */
export interface TestCa {
  /** The root, PEM. */
  readonly root: string
  issue(leaf?: TestLeaf): Promise<TestCertificate>
}

/** What is left out is as in a sound SVID. */
export interface TestLeaf {
  /** Default: one, `spiffe://cluster.local/ns/shop/sa/orders`. */
  readonly uris?: readonly string[]
  readonly dnsNames?: readonly string[]
  readonly isCa?: boolean
  /** Undefined: no such extension. Default: digitalSignature. */
  readonly keyUsage?: number | undefined
  /** Undefined: no such extension. Default: both ends of TLS. */
  readonly extendedKeyUsage?: readonly string[] | undefined
  /** Default: a minute ago. */
  readonly notBeforeMs?: number
  /** Default: in an hour. */
  readonly notAfterMs?: number
  readonly extensions?: readonly Extension[]
}

export interface TestCertificate {
  readonly der: Uint8Array
  /** The leaf, PEM. */
  readonly chain: string
  /** PKCS#8, PEM. */
  readonly privateKey: string
}

export { KeyUsageFlags, SubjectAlternativeNameExtension } from '@peculiar/x509'

const P256 = { name: 'ECDSA', namedCurve: 'P-256' }
const ECDSA_SHA256 = { name: 'ECDSA', hash: 'SHA-256' }
const HOUR_MS = 3_600_000

export async function createTestCa(name = 'test root'): Promise<TestCa> {
  const rootKeys = await crypto.subtle.generateKey(P256, true, ['sign', 'verify'])
  const root = await X509CertificateGenerator.createSelfSigned({
    name: [{ CN: [name] }],
    keys: rootKeys,
    signingAlgorithm: ECDSA_SHA256,
    notBefore: new Date(Date.now() - HOUR_MS),
    notAfter: new Date(Date.now() + 24 * HOUR_MS),
    extensions: [
      new BasicConstraintsExtension(true, undefined, true),
      new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
    ],
  })
  return caOf(root, rootKeys.privateKey)
}

/** One that signs with a key that is there already. `privateKey`: PKCS#8, PEM, P-256. */
export async function openTestCa(certificate: string, privateKey: string): Promise<TestCa> {
  const der = Uint8Array.from(atob(privateKey.replace(/-----[^-]+-----|\s/g, '')), (char) => char.charCodeAt(0))
  return caOf(new X509Certificate(certificate), await crypto.subtle.importKey('pkcs8', der, P256, false, ['sign']))
}

type SigningKey = Awaited<ReturnType<typeof crypto.subtle.importKey>>

function caOf(root: X509Certificate, signingKey: SigningKey): TestCa {
  return {
    root: encodePem(new Uint8Array(root.rawData), 'CERTIFICATE'),
    async issue(leaf = {}) {
      const keys = await crypto.subtle.generateKey(P256, true, ['sign', 'verify'])
      const certificate = await X509CertificateGenerator.create({
        issuer: root.subjectName,
        notBefore: new Date(leaf.notBeforeMs ?? Date.now() - 60_000),
        notAfter: new Date(leaf.notAfterMs ?? Date.now() + HOUR_MS),
        publicKey: keys.publicKey,
        signingKey,
        signingAlgorithm: ECDSA_SHA256,
        extensions: extensionsOf(leaf),
      })
      const der = new Uint8Array(certificate.rawData)
      return {
        der,
        chain: encodePem(der, 'CERTIFICATE'),
        privateKey: encodePem(new Uint8Array(await crypto.subtle.exportKey('pkcs8', keys.privateKey)), 'PRIVATE KEY'),
      }
    },
  }
}

function extensionsOf(leaf: TestLeaf): Extension[] {
  const { serverAuth, clientAuth } = EXTENDED_KEY_USAGE
  const { uris = ['spiffe://cluster.local/ns/shop/sa/orders'], dnsNames = [] } = leaf
  const keyUsage = 'keyUsage' in leaf ? leaf.keyUsage : KeyUsageFlags.digitalSignature
  const extendedKeyUsage = 'extendedKeyUsage' in leaf ? leaf.extendedKeyUsage : [serverAuth, clientAuth]
  const names: JsonGeneralNames = [
    ...uris.map((value) => ({ type: 'url' as const, value })),
    ...dnsNames.map((value) => ({ type: 'dns' as const, value })),
  ]
  return [
    new BasicConstraintsExtension(leaf.isCa ?? false, undefined, true),
    ...(keyUsage === undefined ? [] : [new KeyUsagesExtension(keyUsage, true)]),
    ...(extendedKeyUsage === undefined ? [] : [new ExtendedKeyUsageExtension([...extendedKeyUsage])]),
    ...(names.length === 0 ? [] : [new SubjectAlternativeNameExtension(names, true)]),
    ...(leaf.extensions ?? []),
  ]
}
