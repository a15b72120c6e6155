import { createHash, createPrivateKey, createPublicKey, X509Certificate } from 'node:crypto'
import { fail, issue, ok, type Result } from '../../model/result.ts'
import { type SpiffeId, type TrustDomain, trustDomainOf } from '../../model/spiffe-id.ts'
import { parseTrustBundle, pemsOf, type TrustBundle } from '../../model/x509/bundle.ts'
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
  /** The fingerprint of the root that vouches for the certificate. */
  readonly root: string
  /** PEM certificates of the roots to trust. The first is the one that the operator signs under. */
  readonly trustBundle: readonly string[]
  /** Their fingerprints, in the same order. */
  readonly trustedRoots: readonly string[]
  /** Fingerprints of roots that are not to be trusted any more, whatever else says so. */
  readonly distrustedRoots: readonly string[]
}

export interface IdentityParts {
  readonly privateKey: string
  readonly chain: string
  readonly trustBundle: readonly string[]
  readonly receivedAtMs: number
  /** Default: none. */
  readonly distrustedRoots?: readonly string[]
}

/**
 * Puts an identity together and checks that its parts belong together: the leaf is a sound SVID for `spiffeId` in both
 * roles, its key is this key, the chain leads to a root of the bundle, and none of it has expired.
 */
export function createIdentity(parts: IdentityParts, spiffeId: SpiffeId, nowMs: number): Result<Identity> {
  const bundle = readTrustBundle(parts.trustBundle, parts.distrustedRoots)
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
  const root = rootOf(chain.value, bundle.value.roots, nowMs)
  if (root === undefined) return unusable('does not lead to a root of the trust bundle')
  return ok({
    spiffeId,
    trustDomain,
    privateKey: parts.privateKey,
    chain: parts.chain,
    trustBundle: pemsOf(bundle.value),
    trustedRoots: bundle.value.roots.map(fingerprintOf),
    distrustedRoots: parts.distrustedRoots ?? [],
    notAfterMs: leaf.notAfterMs,
    receivedAtMs: parts.receivedAtMs,
    root: fingerprintOf(root),
  })
}

/** The same identity with other roots to trust, and not to trust, as the operator pushed them. */
export function withTrustBundle(
  identity: Identity,
  pems: readonly string[],
  distrustedRoots: readonly string[] = [],
): Result<Identity> {
  const bundle = readTrustBundle(pems, distrustedRoots)
  if (!bundle.ok) return bundle
  const trustedRoots = bundle.value.roots.map(fingerprintOf)
  return ok({ ...identity, trustBundle: pemsOf(bundle.value), trustedRoots, distrustedRoots })
}

/** A bundle without what is distrusted. One of which nothing is left is none. */
export function readTrustBundle(pems: readonly string[], distrustedRoots: readonly string[] = []): Result<TrustBundle> {
  const bundle = parseTrustBundle(...pems)
  if (!bundle.ok || distrustedRoots.length === 0) return bundle
  const roots = bundle.value.roots.filter((root) => !distrustedRoots.includes(fingerprintOf(root)))
  if (roots.length > 0) return ok({ roots })
  return fail(issue('malformed-trust-bundle', '', 'holds nothing but roots that are distrusted'))
}

/** Whether a root that is still trusted vouches for the certificate: if not, nobody in the mesh believes it. */
export function isVouchedFor({ root, trustedRoots }: Pick<Identity, 'root' | 'trustedRoots'>): boolean {
  return trustedRoots.includes(root)
}

/** SHA-256 of the DER, lower-case hex. */
export function fingerprintOf({ der }: Pick<Certificate, 'der'>): string {
  return createHash('sha256').update(der).digest('hex')
}

/** Whether the certificate is for the public half of this private key (PKCS#8, PEM). */
export function belongsTo(leaf: Certificate, privateKey: string): boolean {
  const publicKey = createPublicKey(createPrivateKey(privateKey)).export({ type: 'spki', format: 'der' })
  return publicKey.equals(leaf.publicKey)
}

/** Whether each certificate is signed by the next, and the last by one of `roots`, all of them in their time. */
export function leadsTo(chain: readonly Certificate[], roots: readonly Certificate[], nowMs: number): boolean {
  return rootOf(chain, roots, nowMs) !== undefined
}

/** The one of `roots` that {@link leadsTo} finds. */
export function rootOf(
  chain: readonly Certificate[],
  roots: readonly Certificate[],
  nowMs: number,
): Certificate | undefined {
  const isCurrent = (certificate: Certificate) => certificate.notAfterMs > nowMs
  const isSignedBy = (certificate: Certificate, issuer: Certificate) => {
    const signer = new X509Certificate(issuer.der)
    return issuer.isCa && isCurrent(issuer) && new X509Certificate(certificate.der).verify(signer.publicKey)
  }
  for (const [index, certificate] of chain.entries()) {
    const issuer = chain[index + 1]
    if (!isCurrent(certificate)) return undefined
    if (issuer === undefined) return roots.find((root) => isSignedBy(certificate, root))
    if (!isSignedBy(certificate, issuer)) return undefined
  }
  return undefined
}

function unusable(what: string) {
  return fail(issue('unusable-certificate', '', what))
}
