import type { Audit } from '../audit/audit.ts'
import { ownCertificateIssued } from './audit-events.ts'
import type { Authority } from './authority.ts'

/** The same authority for an operator's own certificates: nobody asks for those, so nobody else would tell of them. */
export function auditedAuthority(authority: Authority, audit: Audit): Authority {
  return {
    ...authority,
    async issue(request) {
      const issued = await authority.issue(request)
      audit.record(ownCertificateIssued(request, issued))
      return issued
    },
  }
}
