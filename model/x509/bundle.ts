import { fail, issue, ok, type Result } from '../result.ts'
import { type Certificate, parseCertificates } from './certificate.ts'
import { encodePem } from './pem.ts'

/**
 * The roots that vouch for one trust domain (SPIFFE Trust Domain and Bundle, section 4). Several at once while one is
 * being replaced by the next.
 */
export interface TrustBundle {
  readonly roots: readonly Certificate[]
}

/** Roots at once. A rotation has two; more than a few is a bundle of something else. */
const MAX_ROOTS = 16

/** Reads PEM texts of one or several roots each. Every one must be a CA certificate; the same one twice counts once. */
export function parseTrustBundle(...pems: readonly string[]): Result<TrustBundle> {
  const roots = new Map<string, Certificate>()
  for (const pem of pems) {
    const certificates = parseCertificates(pem)
    if (!certificates.ok) return certificates
    for (const certificate of certificates.value) {
      if (!certificate.isCa) return malformed('holds a certificate that is not of a CA')
      roots.set(encodePem(certificate.der, 'CERTIFICATE'), certificate)
    }
  }
  if (roots.size === 0) return malformed('holds no certificate')
  if (roots.size > MAX_ROOTS) return malformed(`holds more than ${MAX_ROOTS} roots`)
  return ok({ roots: [...roots.values()] })
}

/** One PEM text a root. */
export function pemsOf(bundle: TrustBundle): readonly string[] {
  return bundle.roots.map((root) => encodePem(root.der, 'CERTIFICATE'))
}

function malformed(what: string) {
  return fail(issue('malformed-trust-bundle', '', what))
}
