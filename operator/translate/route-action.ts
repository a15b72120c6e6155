import type { RouteAction, RouteConfig, Upstream } from '../../contract/workload-config.ts'
import type { BackendTarget, ResolvedRule } from './backends.ts'
import type { RouteKind } from './listeners.ts'
import type { MeshSettings } from './mesh-settings.ts'
import { upstreamOf } from './outbound.ts'

/** What a rule of a route says of its requests, whoever sends them. */
export function routeOf(
  kind: RouteKind,
  rule: ResolvedRule,
  mesh: MeshSettings,
): Pick<RouteConfig, 'requestHeaders' | 'responseHeaders' | 'action'> {
  return {
    ...(rule.requestHeaders !== undefined && { requestHeaders: rule.requestHeaders }),
    ...(rule.responseHeaders !== undefined && { responseHeaders: rule.responseHeaders }),
    action: actionOf(kind, rule, mesh),
  }
}

function actionOf(kind: RouteKind, rule: ResolvedRule, mesh: MeshSettings): RouteAction {
  if (rule.redirect !== undefined) return rule.redirect
  const backends = rule.backends.map(({ target, weight }) => ({ upstream: target?.upstream ?? '', weight }))
  // A caller of gRPC is told UNAVAILABLE (GRPCRouteRule.backendRefs).
  if (backends.every(({ weight }) => weight === 0)) return { kind: 'respond', status: kind === 'GRPCRoute' ? 503 : 500 }
  return {
    kind: 'forward',
    backends,
    ...(rule.rewritePath !== undefined && { rewritePath: rule.rewritePath }),
    ...(rule.rewriteHost !== undefined && { rewriteHost: rule.rewriteHost }),
    requestTimeoutMs: mesh.requestTimeoutMs,
    ...(rule.delivery !== undefined && { delivery: rule.delivery }),
    ...(rule.mirrors.length > 0 && {
      mirrors: rule.mirrors.map(({ target, ...share }) => ({ upstream: target.upstream, ...share })),
    }),
    ...(rule.session !== undefined && { session: rule.session }),
  }
}

interface LeadingRule {
  readonly backends: readonly Leading[]
  readonly mirrors?: readonly Leading[]
}

interface Leading {
  /** Absent: the reference does not resolve. */
  readonly target?: BackendTarget
}

/** The upstreams that rules lead to, and show copies to, by name. */
export function upstreamsOf(
  rules: readonly LeadingRule[],
  mesh: MeshSettings,
): readonly (readonly [name: string, upstream: Upstream])[] {
  const targets = rules.flatMap(({ backends, mirrors = [] }) => [...backends, ...mirrors])
  return targets.flatMap(({ target }) =>
    target === undefined ? [] : [[target.upstream, upstreamOf(target.service, target.port, mesh)] as const],
  )
}
