/**
 * Whether this is where the storefront may be called back: `/callback` of the very origin the browser is on, whose
 * host is one of ours.
 *
 * The shop and this service share an origin, and its port differs between a laptop and a cluster. So the port is taken
 * from the request, the host from a list, and the path is fixed: nothing an attacker writes into the URI can change
 * where the code goes (RFC 9700, 2.1).
 */
export function isStorefrontCallback(uri: string, browserOrigin: string, publicHostnames: readonly string[]): boolean {
  const origin = URL.parse(browserOrigin)
  if (origin?.protocol !== 'https:' || !publicHostnames.includes(origin.hostname)) return false
  return uri === `${origin.origin}/callback`
}
