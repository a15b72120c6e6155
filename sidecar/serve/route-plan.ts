import type { UpstreamTraffic } from '../../contract/traffic.ts'
import type { RouteAction, RouteConfig, HeaderEdits as RouteEdits } from '../../contract/workload-config.ts'
import type { HeaderPair } from '../../model/verdict.ts'
import type { CompiledRoute } from '../compile/pipeline.ts'
import { matchedPrefix } from '../compile/router.ts'
import { backendPicker } from './backend-picker.ts'
import { type Delivery, settleDelivery } from './delivery.ts'
import { IDENTITY_DROP, IDENTITY_HEADERS, isIdentityHeader } from './forwarded.ts'
import type { HeaderLines } from './http1/header-lines.ts'
import { compileDrop, type DropFilter } from './http1/write-head.ts'

/** What the forwarder does for one route: all that can be settled before a request comes. */
export interface RoutePlan {
  readonly request: HeaderPlan
  readonly response: HeaderPlan
  /** Name of the upstream for the next request, by weight: smooth, not at random. Empty: this share goes nowhere. */
  nextBackend(): string
  /** Those that get a share, by name. */
  readonly upstreams: readonly string[]
  /** How requests to one of its upstreams are made. */
  deliveryTo(upstream: string, traffic: UpstreamTraffic | undefined): Delivery
}

export interface HeaderPlan {
  readonly drop: DropFilter
  readonly set: readonly HeaderPair[]
  readonly add: readonly HeaderPair[]
}

/** Plans are made when a route is first used and live as long as the pipeline it is of. */
const plans = new WeakMap<CompiledRoute, RoutePlan>()

export function planOf(route: CompiledRoute): RoutePlan {
  let plan = plans.get(route)
  if (plan === undefined) {
    plan = makePlan(route.config)
    plans.set(route, plan)
  }
  return plan
}

function makePlan({ requestHeaders, responseHeaders, action }: RouteConfig): RoutePlan {
  return {
    request: headerPlan(requestHeaders),
    response: headerPlan(responseHeaders),
    nextBackend: action.kind === 'forward' ? backendPicker(action.backends) : () => '',
    upstreams: action.kind === 'forward' ? shareholders(action.backends) : [],
    deliveryTo: action.kind === 'forward' ? deliveryFinder(action) : () => NO_DELIVERY,
  }
}

function shareholders(backends: Extract<RouteAction, { kind: 'forward' }>['backends']): readonly string[] {
  return backends.flatMap(({ upstream, weight }) => (weight > 0 && upstream !== '' ? [upstream] : []))
}

const NO_DELIVERY: Delivery = { requestTimeoutMs: 0, tryTimeoutMs: 0, retry: undefined }

/** Settles each once: plans live as long as the config that both parts are of. */
function deliveryFinder(action: Extract<RouteAction, { kind: 'forward' }>): RoutePlan['deliveryTo'] {
  const known = new Map<string, { readonly traffic: UpstreamTraffic | undefined; readonly delivery: Delivery }>()
  let last: { readonly upstream: string; readonly traffic: UpstreamTraffic | undefined; readonly delivery: Delivery }
  return (upstream, traffic) => {
    if (last?.upstream === upstream && last.traffic === traffic) return last.delivery
    const before = known.get(upstream)
    const found =
      before?.traffic === traffic && before !== undefined
        ? before
        : { traffic, delivery: settleDelivery(action, traffic) }
    known.set(upstream, found)
    last = { upstream, ...found }
    return found.delivery
  }
}

/** A route cannot speak for the mesh: edits of identity headers are void. */
function headerPlan(edits: RouteEdits | undefined): HeaderPlan {
  if (edits === undefined) return PLAIN
  return {
    drop: compileDrop(IDENTITY_HEADERS, { names: edits.remove }),
    set: edits.set.filter(isOpen),
    add: edits.add.filter(isOpen),
  }
}

function isOpen([name]: HeaderPair): boolean {
  return !isIdentityHeader(name)
}

const PLAIN: HeaderPlan = { drop: IDENTITY_DROP, set: [], add: [] }

/**
 * What of a request or response is written beside the received lines. Later lists win over earlier ones; what policies
 * add stands beside what there is.
 */
export function headersToSet(
  received: HeaderLines,
  { set, add }: HeaderPlan,
  byPolicies: readonly HeaderPair[] | undefined,
  addedByPolicies: readonly HeaderPair[] = NO_PAIRS,
  removed: readonly string[] = NO_NAMES,
): readonly HeaderPair[] {
  if (set.length + add.length + addedByPolicies.length === 0 && byPolicies === undefined) return NO_PAIRS
  const edited = withAdded([...set], add, received, removed)
  const byAll = byPolicies === undefined ? edited : overlay(edited, byPolicies)
  return withAdded(byAll, addedByPolicies, received, removed)
}

/** A policy cannot speak for the mesh either. */
export function withoutIdentity(pairs: readonly HeaderPair[] | undefined): readonly HeaderPair[] | undefined {
  return pairs?.filter(isOpen)
}

const NO_PAIRS: readonly HeaderPair[] = []
const NO_NAMES: readonly string[] = []

/** What came under a name that is added stays, unless a policy takes it off. */
function withAdded(
  pairs: HeaderPair[],
  add: readonly HeaderPair[],
  received: HeaderLines,
  removed: readonly string[],
): HeaderPair[] {
  for (const [name, value] of add) {
    const isKept = !removed.includes(name) && !pairs.some(([known]) => known === name)
    if (isKept) for (const kept of received.all(name)) pairs.push([name, kept])
    pairs.push([name, value])
  }
  return pairs
}

function overlay(below: readonly HeaderPair[], above: readonly HeaderPair[]): HeaderPair[] {
  const kept = below.filter(([name]) => !above.some(([winner]) => winner === name))
  return [...kept, ...above]
}

/** The path after a URLRewrite or RequestRedirect (Gateway API, HTTPPathModifier). */
export function rewritePath(path: string, config: RouteConfig): string {
  const { action } = config
  const rewrite = action.kind === 'forward' || action.kind === 'redirect' ? action.rewritePath : undefined
  if (rewrite === undefined || path === '*') return path
  if (rewrite.kind === 'full') return rewrite.path
  const prefix = withoutSlash(matchedPrefix(config))
  const rewritten = withoutSlash(rewrite.path) + path.slice(prefix.length)
  return rewritten === '' ? '/' : rewritten
}

function withoutSlash(path: string): string {
  return path.endsWith('/') ? path.slice(0, -1) : path
}
