import type { TrustDomain } from '../../model/spiffe-id.ts'
import { judgeSvid } from '../../model/x509/svid.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { CallerAuthenticator } from './caller.ts'

/** Renewal: who still holds a current SVID of this mesh is who it says. */
export function createSvidAuthenticator(trustDomain: TrustDomain, clock: Pick<Clock, 'now'>): CallerAuthenticator {
  return {
    async authenticate({ certificate }) {
      const verdict = judgeSvid(certificate, { trustDomain, role: 'client', nowMs: clock.now() })
      if (!verdict.ok) return { ok: false, status: 401, reason: verdict.reason }
      return { ok: true, caller: { spiffeId: verdict.spiffeId, provenBy: 'svid' } }
    },
  }
}
