import type { RouteConfig, RouteMatch } from '../../contract/workload-config.ts'
import type { RequestView } from '../../model/request.ts'

/**
 * Finds the first route that matches, by host and then by path segments: the cost does not grow with the number of
 * routes. "First" is by position in `routes`, which `translate` puts in Gateway API's order of precedence.
 */
export function buildRouter<Route>(
  routes: readonly { readonly match: RouteMatch; readonly route: Route }[],
): (request: RequestView) => Route | undefined {
  const exactHosts = new Map<string, PathIndex<Route>>()
  const wildcardHosts = new Map<string, PathIndex<Route>>()
  const anyHost = newPathIndex<Route>()
  routes.forEach(({ match, route }, position) => {
    const entry: Entry<Route> = { position, route, accepts: conditionOf(match) }
    if (match.hostnames.length === 0) insert(anyHost, match, entry)
    for (const hostname of match.hostnames) {
      const [hosts, key] = hostname.startsWith('*.') ? [wildcardHosts, hostname.slice(1)] : [exactHosts, hostname]
      const index = hosts.get(key) ?? newPathIndex<Route>()
      hosts.set(key, index)
      insert(index, match, entry)
    }
  })

  return (request) => {
    let best = search(anyHost, request, undefined)
    const exact = exactHosts.get(request.host)
    if (exact !== undefined) best = search(exact, request, best)
    if (wildcardHosts.size > 0) {
      for (let dot = request.host.indexOf('.'); dot !== -1; dot = request.host.indexOf('.', dot + 1)) {
        const wildcard = wildcardHosts.get(request.host.slice(dot))
        if (wildcard !== undefined) best = search(wildcard, request, best)
      }
    }
    return best?.route
  }
}

interface Entry<Route> {
  readonly position: number
  readonly route: Route
  readonly accepts: ((request: RequestView) => boolean) | undefined
}

interface PathIndex<Route> {
  readonly exact: Map<string, Entry<Route>[]>
  readonly prefixes: PrefixNode<Route>
  /** By the name of a method of gRPC. */
  readonly methods: Map<string, Entry<Route>[]>
}

interface PrefixNode<Route> {
  readonly entries: Entry<Route>[]
  readonly children: Map<string, PrefixNode<Route>>
}

function newPathIndex<Route>(): PathIndex<Route> {
  return { exact: new Map(), prefixes: { entries: [], children: new Map() }, methods: new Map() }
}

function insert<Route>(index: PathIndex<Route>, { path }: RouteMatch, entry: Entry<Route>): void {
  if (path.type !== 'prefix') {
    const named = path.type === 'exact' ? index.exact : index.methods
    const entries = named.get(path.value) ?? []
    named.set(path.value, entries)
    entries.push(entry)
    return
  }
  let node = index.prefixes
  for (const segment of path.value.split('/')) {
    if (segment === '') continue
    const child = node.children.get(segment) ?? { entries: [], children: new Map() }
    node.children.set(segment, child)
    node = child
  }
  node.entries.push(entry)
}

function search<Route>(
  index: PathIndex<Route>,
  request: RequestView,
  best: Entry<Route> | undefined,
): Entry<Route> | undefined {
  const { path } = request
  let found = best
  const exact = index.exact.get(path)
  if (exact !== undefined) found = firstAccepting(exact, request, found)
  if (index.methods.size > 0) {
    const method = index.methods.get(methodOf(path))
    if (method !== undefined) found = firstAccepting(method, request, found)
  }
  let node: PrefixNode<Route> | undefined = index.prefixes
  let start = 1
  while (node !== undefined) {
    if (node.entries.length > 0) found = firstAccepting(node.entries, request, found)
    if (node.children.size === 0 || start > path.length) break
    const slash = path.indexOf('/', start)
    const end = slash === -1 ? path.length : slash
    node = node.children.get(path.slice(start, end))
    start = end + 1
  }
  return found
}

/** The second of the two segments of a path of gRPC; empty where it is none: no method has that name. */
function methodOf(path: string): string {
  const slash = path.indexOf('/', 1)
  return slash === -1 || path.indexOf('/', slash + 1) !== -1 ? '' : path.slice(slash + 1)
}

function firstAccepting<Route>(
  entries: readonly Entry<Route>[],
  request: RequestView,
  best: Entry<Route> | undefined,
): Entry<Route> | undefined {
  for (const entry of entries) {
    if (best !== undefined && best.position < entry.position) return best
    if (entry.accepts === undefined || entry.accepts(request)) return entry
  }
  return best
}

function conditionOf({ method, headers, query }: RouteMatch): ((request: RequestView) => boolean) | undefined {
  const conditions: ((request: RequestView) => boolean)[] = []
  if (method !== undefined) conditions.push((request) => request.method === method)
  for (const { type, name, value } of headers) {
    const accepts = valueCondition(type, value)
    conditions.push((request) => accepts(joined(request.headers(name))))
  }
  for (const { type, name, value } of query) {
    const accepts = valueCondition(type, value)
    conditions.push((request) => accepts(queryValue(request.query, name)))
  }
  if (conditions.length === 0) return undefined
  return (request) => conditions.every((condition) => condition(request))
}

function valueCondition(
  type: RouteMatch['headers'][number]['type'],
  value: string,
): (actual: string | undefined) => boolean {
  switch (type) {
    case 'exact':
      return (actual) => actual === value
    case 'present':
      return (actual) => actual !== undefined
    case 'regex': {
      const pattern = new RegExp(`^(?:${value})$`)
      return (actual) => actual !== undefined && pattern.test(actual)
    }
  }
}

/** RFC 9110, 5.2: several lines of one field are one list. */
function joined(values: readonly string[]): string | undefined {
  return values.length === 0 ? undefined : values.join(', ')
}

/** The first value of a query parameter, as Gateway API asks. */
function queryValue(query: string, name: string): string | undefined {
  return query === '' ? undefined : (new URLSearchParams(query).get(name) ?? undefined)
}

/** The prefix that a route matched, for rewrites that replace it. */
export function matchedPrefix({ match }: RouteConfig): string {
  return match.path.value
}
