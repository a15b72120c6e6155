import { createPrivateKey, createPublicKey, X509Certificate } from 'node:crypto'
import { fail, issue, ok, type Result } from '../../model/result.ts'
import { type SpiffeId, type TrustDomain, trustDomainOf } from '../../model/spiffe-id.ts'
import { parseTrustBundle, pemsOf } from '../../model/x509/bundle.ts'
import { type Certificate, parseCertificates } from '../../model/x509/certificate.ts'
import { judgeSvid } from '../../model/x509/svid.ts'

/** A private key and the certificates that speak for it, as TLS takes them. */
export interface KeyedCertificate {
  /** PKCS#8, PEM. Made in this process; never sent anywhere, never logged. */
  readonly privateKey: string
  /** PEM: the leaf first, then its issuers up to (and without) the root. */
  readonly chain: string
  readonly notAfterMs: number
  /** When it came, by this machine's clock: renewal counts from here, whatever skew the issuer's clock has. */
  readonly receivedAtMs: number
}

/** Who this sidecar is, and whom it believes. Immutable: renewal makes another one. */
export interface Identity extends KeyedCertificate {
  readonly spiffeId: SpiffeId
  readonly trustDomain: TrustDomain
  /** PEM certificates of the roots to trust. */
  readonly trustBundle: readonly string[]
}

export interface IdentityParts {
  readonly privateKey: string
  readonly chain: string
  readonly trustBundle: readonly string[]
  readonly receivedAtMs: number
}

/**
 * Puts an identity together and checks that its parts belong together: the leaf is a sound SVID for `spiffeId` in both
 * roles, its key is this key, the chain leads to a root of the bundle, and none of it has expired.
 */
export function createIdentity(parts: IdentityParts, spiffeId: SpiffeId, nowMs: number): Result<Identity> {
  const bundle = parseTrustBundle(...parts.trustBundle)
  if (!bundle.ok) return bundle
  const chain = parseCertificates(parts.chain)
  if (!chain.ok) return chain
  const leaf = chain.value[0]!
  const trustDomain = trustDomainOf(spiffeId)
  for (const role of ['client', 'server'] as const) {
    const verdict = judgeSvid(leaf.der, { trustDomain, role, nowMs, spiffeIds: new Set([spiffeId]) })
    if (!verdict.ok) return unusable(`is no SVID of ${spiffeId}: ${verdict.reason}`)
  }
  if (!belongsTo(leaf, parts.privateKey)) return unusable('is for another key')
  if (!leadsTo(chain.value, bundle.value.roots, nowMs)) return unusable('does not lead to a root of the trust bundle')
  return ok({
    spiffeId,
    trustDomain,
    privateKey: parts.privateKey,
    chain: parts.chain,
    trustBundle: pemsOf(bundle.value),
    notAfterMs: leaf.notAfterMs,
    receivedAtMs: parts.receivedAtMs,
  })
}

/** The same identity with other roots to trust, as the operator pushed them. */
export function withTrustBundle(identity: Identity, pems: readonly string[]): Result<Identity> {
  const bundle = parseTrustBundle(...pems)
  return bundle.ok ? ok({ ...identity, trustBundle: pemsOf(bundle.value) }) : bundle
}

/** Whether the certificate is for the public half of this private key (PKCS#8, PEM). */
export function belongsTo(leaf: Certificate, privateKey: string): boolean {
  const publicKey = createPublicKey(createPrivateKey(privateKey)).export({ type: 'spki', format: 'der' })
  return publicKey.equals(leaf.publicKey)
}

/** Whether each certificate is signed by the next, and the last by one of `roots`, all of them in their time. */
export function leadsTo(chain: readonly Certificate[], roots: readonly Certificate[], nowMs: number): boolean {
  const isCurrent = (certificate: Certificate) => certificate.notAfterMs > nowMs
  const isSignedBy = (certificate: Certificate, issuer: Certificate) => {
    const signer = new X509Certificate(issuer.der)
    return issuer.isCa && isCurrent(issuer) && new X509Certificate(certificate.der).verify(signer.publicKey)
  }
  for (const [index, certificate] of chain.entries()) {
    const issuer = chain[index + 1]
    if (!isCurrent(certificate)) return false
    if (issuer !== undefined) {
      if (!isSignedBy(certificate, issuer)) return false
    } else if (!roots.some((root) => isSignedBy(certificate, root))) {
      return false
    }
  }
  return chain.length > 0
}

function unusable(what: string) {
  return fail(issue('unusable-certificate', '', what))
}
