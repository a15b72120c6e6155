import type { TrustDomain } from '../../model/spiffe-id.ts'
import { encodeDer } from '../../model/x509/der-write.ts'
import { Extension } from './x509-library.ts'

/** id-ce-nameConstraints, RFC 5280, 4.2.1.10. */
const NAME_CONSTRAINTS = '2.5.29.30'

/** Context tags: permittedSubtrees [0], and the GeneralName choice uniformResourceIdentifier [6]. */
const PERMITTED_SUBTREES = 0xa0
const URI = 0x86
const SEQUENCE = 0x30

/**
 * Says that a CA may vouch for URI names of this trust domain only (for URIs the constraint is on the host part, which
 * in a SPIFFE id is the trust domain). Names of other kinds are not constrained: a gateway serves any host.
 *
 * Critical, as the RFC demands: who cannot obey it must refuse the chain.
 */
export function nameConstraintsFor(trustDomain: TrustDomain): Extension {
  const host = new TextEncoder().encode(trustDomain)
  const subtree = encodeDer(SEQUENCE, encodeDer(URI, host))
  return new Extension(NAME_CONSTRAINTS, true, encodeDer(SEQUENCE, encodeDer(PERMITTED_SUBTREES, subtree)).slice())
}
