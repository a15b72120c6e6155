import type { SectionContext } from '../../model/section.ts'
import type { BackendTarget } from './backends.ts'
import type { GatewaySlice } from './gateway-slice.ts'
import { upstreamOf } from './outbound.ts'
import type { References } from './references.ts'

/** What sections know of a route at a listener of a gateway. */
export function gatewayContext(
  { id, mesh }: Pick<GatewaySlice, 'id' | 'mesh'>,
  { namespace, port, protocol }: Pick<SectionContext, 'namespace' | 'port' | 'protocol'>,
  backends: readonly { readonly target?: BackendTarget }[],
  references: References,
): SectionContext {
  // The mesh's default is about workloads, and the sidecar of each keeps to it: a gateway that asked again would only make
  // every team write its policy twice. Where a backend has no sidecar, nobody else asks.
  const isJudgedAgain = backends.every(
    ({ target }) => target === undefined || upstreamOf(target.service, target.port, mesh).tls === 'mesh',
  )
  return {
    namespace,
    workload: id,
    port,
    protocol,
    role: 'gateway',
    trustDomain: mesh.trustDomain,
    authorizationDefault: isJudgedAgain ? 'Allow' : mesh.authorizationDefault,
    ...(mesh.maxTokenLifetimeSeconds !== undefined && { maxTokenLifetimeSeconds: mesh.maxTokenLifetimeSeconds }),
    tokenIssuer: (issuer) => references.tokenIssuer(namespace, issuer),
    secret: references.secret,
    upstream: references.upstream,
  }
}
