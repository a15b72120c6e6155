import type { Consideration } from '../../model/filter.ts'
import type { Explanation } from '../../sidecar/compile/explain.ts'
import type { Chain, Pipeline } from '../../sidecar/compile/pipeline.ts'
import type { Asked } from './asked.ts'
import { judge, jwtConfigOf, tokenOf } from './judge.ts'
import { nextHop } from './next-hop.ts'
import { type PolicyChange, smallestPolicyChange } from './policy-change.ts'
import { smallestChanges } from './smallest-change.ts'
import { type BackendTraffic, trafficOf } from './traffic.ts'

/** What `hauberk explain` says of a request: for people a page, for programs this. */
export interface Answer {
  readonly workload: string
  /** `namespace/name` of the Service, where it is a call of the workload and not one to it. */
  readonly to?: string
  readonly request: {
    readonly method?: string
    readonly path?: string
    readonly host?: string
    readonly port: number
    readonly caller?: string
    readonly clientIp: string
    readonly issuer?: string
    readonly subject?: string
    /** Whose API key it has. */
    readonly client?: string
    /** What a client of Postgres asks for. */
    readonly user?: string
    readonly database?: string
  }
  /** `RouteConfig.id`. */
  readonly route?: string
  readonly outcome: Explanation['outcome']
  readonly denial?: string
  readonly status?: number
  readonly filter?: string
  readonly rule?: string
  /** `namespace/name@generation` of the policies behind the outcome. */
  readonly origins?: readonly string[]
  /** Why, in a sentence: of a refusal that no rule explains. */
  readonly detail?: string
  readonly considerations: readonly Consideration[]
  /** Where the route sends it, and how. */
  readonly traffic?: readonly BackendTraffic[]
  readonly dryRun?: Explanation['dryRun']
  /** Ways to be let through, each a list of changes that are needed together. All were tried but those of a past decision. */
  readonly changes?: readonly (readonly string[])[]
  readonly policyChange?: PolicyChange
  /** What somebody who asks may not know. */
  readonly notes: readonly string[]
  /** A past decision only. */
  readonly decisionId?: string
  readonly time?: string
}

/** Judges a request that nobody has sent, and finds what would let it through. */
export function answerFor(pipeline: Pipeline, asked: Asked, notes: readonly string[]): Answer {
  const judgement = judge(pipeline, asked)
  const common = { workload: pipeline.config.workload, request: requestOf(asked) }
  if (judgement.kind === 'unrouted') {
    const { name, status, title } = judgement.denial
    const changes = smallestChanges(pipeline, asked)
    return {
      ...common,
      outcome: 'denied',
      denial: name,
      status,
      detail: title,
      considerations: [],
      ...(changes.length > 0 && { changes }),
      notes: [...notes, ...routesOf(pipeline, asked, name)],
    }
  }
  const { explanation, chain, route } = judgement
  const { considerations, dryRun, change, ...outcome } = explanation
  const token =
    asked.claims === undefined || jwtConfigOf(chain) === undefined ? undefined : tokenOf(asked.claims, chain)
  const found = explanation.outcome === 'denied' ? smallestChanges(pipeline, asked) : []
  const policyChange = explanation.outcome === 'denied' ? smallestPolicyChange(pipeline, asked) : undefined
  // What was tried says more than what the rule that refused says of itself.
  const changes = found.length > 0 ? found : change === undefined || policyChange !== undefined ? [] : [[change]]
  const allowedBy = considerations.find(({ rule, outcome: end }) => end === 'allowed' && rule === explanation.rule)
  return {
    ...common,
    request: {
      ...common.request,
      ...(token && { issuer: token.issuer }),
      ...(token?.subject !== undefined && { subject: token.subject }),
    },
    ...(route && { route: route.id }),
    ...outcome,
    ...(explanation.outcome === 'allowed' && allowedBy?.origin !== undefined && { origins: [allowedBy.origin] }),
    considerations,
    ...(route?.action.kind === 'forward' && { traffic: trafficOf(pipeline.config, route) }),
    ...(dryRun && { dryRun }),
    ...(changes.length > 0 && { changes }),
    ...(policyChange && { policyChange }),
    notes: [
      ...notes,
      ...tokenNotes(asked, explanation, token !== undefined),
      ...keyNotes(asked, chain),
      ...after(pipeline, asked, judgement),
    ],
  }
}

function requestOf({
  protocol,
  method,
  path,
  host,
  port,
  caller,
  clientIp,
  client,
  postgres,
}: Asked): Answer['request'] {
  return {
    ...(protocol === 'http' && { method, path, host }),
    port,
    ...(caller !== undefined && { caller }),
    clientIp,
    ...(client !== undefined && { client }),
    ...(postgres?.kind === 'session' && { user: postgres.user, database: postgres.database }),
  }
}

function tokenNotes({ claims }: Asked, { considerations }: Explanation, isVerified: boolean): readonly string[] {
  if (claims === undefined) return []
  if (!isVerified) return ['nothing here verifies tokens, so the claims count for nothing']
  if (considerations.some(({ filter, field }) => filter === 'jwt' && field === 'exempt')) {
    return ['the request is exempt: a token that it has is not looked at']
  }
  const { exp } = claims
  return typeof exp === 'number' && exp * 1_000 < Date.now()
    ? [`exp is past (${new Date(exp * 1_000).toISOString()}): a token like this is refused now, 401 token-expired`]
    : []
}

function keyNotes({ client }: Asked, { enforced, shadow = [] }: Chain): readonly string[] {
  if (client === undefined || [...enforced, ...shadow].some(({ filter }) => filter.knowsClient === true)) return []
  return ['nothing here asks for API keys, so that of the client counts for nothing']
}

/** Routes that are told at most. */
const MAX_ROUTES = 8

function routesOf({ gateway }: Pipeline, asked: Asked, denial: string): readonly string[] {
  if (denial !== 'no-route' && denial !== 'misdirected') return []
  const routes = [...gateway.values()]
    .filter(({ listener }) => listener.port === asked.port)
    .flatMap(({ listener }) =>
      listener.routes.map(({ match }) => {
        const hosts = match.hostnames.length > 0 ? match.hostnames : [listener.hostname ?? '*']
        return `${hosts.join(', ')} ${match.path.value}${match.path.type === 'prefix' ? '…' : ''}`
      }),
    )
  const told = [...new Set(routes)]
  if (told.length === 0) return []
  const more = told.length > MAX_ROUTES ? ` and ${told.length - MAX_ROUTES} more` : ''
  return [`there are routes for ${told.slice(0, MAX_ROUTES).join('; ')}${more}`]
}

/** A gateway judges first; the sidecar behind it judges too. */
function after(
  pipeline: Pipeline,
  asked: Asked,
  { route, explanation }: Extract<ReturnType<typeof judge>, { kind: 'judged' }>,
): readonly string[] {
  if (route === undefined || explanation.outcome !== 'allowed') return []
  const { action } = route
  return nextHop(
    route,
    asked,
    action.kind === 'forward' ? action.backends.map(({ upstream }) => upstream) : [],
    pipeline,
  )
}
