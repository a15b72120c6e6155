import { canonicalJson } from '../../contract/codec.ts'
import type {
  FilterSlot,
  FilterSlots,
  InboundListener,
  RouteConfig,
  TraceConfig,
  WorkloadConfig,
} from '../../contract/workload-config.ts'
import type { Check, Filter, FilterDeps } from '../../model/filter.ts'
import { fail, type Issue, issue, ok, type Result, under } from '../../model/result.ts'
import type { Denial } from '../../model/verdict.ts'
import { FILTERS } from '../../policies/filters.ts'
import { asCall } from './calls.ts'
import type {
  Chain,
  CompiledRoute,
  CompiledStreamRoute,
  GatewayPipeline,
  InboundPipeline,
  OpeningPlan,
  OutboundPipeline,
  Pipeline,
  Step,
  StreamPipeline,
} from './pipeline.ts'
import { buildRouter } from './router.ts'
import { buildStreamRouter } from './stream-router.ts'

/** What the sidecar hands to filters; `remember` is made here, from the previous pipeline. */
export type CompileDeps = Omit<FilterDeps, 'remember'>

/** A policy of this route refers to something that does not exist, or no longer. */
export const POLICY_UNRESOLVED: Denial = {
  name: 'policy-unresolved',
  status: 503,
  title: 'A security policy of this service cannot be applied.',
}

/**
 * Makes a config ready to run. Pure: the same config, previous pipeline and deps give a pipeline that answers the same.
 *
 * A check whose config did not change is adopted from `previous` with all that it remembers, so that a push about
 * something else does not hand every client a fresh rate limit. Any part that does not compile fails the whole: the
 * caller nacks it and keeps what it has.
 */
export function compile(
  config: WorkloadConfig,
  previous: Pipeline | undefined,
  deps: CompileDeps,
  filters: readonly Filter[] = FILTERS,
): Result<Pipeline> {
  const issues: Issue[] = []
  const checks = new Map<string, { check: Check; remembers: readonly string[] }>()
  const values = new Map<string, unknown>()
  const routes = new Map<RouteConfig, { compiled: CompiledRoute; checks: readonly string[] }>()
  // A route that is the very one of before is compiled already, as long as the same filters are asked.
  const earlier = previous?.memory.filters === filters ? previous.memory : undefined
  /** Keys of the checks that the route which is compiled just now asks. */
  let used: string[] = []
  const remember = <T>(key: string, create: () => T): T => {
    if (!values.has(key)) {
      values.set(key, previous?.memory.values.has(key) ? previous.memory.values.get(key) : create())
    }
    return values.get(key) as T
  }

  const compileStep = (filter: Filter, slot: FilterSlot, path: string): Step | undefined => {
    const common = { filter, origins: slot.origins, dryRun: slot.mode === 'dry-run' }
    if (slot.state === 'unresolved') {
      const { reason } = slot
      const check: Check = () => ({ kind: 'deny', denial: POLICY_UNRESOLVED, detail: reason })
      return { ...common, check, config: undefined, unresolved: reason }
    }
    const decoded = filter.decode(slot.config)
    if (!decoded.ok) {
      issues.push(...decoded.issues.map((found) => under(`${path}.config`, found)))
      return undefined
    }
    const key = `${filter.name} ${slot.mode} ${canonicalJson(slot.config)}`
    used.push(key)
    const known = checks.get(key) ?? adopt(key)
    if (known !== undefined) return { ...common, check: known.check, config: decoded.value }
    const remembers: string[] = []
    // A dry run remembers apart from what is enforced: it has buckets of its own.
    const scopedName = (name: string) => `${filter.name} ${slot.mode} ${name}`
    const { sharedTimes, quota } = deps
    const compiled = filter.compile(decoded.value, {
      ...deps,
      remember(name, create) {
        const scoped = scopedName(name)
        remembers.push(scoped)
        return remember(scoped, create)
      },
      ...(sharedTimes && { sharedTimes: (name) => sharedTimes(scopedName(name)) }),
      ...(quota && { quota: { leasesOf: (name, ...rest) => quota.leasesOf(scopedName(name), ...rest) } }),
    })
    if (!compiled.ok) {
      issues.push(...compiled.issues.map((found) => under(`${path}.config`, found)))
      return undefined
    }
    checks.set(key, { check: compiled.value, remembers })
    return { ...common, check: compiled.value, config: decoded.value }
  }

  const adopt = (key: string) => {
    const kept = previous?.memory.checks.get(key)
    if (kept === undefined || previous === undefined) return undefined
    for (const name of kept.remembers) values.set(name, previous.memory.values.get(name))
    checks.set(key, kept)
    return kept
  }

  const compileChain = (slots: FilterSlots, path: string): Chain => {
    for (const name of Object.keys(slots)) {
      if (!filters.some((filter) => filter.name === name)) {
        issues.push(issue('unknown-filter', `${path}.${name}`, 'is not a filter that this sidecar knows'))
      }
    }
    const enforced: Step[] = []
    const shadow: Step[] = []
    let hasDryRun = false
    for (const filter of filters) {
      const ofFilter = Object.hasOwn(slots, filter.name) ? (slots[filter.name] ?? []) : []
      const steps = ofFilter.map((slot, i) => compileStep(filter, slot, `${path}.${filter.name}[${i}]`))
      const enforce = steps.find((step) => step?.dryRun === false)
      const dryRun = steps.find((step) => step?.dryRun === true)
      if (steps.filter((step) => step?.dryRun === false).length > 1 || (steps.length > 1 && dryRun === undefined)) {
        issues.push(issue('two-slots', `${path}.${filter.name}`, 'holds two slots of one mode'))
      }
      if (enforce !== undefined) enforced.push(enforce)
      if (dryRun !== undefined) {
        shadow.push(dryRun)
        hasDryRun = true
      } else if (enforce !== undefined && filter.repeatable) {
        shadow.push(enforce)
      }
    }
    return hasDryRun ? { enforced, shadow } : { enforced }
  }

  const readers = new Set(filters.flatMap(({ name, readsTrace }) => (readsTrace === true ? name : [])))
  let readsTrace = false

  const compileRoute = (route: RouteConfig, path: string): CompiledRoute => {
    if (readers.size > 0) readsTrace ||= Object.keys(route.filters).some((name) => readers.has(name))
    const kept = earlier?.routes.get(route)
    if (kept?.checks.every((key) => checks.has(key) || adopt(key) !== undefined)) {
      routes.set(route, kept)
      return kept.compiled
    }
    used = []
    const chain = compileChain(route.filters, `${path}.filters`)
    issues.push(...regexIssues(route.match, `${path}.match`))
    const compiled: CompiledRoute = { id: route.id, config: route, chain }
    routes.set(route, { compiled, checks: used })
    return compiled
  }

  const compileRoutes = (
    all: InboundListener['routes'],
    path: string,
    adapt: (route: CompiledRoute) => CompiledRoute = (route) => route,
  ) =>
    buildRouter(
      all.map((route, i) => ({ match: route.match, route: adapt(compileRoute(route, `${path}.routes[${i}]`)) })),
    )

  const inbound = new Map<number, InboundPipeline>()
  const gateway = new Map<string, GatewayPipeline>()
  config.listeners.forEach((listener, i) => {
    const path = `listeners[${i}]`
    if (listener.kind === 'gateway') {
      if (gateway.has(listener.name)) issues.push(issue('duplicate-listener', path, `${listener.name} is there twice`))
      const before = issues.length
      const route =
        issues.length === before ? safely(() => compileRoutes(listener.routes, path), issues, path) : undefined
      if (route) gateway.set(listener.name, { listener, route })
      return
    }
    if (inbound.has(listener.port))
      issues.push(issue('duplicate-listener', path, `port ${listener.port} is there twice`))
    const route = safely(() => compileRoutes(listener.routes, path), issues, path)
    const tcp = compileChain(listener.filters, `${path}.filters`)
    const opening = listener.protocol === 'tcp' ? openingOf(tcp) : undefined
    if (route) inbound.set(listener.port, { listener, route, tcp, ...(opening && { opening }) })
  })

  const streams = new Map<string, StreamPipeline>()
  for (const [i, listener] of (config.streams ?? []).entries()) {
    const path = `streams[${i}]`
    if (gateway.has(listener.name) || streams.has(listener.name)) {
      issues.push(issue('duplicate-listener', path, `${listener.name} is there twice`))
    }
    const route = buildStreamRouter(
      listener.routes.map((each, j) => {
        const chain = compileChain(each.filters, `${path}.routes[${j}].filters`)
        const compiled: CompiledStreamRoute = { id: each.id, config: each, chain }
        return { hostnames: each.hostnames, route: compiled }
      }),
    )
    streams.set(listener.name, { listener, route })
  }

  const { filters: ofCalls = {} } = config.outbound
  readsTrace ||= Object.keys(ofCalls).some((name) => readers.has(name))
  const calls = compileChain(ofCalls, 'outbound.filters')

  const outbound = new Map<string, OutboundPipeline>()
  config.outbound.services.forEach(({ upstream, routing }, i) => {
    if (routing === undefined) return
    const path = `outbound.services[${i}].routing`
    const route = safely(
      () => compileRoutes(routing.routes, path, (found) => asCall(found, calls, config)),
      issues,
      path,
    )
    if (route) outbound.set(upstream, { route })
  })

  if (issues.length > 0) return fail(...issues)
  return ok({
    version: config.version,
    config,
    inbound,
    gateway,
    outbound,
    calls,
    streams,
    trace: config.trace ?? (readsTrace ? PASSED_ON : undefined),
    memory: { checks, values, routes, filters },
  })
}

/** Trace ids are kept and passed on; nothing is recorded. */
const PASSED_ON: TraceConfig = Object.freeze({ samplingRatio: 0 })

/** Who may not even connect is not listened to: the filters before the one that wants the beginning are asked first. */
function openingOf({ enforced, shadow }: Chain): OpeningPlan | undefined {
  const at = enforced.findIndex(({ filter }) => filter.opening !== undefined)
  if (at !== -1) {
    const after = { enforced: enforced.slice(at), ...(shadow && { shadow }) }
    return { of: 'postgres', isEnforced: true, before: { enforced: enforced.slice(0, at) }, after }
  }
  if (shadow?.some(({ filter }) => filter.opening !== undefined) !== true) return undefined
  const others = shadow.filter(({ filter }) => filter.opening === undefined)
  const hasDryRun = others.some(({ dryRun }) => dryRun)
  const before = hasDryRun ? { enforced, shadow: others } : { enforced }
  return { of: 'postgres', isEnforced: false, before, after: { enforced: [], shadow } }
}

function regexIssues(match: InboundListener['routes'][number]['match'], path: string): Issue[] {
  const found: Issue[] = []
  for (const [kind, list] of [
    ['headers', match.headers],
    ['query', match.query],
  ] as const) {
    list.forEach(({ type, value }, i) => {
      if (type !== 'regex') return
      try {
        new RegExp(`^(?:${value})$`)
      } catch (error) {
        found.push(issue('bad-regex', `${path}.${kind}[${i}].value`, (error as Error).message))
      }
    })
  }
  return found
}

function safely<T>(make: () => T, issues: Issue[], path: string): T | undefined {
  try {
    return make()
  } catch (error) {
    issues.push(issue('does-not-compile', path, (error as Error).message))
    return undefined
  }
}
