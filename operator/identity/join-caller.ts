import type { CallerAuthenticator } from './caller.ts'
import type { JoinTokens } from './join-tokens.ts'

/** The local mesh: a workload is who its join token was made for. */
export function createJoinAuthenticator(tokens: Pick<JoinTokens, 'redeem'>): CallerAuthenticator {
  return {
    async authenticate({ bearer }) {
      const claim = bearer === undefined ? undefined : await tokens.redeem(bearer)
      if (claim === undefined) return { ok: false, status: 401, reason: 'bad-join-token' }
      return { ok: true, caller: { spiffeId: claim.spiffeId, workload: claim.workload, provenBy: 'join-token' } }
    },
  }
}
