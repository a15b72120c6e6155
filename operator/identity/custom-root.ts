import { createPrivateKey, createPublicKey, type KeyObject, X509Certificate } from 'node:crypto'
import { fail, issue, ok, type Result } from '../../model/result.ts'
import { type Certificate, parseCertificates } from '../../model/x509/certificate.ts'
import { endOf, type IssuerOfCas } from './ca-certificate.ts'
import { signerOf } from './signing.ts'

/** A root that a user brings, as cert-manager and `kubectl create secret tls` write it down. All of it PEM. */
export interface CustomRoot {
  /** `tls.crt`: the CA that is to sign our issuing CAs, then those between it and the root. */
  readonly certificate: string
  /** `tls.key`: PKCS#8, PKCS#1 or SEC1. */
  readonly privateKey: string
  /** `ca.crt`: the root. Absent: the last certificate of `tls.crt`, if it is self-signed. */
  readonly root?: string
}

/** What was brought cannot be used. The message names each fault, and holds nothing of the key. */
export class CustomRootError extends Error {
  override readonly name = 'CustomRootError'
  readonly code = 'custom-root'
}

/** CAs between the one that signs for us and its root, at most. */
const MAX_INTERMEDIATES = 4

/**
 * Reads a root that was brought, and checks what can be: the key is that of the first certificate and of a kind that
 * signs, each certificate is a CA that the next one signed, the last of them is signed by a root that signed itself, and
 * none has ended. Path lengths, constraints and purposes are OpenSSL's to judge (`prove-chain.ts`).
 */
export function readCustomRoot({ certificate, privateKey, root }: CustomRoot, nowMs: number): Result<IssuerOfCas> {
  const chain = parseCertificates(certificate)
  if (!chain.ok) return wrong('tls.crt', 'cannot be read', 'put the PEM certificate of a CA there')
  const roots = root === undefined ? ok([]) : parseCertificates(root)
  if (!roots.ok) return wrong('ca.crt', 'cannot be read', 'put the PEM certificate of the root there')
  const key = readKey(privateKey)
  if (key === undefined)
    return wrong('tls.key', 'cannot be read', 'put the PEM key of tls.crt there, without a password')
  if (signerOf(key) === undefined) {
    return wrong(
      'tls.key',
      'is of a kind that signs nothing here',
      'make an EC key (P-256, P-384) or an RSA key (2048)',
    )
  }

  const [own, ...above] = chain.value
  const isKeyItsOwn = own !== undefined && publicKeyOf(key).equals(own.publicKey)
  if (!isKeyItsOwn) return wrong('tls.key', 'is not the key of the first certificate of tls.crt')
  const notCa = chain.value.find(({ isCa, keyUsage }) => !isCa || keyUsage?.keyCertSign === false)
  if (notCa !== undefined)
    return wrong('tls.crt', 'holds a certificate that is not of a CA', 'ask for one with CA:TRUE')

  const intermediates = above.filter((one) => !isSelfSigned(one))
  if (intermediates.length > MAX_INTERMEDIATES) return wrong('tls.crt', `holds more than ${MAX_INTERMEDIATES} CAs`)
  const links = [own, ...intermediates]
  const broken = links.findIndex((one, i) => links[i + 1] !== undefined && !isSignedBy(one, links[i + 1]!))
  if (broken !== -1)
    return wrong('tls.crt', 'is not in the order of a chain', 'put each CA before the one that signed it')
  const candidates = root === undefined ? chain.value : roots.value
  const found = candidates.find((one) => isSelfSigned(one) && isSignedBy(links.at(-1)!, one))
  if (found === undefined) {
    return wrong('ca.crt', 'holds no self-signed root that tls.crt leads to', 'put the root of tls.crt there')
  }
  const isRootItself = isSame(found, own)
  const issuer: IssuerOfCas = {
    privateKey: key,
    certificate: isRootItself ? found : own,
    intermediates,
    root: found,
  }
  if (endOf(issuer) <= nowMs) return wrong('tls.crt', 'or a certificate above it has expired')
  return ok(issuer)
}

function readKey(pem: string): KeyObject | undefined {
  try {
    return createPrivateKey(pem)
  } catch {
    return undefined
  }
}

function publicKeyOf(key: KeyObject): Buffer {
  return createPublicKey(key).export({ type: 'spki', format: 'der' })
}

function isSelfSigned(certificate: Certificate): boolean {
  return certificate.isCa && certificate.issuer === certificate.subject && isSignedBy(certificate, certificate)
}

function isSignedBy(certificate: Certificate, issuer: Certificate): boolean {
  if (certificate.issuer !== issuer.subject) return false
  return new X509Certificate(certificate.der).verify(new X509Certificate(issuer.der).publicKey)
}

function isSame(a: Certificate, b: Certificate): boolean {
  return Buffer.from(a.der).equals(b.der)
}

function wrong(path: string, what: string, fix?: string) {
  return fail(issue('unusable-custom-root', path, what, fix))
}
