import { randomBytes, webcrypto } from 'node:crypto'
import { BmpString, ObjectIdentifier, OctetString } from 'asn1js'
import {
  Attribute,
  AuthenticatedSafe,
  CertBag,
  Certificate,
  CryptoEngine,
  PFX,
  PKCS8ShroudedKeyBag,
  PrivateKeyInfo,
  SafeBag,
  SafeContents,
} from 'pkijs'
import { describeIssue } from '../../model/result.ts'
import { decodePem } from '../../model/x509/pem.ts'

/** What a certificate is called in a store. Java's `KeyStore` asks for it by this. */
export interface NamedCertificate {
  readonly alias: string
  /** PEM. */
  readonly certificate: string
}

export interface KeyEntry {
  readonly alias: string
  /** PKCS#8, PEM. */
  readonly privateKey: string
  /** PEM: the leaf first, then its issuers. */
  readonly chain: string
}

/**
 * A PKCS#12 file (RFC 7292) with one private key and the certificates that speak for it. The key is encrypted (PBES2, AES-256);
 * the certificates, which are public, are not. All of it is authenticated.
 */
export function keystoreOf({ alias, privateKey, chain }: KeyEntry, password: string): Promise<Uint8Array> {
  // Java looks for the certificate of a key by this, and not by what is in them.
  const localKeyId = new Attribute({
    type: OID.localKeyId,
    values: [new OctetString({ valueHex: bytesOf(randomBytes(20)) })],
  })
  const certificates = derOf(chain, 'CERTIFICATE')
  const bags = certificates.map((der, i) => certificateBag(der, i === 0 ? [named(alias), localKeyId] : []))
  return store(password, async (engine) => {
    const [der = new Uint8Array()] = derOf(privateKey, 'PRIVATE KEY')
    const key = new PKCS8ShroudedKeyBag({ parsedValue: PrivateKeyInfo.fromBER(bytesOf(der)) })
    await key.makeInternalValues(
      {
        password: passwordBytes(password),
        contentEncryptionAlgorithm: { name: 'AES-CBC', length: 256 },
        hmacHashAlgorithm: 'SHA-256',
        iterationCount: ITERATIONS,
      },
      engine,
    )
    const attributes = [named(alias), localKeyId]
    return [new SafeBag({ bagId: OID.shroudedKeyBag, bagValue: key, bagAttributes: attributes }), ...bags]
  })
}

/** A PKCS#12 file with certificates to trust. Each says that it is one, without which Java sees none. */
export function truststoreOf(roots: readonly NamedCertificate[], password: string): Promise<Uint8Array> {
  const isTrusted = new Attribute({
    type: OID.trustedKeyUsage,
    values: [new ObjectIdentifier({ value: OID.anyExtendedKeyUsage })],
  })
  return store(password, async () =>
    roots.flatMap(({ alias, certificate }) =>
      derOf(certificate, 'CERTIFICATE').map((der) => certificateBag(der, [named(alias), isTrusted])),
    ),
  )
}

const OID = {
  shroudedKeyBag: '1.2.840.113549.1.12.10.1.2',
  certBag: '1.2.840.113549.1.12.10.1.3',
  friendlyName: '1.2.840.113549.1.9.20',
  localKeyId: '1.2.840.113549.1.9.21',
  /** Oracle's, of a certificate that is trusted; its value is what for. */
  trustedKeyUsage: '2.16.840.1.113894.746875.1.1',
  anyExtendedKeyUsage: '2.5.29.37.0',
} as const

/** Stretching is for passwords that people choose: these are random, and the sidecar has requests to serve. */
const ITERATIONS = 1_000

type Engine = InstanceType<typeof CryptoEngine>

async function store(password: string, bagsOf: (engine: Engine) => Promise<SafeBag[]>): Promise<Uint8Array> {
  const engine = new CryptoEngine({ name: 'node', crypto: webcrypto })
  const contents = new SafeContents({ safeBags: await bagsOf(engine) })
  const authenticatedSafe = new AuthenticatedSafe({
    parsedValue: { safeContents: [{ privacyMode: 0, value: contents }] },
  })
  await authenticatedSafe.makeInternalValues({ safeContents: [{}] }, engine)
  const pfx = new PFX({ parsedValue: { integrityMode: 0, authenticatedSafe } })
  await pfx.makeInternalValues(
    {
      password: passwordBytes(password),
      iterations: ITERATIONS,
      pbkdf2HashAlgorithm: 'SHA-256',
      hmacHashAlgorithm: 'SHA-256',
    },
    engine,
  )
  return new Uint8Array(pfx.toSchema().toBER(false))
}

function certificateBag(der: Uint8Array, bagAttributes: Attribute[]): SafeBag {
  const bagValue = new CertBag({ parsedValue: Certificate.fromBER(bytesOf(der)) })
  return new SafeBag({ bagId: OID.certBag, bagValue, bagAttributes })
}

function named(alias: string): Attribute {
  return new Attribute({ type: OID.friendlyName, values: [new BmpString({ value: alias })] })
}

function passwordBytes(password: string): ArrayBuffer {
  return bytesOf(new TextEncoder().encode(password))
}

/** A buffer of its own, of these bytes alone. */
function bytesOf(bytes: Uint8Array): ArrayBuffer {
  return Uint8Array.from(bytes).buffer
}

/** DER of each block. Throws a TypeError for what is no PEM: nobody wrote it but us. */
function derOf(pem: string, label: string): readonly Uint8Array[] {
  const blocks = decodePem(pem, label)
  if (!blocks.ok) throw new TypeError(blocks.issues.map(describeIssue).join('; '))
  return blocks.value
}
