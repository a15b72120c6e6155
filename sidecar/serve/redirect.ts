import type { RouteConfig } from '../../contract/workload-config.ts'
import type { RequestView } from '../../model/request.ts'
import type { RequestHead } from './http1/message.ts'
import { rewritePath } from './route-plan.ts'
import type { HttpSite } from './site.ts'

const DEFAULT_PORTS = { http: 80, https: 443 } as const

/**
 * `Location` of a RequestRedirect (Gateway API, HTTPRequestRedirectFilter): what the route does not say stays as the client
 * sent it. The port is the one that clients dial, and left out where the scheme implies it.
 */
export function redirectLocation(
  config: RouteConfig,
  request: RequestView,
  head: RequestHead,
  site: Pick<HttpSite, 'visiblePort'>,
): string {
  const { action } = config
  if (action.kind !== 'redirect') throw new Error('not a redirect')
  const scheme = action.scheme ?? request.scheme
  const host = action.host ?? request.host
  const port = portOf(action, request, head, scheme, site)
  const path = rewritePath(request.path, config)
  const query = request.query === '' ? '' : `?${request.query}`
  return `${scheme}://${host}${port === DEFAULT_PORTS[scheme] ? '' : `:${port}`}${path}${query}`
}

function portOf(
  { port }: { readonly port?: number | undefined },
  request: RequestView,
  head: RequestHead,
  scheme: 'http' | 'https',
  site: Pick<HttpSite, 'visiblePort'>,
): number {
  const visible = (configured: number) => site.visiblePort?.(configured) ?? configured
  if (port !== undefined) return visible(port)
  if (scheme !== request.scheme) return visible(DEFAULT_PORTS[scheme])
  return head.port ?? DEFAULT_PORTS[scheme]
}
