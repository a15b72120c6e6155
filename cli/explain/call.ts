import type { OutboundService, RouteConfig, RouteMatch } from '../../contract/workload-config.ts'
import type { Consideration } from '../../model/filter.ts'
import type { RequestView } from '../../model/request.ts'
import type { Pipeline } from '../../sidecar/compile/pipeline.ts'
import { buildRouter } from '../../sidecar/compile/router.ts'
import { NO_ROUTE, OUTBOUND_UNKNOWN_HOST } from '../../sidecar/serve/denials.ts'
import { routeOfRequest, serviceDestination } from '../../sidecar/serve/outbound/destinations.ts'
import { isDeny } from '../../sidecar/serve/site.ts'
import { CommandError, EXIT } from '../exit-code.ts'
import type { Answer } from './answer.ts'
import type { Site } from './ask.ts'
import { type Asked, viewOf } from './asked.ts'
import { nextHop } from './next-hop.ts'
import { tcpTrafficOf, trafficOf } from './traffic.ts'

/** Services that are named at most where another one was meant. */
const MAX_NAMED = 12

/**
 * The Service that a workload would call by this name: `orders`, `shop/orders`, `orders.shop.svc`, with `:port` where it has
 * several. Ends the command where it may call none such.
 */
export function calledService({ config }: Pipeline, word: string, port: number | undefined): OutboundService {
  if (config.role === 'gateway') {
    throw new CommandError(EXIT.usage, 'hauberk explain: a gateway calls what its routes lead to: leave --to out')
  }
  const { services } = config.outbound
  const [, name = '', written] = /^(.*?)(?::([0-9]{1,5}))?$/.exec(word.toLowerCase()) ?? []
  const asked = port ?? (written === undefined ? undefined : Number(written))
  const named = services.filter(({ service, hosts }) => service === name || hosts.includes(name))
  const found =
    asked === undefined
      ? (named.find((each) => each.port === 80) ?? named[0])
      : named.find((each) => each.port === asked)
  if (found !== undefined) return found
  const known = (named.length > 0 ? named : services).map((each) => `${each.service}:${each.port}`)
  const more = known.length > MAX_NAMED ? ` and ${known.length - MAX_NAMED} more` : ''
  const may = known.length === 0 ? 'it may call none' : `it may call ${known.slice(0, MAX_NAMED).join(', ')}${more}`
  throw new CommandError(
    EXIT.failure,
    `${config.workload} calls no Service ${word}${port === undefined ? '' : ` at port ${port}`} (${OUTBOUND_UNKNOWN_HOST.name}): ${may}`,
  )
}

/** Where a call to a Service is read, as `ask` wants to know it. */
export function siteOfCall({ port, protocol, hosts }: OutboundService): Site {
  return { port, protocol, scheme: 'http', host: hosts[0] ?? '' }
}

/** What becomes of a call that nobody has made, on the caller's side: the route, the backends, and how they are asked. */
export function answerForCall(
  pipeline: Pipeline,
  service: OutboundService,
  asked: Asked,
  notes: readonly string[],
): Answer {
  const { config } = pipeline
  const { protocol, method, path, host, port, caller, clientIp } = asked
  const common = {
    workload: config.workload,
    to: service.service,
    request: {
      ...(protocol === 'http' && { method, path, host }),
      port,
      ...(caller !== undefined && { caller }),
      clientIp,
    },
  }
  if (protocol === 'tcp') {
    return { ...common, outcome: 'allowed', considerations: [], traffic: tcpTrafficOf(config, service.upstream), notes }
  }
  const view = viewOf(asked)
  const considerations = routesConsidered(service.routing?.routes ?? [], view)
  const found = routeOfRequest(pipeline, serviceDestination(service, config, pipeline.calls), view)
  if (isDeny(found)) {
    const { name, status } = NO_ROUTE
    const detail = 'The Service has routes, and none of them is for this request.'
    return { ...common, outcome: 'denied', denial: name, status, detail, considerations, notes }
  }
  const { id, config: route } = found
  const traffic = trafficOf(config, route)
  return {
    ...common,
    route: id,
    outcome: route.action.kind === 'forward' ? 'allowed' : 'answered',
    considerations,
    traffic,
    notes: [
      ...notes,
      ...nextHop(
        route,
        asked,
        traffic.flatMap(({ upstream }) => upstream ?? []),
        pipeline,
      ),
    ],
  }
}

/** Every route up to the one that matches, with what of the request it is not for. */
function routesConsidered(routes: readonly RouteConfig[], view: RequestView): readonly Consideration[] {
  const considered: Consideration[] = []
  for (const { id, match } of routes) {
    const failing = failingPart(match, view)
    if (failing === undefined) return [...considered, { filter: 'route', rule: id, outcome: 'matched' }]
    considered.push({ filter: 'route', rule: id, outcome: 'not-matched', ...failing })
  }
  return considered
}

const ANY: RouteMatch = { hostnames: [], path: { type: 'prefix', value: '/' }, headers: [], query: [] }

function failingPart(
  { path, method, headers, query }: RouteMatch,
  view: RequestView,
): Pick<Consideration, 'field' | 'expected' | 'got'> | undefined {
  const matches = (part: Partial<RouteMatch>) =>
    buildRouter([{ match: { ...ANY, ...part }, route: true }])(view) === true
  if (!matches({ path })) {
    const expected = { exact: path.value, prefix: `${path.value}…`, 'grpc-method': `the method ${path.value}` }[
      path.type
    ]
    return { field: 'path', expected, got: view.path }
  }
  if (!matches(method === undefined ? {} : { method })) {
    return { field: 'method', ...(method !== undefined && { expected: method }), got: view.method }
  }
  for (const header of headers) {
    if (matches({ headers: [header] })) continue
    return {
      field: `header ${header.name}`,
      expected: header.value,
      got: view.headers(header.name).join(', ') || 'none',
    }
  }
  for (const parameter of query) {
    if (!matches({ query: [parameter] }))
      return { field: `query ${parameter.name}`, expected: parameter.value, got: view.query }
  }
  return undefined
}
