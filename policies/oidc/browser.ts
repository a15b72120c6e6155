import type { RequestView } from '../../model/request.ts'

/**
 * Whether a person will see the answer: only then is there any sense in sending a browser to log in. A script, an image, a frame
 * and what is fetched in advance get a 401 (Fetch Metadata; without it, who wants HTML is taken for a page).
 */
export function isNavigation(request: RequestView): boolean {
  if (request.method !== 'GET' && request.method !== 'HEAD') return false
  return isPage(request)
}

/** As `isNavigation`, whatever the method: a form that was sent, too. */
export function isPage(request: RequestView): boolean {
  const mode = request.header('sec-fetch-mode')
  const purpose = request.header('sec-purpose') ?? request.header('purpose') ?? ''
  if (purpose.includes('prefetch')) return false
  if (mode !== undefined) return mode === 'navigate' && (request.header('sec-fetch-dest') ?? 'document') === 'document'
  if (request.header('x-requested-with') !== undefined) return false
  return (request.header('accept') ?? '').includes('text/html')
}

/** Whether a request changes something: by its method, or since it opens a WebSocket, which other sites may try as well. */
export function isUnsafe(request: RequestView): boolean {
  const { method } = request
  if (method !== 'GET' && method !== 'HEAD' && method !== 'OPTIONS') return true
  return request.header('sec-websocket-version') !== undefined || request.header('sec-websocket-key') !== undefined
}

/**
 * Whether the page that sent a request is of this origin, or of one that is trusted as if it were. Who says nothing of where it
 * comes from is no browser, or one of those that do not say: it may be of anywhere.
 */
export function isOwnPage(request: RequestView, trustedOrigins: readonly string[]): boolean {
  const origin = request.header('origin')
  if (origin !== undefined && trustedOrigins.includes(origin)) return true
  const site = request.header('sec-fetch-site')
  if (site !== undefined) return site === 'same-origin' || (site === 'none' && origin === undefined)
  return origin !== undefined && origin === ownOrigin(request)
}

/** As browsers write it: without the port that HTTPS has anyway. */
export function ownOrigin(request: RequestView): string {
  const authority = request.authority ?? request.host
  return `https://${authority.endsWith(':443') ? authority.slice(0, -4) : authority}`
}
