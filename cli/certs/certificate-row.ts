import { createHash, X509Certificate } from 'node:crypto'
import { parseSpiffeId, trustDomainOf } from '../../model/spiffe-id.ts'
import { type Certificate, parseCertificates } from '../../model/x509/certificate.ts'
import { judgeSvid, type SvidRefusal } from '../../model/x509/svid.ts'
import { leadsTo } from '../../sidecar/identity/identity.ts'

/** One certificate, as `hauberk certs` tells of it. */
export interface CertificateRow {
  /** The workload that shows it, or the file that holds it. */
  readonly of: string
  /** `svid`: who a workload is. `serving`: what a gateway shows to browsers. `ca`: signs others. */
  readonly kind: 'svid' | 'serving' | 'ca'
  /** The SPIFFE ID, or the names of a serving certificate, or the subject of a CA. */
  readonly name: string
  /** Lower-case hex. */
  readonly serial: string
  /** RFC 3339. */
  readonly notBefore: string
  readonly notAfter: string
  readonly notAfterMs: number
  /** Subject of the CA that signed it. */
  readonly issuer: string
  /** SHA-256 of the root that it leads to, in hex with colons; absent when no root is known or none is led to. */
  readonly root?: string
  /** Why nobody in the mesh would take it; absent when all is well. */
  readonly problem?: string
  /** The same as the logs of sidecars have it, where it is no SVID. */
  readonly reason?: SvidRefusal
}

export type JudgedCertificates =
  | { readonly ok: true; readonly row: CertificateRow }
  | { readonly ok: false; readonly problem: string }

/**
 * Judges a chain in PEM: as an X509-SVID for both ends of a connection where it says to be one. `roots` is PEM as well;
 * without any, nothing is said of who signed it.
 */
export function judgeCertificates(
  of: string,
  pem: string,
  { roots, kind, nowMs }: { readonly roots: readonly string[]; readonly kind?: 'serving'; readonly nowMs: number },
): JudgedCertificates {
  const chain = parseCertificates(pem)
  if (!chain.ok) return { ok: false, problem: chain.issues.map(({ message }) => message).join('; ') }
  const leaf = chain.value[0] as Certificate
  const root = roots.length === 0 ? undefined : rootOf(chain.value, roots, nowMs)
  const reason = reasonOf(leaf, kind, nowMs)
  const isForeign = roots.length > 0 && root === undefined
  const problem = reason === undefined ? (isForeign ? UNKNOWN_ROOT : undefined) : REFUSALS[reason]
  const x509 = new X509Certificate(leaf.der)
  return {
    ok: true,
    row: {
      of,
      kind: kind ?? (leaf.isCa ? 'ca' : 'svid'),
      name: nameOf(leaf, x509),
      serial: leaf.serial,
      notBefore: timeOf(leaf.notBeforeMs),
      notAfter: timeOf(leaf.notAfterMs),
      notAfterMs: leaf.notAfterMs,
      issuer: commonNameOf(x509.issuer),
      ...(root !== undefined && { root: fingerprintOf(root) }),
      ...(problem !== undefined && { problem }),
      ...(reason !== undefined && { reason }),
    },
  }
}

const UNKNOWN_ROOT = 'leads to no root that is trusted'

/** What each reason means, and what would be right. */
const REFUSALS: Readonly<Record<SvidRefusal, string>> = {
  'no-certificate': 'there is no certificate',
  'not-verified': 'TLS did not verify it',
  'resumed-session': 'it was not shown in this handshake',
  'malformed-certificate': 'it cannot be read',
  'not-one-uri': 'an SVID has exactly one URI name, a SPIFFE ID',
  'malformed-spiffe-id': 'its URI is no SPIFFE ID',
  'no-path': 'its SPIFFE ID names a trust domain, not a workload',
  'foreign-trust-domain': 'it is of another trust domain',
  'ca-certificate': 'it is a CA, which is no workload',
  'wrong-key-usage': 'its key usage is not digitalSignature alone',
  'wrong-extended-key-usage': 'it is not for both ends of a connection (serverAuth and clientAuth)',
  'not-yet-valid': 'it is not valid yet',
  expired: 'it has expired',
  'unexpected-identity': 'it is of another workload',
}

function reasonOf(leaf: Certificate, kind: 'serving' | undefined, nowMs: number): SvidRefusal | undefined {
  if (kind === 'serving' || leaf.isCa) {
    if (leaf.notAfterMs <= nowMs) return 'expired'
    return leaf.notBeforeMs > nowMs ? 'not-yet-valid' : undefined
  }
  const id = parseSpiffeId(leaf.subjectAltNames.uris[0] ?? '')
  // Without an id there is no trust domain either; then that is not what is wrong with it.
  const trustDomain = id.ok ? trustDomainOf(id.value) : ('none' as ReturnType<typeof trustDomainOf>)
  for (const role of ['server', 'client'] as const) {
    const verdict = judgeSvid(leaf.der, { trustDomain, role, nowMs })
    if (!verdict.ok) return verdict.reason
  }
  return undefined
}

/** The root that a chain leads to; a CA may be that root itself. */
function rootOf(chain: readonly Certificate[], pems: readonly string[], nowMs: number): Certificate | undefined {
  const roots = pems.flatMap((pem) => {
    const parsed = parseCertificates(pem)
    return parsed.ok ? parsed.value : []
  })
  return roots.find(
    (root) => fingerprintOf(root) === fingerprintOf(chain[0] as Certificate) || leadsTo(chain, [root], nowMs),
  )
}

function nameOf({ subjectAltNames }: Certificate, x509: X509Certificate): string {
  const names = [...subjectAltNames.uris, ...subjectAltNames.dnsNames]
  return names.length > 0 ? names.join(', ') : commonNameOf(x509.subject)
}

/** OpenSSL prints one attribute a line: `O=...\nCN=...`. */
function commonNameOf(name: string | undefined): string {
  const lines = (name ?? '').split('\n')
  return lines.find((line) => line.startsWith('CN='))?.slice(3) ?? lines.join(', ')
}

function fingerprintOf({ der }: Certificate): string {
  const hex = createHash('sha256').update(der).digest('hex').toUpperCase()
  return hex.match(/../g)?.join(':') ?? ''
}

function timeOf(ms: number): string {
  return new Date(ms).toISOString().replace(/\.\d+Z$/, 'Z')
}
