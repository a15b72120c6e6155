import type { ServingCertificate } from '../identity/serving-certificate.ts'
import type { ServingCertificates } from '../identity/serving-certificates.ts'

/** A gateway's certificates as another worker has got them. */
export interface FollowedCertificates extends Pick<ServingCertificates, 'get' | 'onChange'> {
  /** Takes all that there are now. */
  replace(certificates: readonly ServingCertificate[]): void
}

export function followCertificates(): FollowedCertificates {
  let known = new Map<string, ServingCertificate>()
  const listeners = new Set<(certificate: ServingCertificate) => void>()
  return {
    get: (hostname) => known.get(hostname),
    onChange(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    replace(certificates) {
      const before = known
      // What did not change stays the same object: a TLS context is kept for each.
      const next = certificates.map((certificate) => {
        const kept = before.get(certificate.hostname)
        return kept?.chain === certificate.chain ? kept : certificate
      })
      known = new Map(next.map((certificate) => [certificate.hostname, certificate]))
      for (const certificate of next) {
        if (before.get(certificate.hostname) === certificate) continue
        for (const listener of listeners) listener(certificate)
      }
    },
  }
}
