import type { RouteConfig } from '../../contract/workload-config.ts'
import type { Pipeline } from '../../sidecar/compile/pipeline.ts'
import { rewritePath } from '../../sidecar/serve/route-plan.ts'
import type { Asked } from './asked.ts'

/** What becomes of a request that a route has got: who answers it, or whose sidecar judges it next, of `upstreams`. */
export function nextHop(
  route: RouteConfig,
  { method, path }: Asked,
  upstreams: readonly string[],
  { config }: Pipeline,
): readonly string[] {
  const { action } = route
  switch (action.kind) {
    case 'redirect':
      return [`the route answers ${action.status} with another Location`]
    case 'respond':
      return [`the route answers ${action.status} by itself`]
    case 'app':
      return []
    case 'forward': {
      const account = config.identity.spiffeId.replace(/^.*\/ns\/([^/]+)\/sa\/([^/]+)$/, '$1/$2')
      const asked = rewritePath(path, route)
      const services = new Set(upstreams.flatMap((upstream) => config.upstreams[upstream]?.service ?? []))
      return [...services].map(
        (service) => `next, its sidecar judges: hauberk explain ${service} ${method} ${asked} --from ${account}`,
      )
    }
  }
}
