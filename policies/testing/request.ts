import type { Peer, RequestView } from '../../model/request.ts'

/** What a test says of a request; the rest is a plain GET of `/` by nobody in particular. */
export interface RequestWords extends Partial<Omit<RequestView, 'peer' | 'header' | 'headers'>> {
  /** `namespace/service-account` of trust domain `mesh`, or a whole SPIFFE ID. */
  readonly from?: string
  readonly peer?: Peer
  readonly headers?: Readonly<Record<string, string | readonly string[]>>
}

export function requestOf({ from, headers = {}, ...words }: RequestWords = {}): RequestView {
  const values = (name: string): readonly string[] => {
    const value = Object.hasOwn(headers, name) ? headers[name] : undefined
    if (value === undefined) return []
    return typeof value === 'string' ? [value] : value
  }
  return {
    protocol: 'http',
    method: 'GET',
    path: '/',
    query: '',
    host: 'orders.shop',
    port: 80,
    scheme: 'https',
    clientIp: '192.0.2.1',
    peer: peerOf(from),
    ...words,
    header: (name) => values(name)[0],
    headers: values,
  }
}

export function peerOf(from: string | undefined, ip = '192.0.2.1'): Peer {
  if (from === undefined) return { ip }
  const spiffeId = from.startsWith('spiffe://') ? from : `spiffe://mesh/ns/${from.replace('/', '/sa/')}`
  const [, trustDomain = '', namespace, serviceAccount] =
    /^spiffe:\/\/([^/]+)(?:\/ns\/([^/]+)\/sa\/([^/]+))?/.exec(spiffeId) ?? []
  return {
    ip,
    spiffeId,
    trustDomain,
    ...(namespace !== undefined && serviceAccount !== undefined && { namespace, serviceAccount }),
  }
}
