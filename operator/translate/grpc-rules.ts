import type { RouteMatch } from '../../contract/workload-config.ts'
import { fail, type Issue, issue, ok, type Result } from '../../model/result.ts'
import type { GRPCRoute, GRPCRouteMatch, GRPCRouteRule } from '../resources/grpc-route.ts'
import { type RouteRule, readHeaderMatches, readRuleWith } from './route-rules.ts'

/** As Gateway API has them: letters, digits and underscores, in parts with dots between them. */
const SERVICE = /^\.?[A-Za-z_][A-Za-z_0-9]*(\.[A-Za-z_][A-Za-z_0-9]*)*$/
const METHOD = /^[A-Za-z_][A-Za-z_0-9]*$/

/** Filters of HTTPRoutes that a call has no use for: its path is its method, and no client of gRPC follows a redirect. */
const FOREIGN_FILTERS = new Set(['RequestRedirect', 'URLRewrite'])

/**
 * Reads the rules of a GRPCRoute. Paths of issues are from the root of the resource.
 *
 * A call is a POST to `/service/method` (gRPC over HTTP2, Requests), so its rules are those of paths: an exact one for a
 * method, a prefix for a service; only a method of whatever service is a word of its own. What is no POST matches none. As with HTTPRoutes,
 * one value that we do not support refuses the whole route: regular expressions are not supported.
 */
export function readGrpcRules({ spec }: GRPCRoute): Result<readonly RouteRule[]> {
  const issues: Issue[] = []
  const rules = (spec.rules ?? [{}]).map((rule, i) => readRule(rule, `spec.rules[${i}]`, issues))
  return issues.length > 0 ? fail(...issues) : ok(rules)
}

function readRule(rule: GRPCRouteRule, path: string, issues: Issue[]): RouteRule {
  const matches = (rule.matches?.length ? rule.matches : [{}]).map((match, i) =>
    readMatch(match, `${path}.matches[${i}]`, issues),
  )
  for (const [i, { type }] of (rule.filters ?? []).entries()) {
    if (!FOREIGN_FILTERS.has(type)) continue
    issues.push(unsupported(`${path}.filters[${i}].type`, `${type} is not one of a GRPCRoute`, 'use an HTTPRoute'))
  }
  return readRuleWith(matches, rule, path, issues)
}

function readMatch(
  { method, headers = [] }: GRPCRouteMatch,
  path: string,
  issues: Issue[],
): RouteRule['matches'][number] {
  return {
    path: readMethod(method ?? {}, `${path}.method`, issues),
    method: 'POST',
    headers: readHeaderMatches(headers, `${path}.headers`, issues),
    query: [],
  }
}

const EVERY_CALL: RouteMatch['path'] = { type: 'prefix', value: '/' }

function readMethod(
  { type = 'Exact', service = '', method = '' }: NonNullable<GRPCRouteMatch['method']>,
  path: string,
  issues: Issue[],
): RouteMatch['path'] {
  if (type !== 'Exact') {
    issues.push(unsupported(`${path}.type`, `${type} is not supported`, 'use Exact'))
    return EVERY_CALL
  }
  if (service !== '' && !SERVICE.test(service)) {
    issues.push(unsupported(`${path}.service`, 'is not the full name of a service', 'write package.Service'))
  }
  if (method !== '' && !METHOD.test(method)) issues.push(unsupported(`${path}.method`, 'is not the name of a method'))
  if (service === '') return method === '' ? EVERY_CALL : { type: 'grpc-method', value: method }
  return method === '' ? { type: 'prefix', value: `/${service}` } : { type: 'exact', value: `/${service}/${method}` }
}

function unsupported(path: string, message: string, fix?: string): Issue {
  return issue('unsupported-value', path, message, fix)
}
