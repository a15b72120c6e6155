import { parseSpiffeId, pathOf, type SpiffeId, type TrustDomain, trustDomainOf } from '../spiffe-id.ts'
import { type Certificate, EXTENDED_KEY_USAGE, parseCertificate } from './certificate.ts'

/**
 * Why a certificate is no proof of an identity in this mesh. Stable: log field and metric label.
 *
 * Everything else is asked *after* OpenSSL has verified the chain, and of the leaf only.
 */
export type SvidRefusal =
  | 'no-certificate'
  /** TLS itself did not verify the chain. */
  | 'not-verified'
  /** Nothing was verified in this handshake: it resumed an older one. */
  | 'resumed-session'
  | 'malformed-certificate'
  | 'not-one-uri'
  | 'malformed-spiffe-id'
  | 'no-path'
  | 'foreign-trust-domain'
  | 'ca-certificate'
  | 'wrong-key-usage'
  | 'wrong-extended-key-usage'
  | 'not-yet-valid'
  | 'expired'
  | 'unexpected-identity'

/** A workload as its certificate proves it. */
export interface PeerIdentity {
  readonly ok: true
  readonly spiffeId: SpiffeId
  /** End of the certificate, and soon after it of the connection. Milliseconds since the epoch. */
  readonly notAfterMs: number
}

export interface PeerRefusal {
  readonly ok: false
  readonly reason: SvidRefusal
}

export type SvidVerdict = PeerIdentity | PeerRefusal

export interface SvidExpectation {
  readonly trustDomain: TrustDomain
  /** What the peer is in this handshake; its certificate must be meant for that. */
  readonly role: 'client' | 'server'
  /** Milliseconds since the epoch. */
  readonly nowMs: number
  /** The ids that will do. Absent: any of the trust domain. */
  readonly spiffeIds?: ReadonlySet<SpiffeId>
}

/** Clocks of two machines may differ by this much (F10); issuers backdate as well. */
const CLOCK_SKEW_MS = 60_000

/**
 * Judges a peer's leaf certificate (DER) as an X509-SVID, section 5.2 of its specification, and stricter: exactly one
 * URI name, and the key usages that a leaf of this mesh always has must be there.
 */
export function judgeSvid(der: Uint8Array | undefined, expected: SvidExpectation): SvidVerdict {
  if (der === undefined) return refuse('no-certificate')
  const certificate = parseCertificate(der)
  if (!certificate.ok) return refuse('malformed-certificate')
  return judge(certificate.value, expected)
}

function judge(certificate: Certificate, expected: SvidExpectation): SvidVerdict {
  const [uri, ...more] = certificate.subjectAltNames.uris
  if (uri === undefined || more.length > 0) return refuse('not-one-uri')
  if (certificate.isCa) return refuse('ca-certificate')
  const usage = certificate.keyUsage
  if (usage === undefined || !usage.digitalSignature || usage.keyCertSign || usage.cRLSign) {
    return refuse('wrong-key-usage')
  }
  const wanted = expected.role === 'client' ? EXTENDED_KEY_USAGE.clientAuth : EXTENDED_KEY_USAGE.serverAuth
  if (!certificate.extendedKeyUsage?.includes(wanted)) return refuse('wrong-extended-key-usage')

  const id = parseSpiffeId(uri)
  if (!id.ok) return refuse('malformed-spiffe-id')
  if (pathOf(id.value) === '') return refuse('no-path')
  if (trustDomainOf(id.value) !== expected.trustDomain) return refuse('foreign-trust-domain')

  if (certificate.notBeforeMs > expected.nowMs + CLOCK_SKEW_MS) return refuse('not-yet-valid')
  if (certificate.notAfterMs <= expected.nowMs) return refuse('expired')
  if (expected.spiffeIds !== undefined && !expected.spiffeIds.has(id.value)) return refuse('unexpected-identity')
  return { ok: true, spiffeId: id.value, notAfterMs: certificate.notAfterMs }
}

function refuse(reason: SvidRefusal): PeerRefusal {
  return { ok: false, reason }
}
