/**
 * The hostnames of a route that a listener takes (Gateway API, HTTPRouteSpec.hostnames): of each pair the narrower one.
 * Undefined: none, so the route is not served there. Empty: every host. All are in lower case; `*.` stands for one label or more.
 */
export function intersectHostnames(
  ofRoute: readonly string[],
  ofListener: string | undefined,
): readonly string[] | undefined {
  if (ofListener === undefined) return ofRoute
  if (ofRoute.length === 0) return [ofListener]
  const both = ofRoute.flatMap((hostname) => narrower(hostname, ofListener) ?? [])
  return both.length === 0 ? undefined : [...new Set(both)]
}

/**
 * Hostnames in groups that come one after the other in precedence: exact names (no request has two of them), then each
 * wildcard by the length of its suffix, then every host.
 */
export function groupByPrecedence(
  hostnames: readonly string[],
): readonly { readonly hostnames: readonly string[]; readonly precedence: number }[] {
  if (hostnames.length === 0) return [{ hostnames: [], precedence: 0 }]
  const exact = hostnames.filter((hostname) => !hostname.startsWith('*.'))
  const wildcards = hostnames.filter((hostname) => hostname.startsWith('*.'))
  return [
    ...(exact.length > 0 ? [{ hostnames: exact, precedence: Number.POSITIVE_INFINITY }] : []),
    ...wildcards.map((hostname) => ({ hostnames: [hostname], precedence: hostname.length })),
  ]
}

function narrower(a: string, b: string): string | undefined {
  if (a === b || isWithin(a, b)) return a
  return isWithin(b, a) ? b : undefined
}

/** Whether every host that `hostname` names is one that `pattern` names. */
function isWithin(hostname: string, pattern: string): boolean {
  if (!pattern.startsWith('*.')) return false
  const suffix = pattern.slice(1)
  const bare = hostname.startsWith('*.') ? hostname.slice(1) : hostname
  return bare.length > suffix.length && bare.endsWith(suffix)
}
