import type { WorkloadConfig } from '../../contract/workload-config.ts'
import type { Chain, CompiledRoute } from './pipeline.ts'

const NOTHING: Chain = Object.freeze({ enforced: [] })

/**
 * What is asked about requests of the workload that go to these upstreams: `calls`, where all of them are reached by mesh TLS.
 * Whatever it puts into a request is for the mesh alone.
 */
export function chainTo(upstreams: readonly string[], calls: Chain, config: Pick<WorkloadConfig, 'upstreams'>): Chain {
  return upstreams.every((name) => config.upstreams[name]?.tls === 'mesh') ? calls : NOTHING
}

/** A route at a Service, as its requests are judged at the caller. */
export function asCall(route: CompiledRoute, calls: Chain, config: Pick<WorkloadConfig, 'upstreams'>): CompiledRoute {
  const { action } = route.config
  if ((calls.enforced.length === 0 && calls.shadow === undefined) || action.kind !== 'forward') return route
  const upstreams = [...action.backends, ...(action.mirrors ?? [])].map(({ upstream }) => upstream)
  // An empty name is of nobody: such requests are answered here.
  return {
    ...route,
    chain: chainTo(
      upstreams.filter((name) => name !== ''),
      calls,
      config,
    ),
  }
}
