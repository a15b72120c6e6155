import type { SpiffeId } from '../../model/spiffe-id.ts'
import type { WorkloadId } from '../../model/workload-id.ts'

/** What is known of a request before anybody has said who sent it. */
export interface CallerFacts {
  /** The token of `Authorization: Bearer`. Secret: for comparing only. */
  readonly bearer: string | undefined
  /** DER of the client certificate, where TLS verified that it leads to one of our roots. */
  readonly certificate: Uint8Array | undefined
  readonly remoteAddress: string | undefined
}

/** Who asks for a certificate, as proven. The name in the certificate comes from here and from nowhere else. */
export interface Caller {
  readonly spiffeId: SpiffeId
  readonly provenBy: 'join-token' | 'svid' | 'service-account-token'
  /** Known with a token that was made for one workload; an SVID only names a service account. */
  readonly workload?: WorkloadId
  /** The pod that a service-account token is bound to. */
  readonly pod?: { readonly namespace: string; readonly name: string; readonly uid: string }
}

export type CallerVerdict =
  | { readonly ok: true; readonly caller: Caller }
  /** `reason` is stable and kebab-case; it is told to the caller, so it tells no more than that. */
  | {
      readonly ok: false
      readonly status: 401 | 403 | 429 | 503
      readonly reason: string
      /** When asking again makes sense. */
      readonly retryAfterSeconds?: number
    }

/**
 * Proves who asks. The local mesh has join tokens here; on Kubernetes TokenReview takes the same place.
 *
 * An implementation never throws for what a client sent; it may where a machine failed (the answer is 503 then).
 */
export interface CallerAuthenticator {
  authenticate(facts: CallerFacts): Promise<CallerVerdict>
}

/**
 * A request with a token is judged by its token alone, one without by its certificate: a token that is refused gets no
 * second try as something else.
 */
export function tokenOrCertificate(
  byToken: CallerAuthenticator,
  byCertificate: CallerAuthenticator,
): CallerAuthenticator {
  return {
    authenticate: (facts) => (facts.bearer === undefined ? byCertificate : byToken).authenticate(facts),
  }
}

/**
 * Nobody is given a certificate for a workload that there is not, or no more: whoever was proven must be `isWanted` too.
 * The local mesh and the cluster both know by their resources who belongs.
 */
export function onlyWanted(
  authenticator: CallerAuthenticator,
  isWanted: (spiffeId: SpiffeId) => boolean,
): CallerAuthenticator {
  return {
    async authenticate(facts) {
      const verdict = await authenticator.authenticate(facts)
      if (!verdict.ok || isWanted(verdict.caller.spiffeId)) return verdict
      return { ok: false, status: 403, reason: 'no-such-workload' }
    },
  }
}
