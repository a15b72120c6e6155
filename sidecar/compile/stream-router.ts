import type { StreamRoute } from '../../contract/workload-config.ts'

/**
 * Finds the route for a connection by the name that its client asks for, in lower case: the exact name, else the longest
 * wildcard, else the one for every name, which alone takes clients that name nobody. Of two routes with one hostname the first
 * counts. The cost does not grow with the number of routes.
 */
export function buildStreamRouter<Route>(
  routes: readonly { readonly hostnames: StreamRoute['hostnames']; readonly route: Route }[],
): (serverName: string | undefined) => Route | undefined {
  const exact = new Map<string, Route>()
  /** By the suffix with its dot: `.example.com`. */
  const wildcards = new Map<string, Route>()
  let any: Route | undefined
  for (const { hostnames, route } of routes) {
    if (hostnames.length === 0) any ??= route
    for (const hostname of hostnames) {
      const [names, key] = hostname.startsWith('*.') ? [wildcards, hostname.slice(1)] : [exact, hostname]
      if (!names.has(key)) names.set(key, route)
    }
  }
  return (serverName) => {
    if (serverName === undefined) return any
    const named = exact.get(serverName)
    if (named !== undefined) return named
    for (let at = serverName.indexOf('.'); at !== -1; at = serverName.indexOf('.', at + 1)) {
      const found = wildcards.get(serverName.slice(at))
      if (found !== undefined) return found
    }
    return any
  }
}
