import type { RouteConfig } from '../../contract/workload-config.ts'
import type { RequestView } from '../../model/request.ts'
import type { RequestHead } from './http1/message.ts'
import { rewritePath } from './route-plan.ts'
import type { HttpSite } from './site.ts'

const DEFAULT_PORTS = { http: 80, https: 443 } as const

/**
 * `Location` of a RequestRedirect (Gateway API, HTTPRequestRedirectFilter): what the route does not say stays as the client
 * sent it. A scheme that the route says brings its own port; otherwise it is the one that the client named, else the
 * listener's. It is left out where the scheme implies it.
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
  action: { readonly port?: number | undefined; readonly scheme?: 'http' | 'https' | undefined },
  request: RequestView,
  head: RequestHead,
  scheme: 'http' | 'https',
  site: Pick<HttpSite, 'visiblePort'>,
): number {
  const visible = (configured: number) => site.visiblePort?.(configured) ?? configured
  if (action.port !== undefined) return visible(action.port)
  if (action.scheme !== undefined) return visible(DEFAULT_PORTS[scheme])
  return head.port ?? visible(request.port)
}
