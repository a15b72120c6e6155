import type { RouteConfig, RouteMatch } from '../../contract/workload-config.ts'

/** Where a RouteConfig stands among the others of its listener, or of its Service. */
export interface RankedRoute {
  readonly route: RouteConfig
  /** The narrower the hostname, the higher. */
  readonly hostPrecedence: number
  /** Time of creation, then namespace and name: who is older comes first. */
  readonly age: string
  /** Position in the list of its route. */
  readonly order: number
}

/**
 * Gateway API's order (HTTPRouteRule.matches, and GRPCRouteRule.matches by the paths of its calls): the narrower hostname, an exact path, the longer prefix, a method, more headers,
 * more query parameters; then the older route, the first by namespace and name, and the first in its list.
 */
export function byPrecedence(a: RankedRoute, b: RankedRoute): number {
  const [left, right] = [a.route.match, b.route.match]
  const keys: readonly (readonly [number, number])[] = [
    [a.hostPrecedence, b.hostPrecedence],
    [Number(left.path.type === 'exact'), Number(right.path.type === 'exact')],
    [lengthOf(left.path), lengthOf(right.path)],
    [Number(left.method !== undefined), Number(right.method !== undefined)],
    [left.headers.length, right.headers.length],
    [left.query.length, right.query.length],
  ]
  for (const [mine, other] of keys) if (mine !== other) return mine > other ? -1 : 1
  if (a.age !== b.age) return a.age < b.age ? -1 : 1
  return a.order - b.order
}

/** A method of whatever service comes after every service (GRPCRouteRule.matches), and before every call. */
function lengthOf({ type, value }: RouteMatch['path']): number {
  return type === 'grpc-method' ? AFTER_EVERY_SERVICE : value.length
}

/** `/` is every call, and the shortest prefix of a service is one longer. */
const AFTER_EVERY_SERVICE = 1.5
