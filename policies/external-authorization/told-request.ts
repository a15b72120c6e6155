import type { Facts, RequestView } from '../../model/request.ts'
import type { HeaderPair } from '../../model/verdict.ts'

/** What a service is told of a request: nothing that the application would not be told either. */
export interface ToldRequest {
  readonly method: string
  readonly path: string
  /** With its `?`; empty when there is none. */
  readonly query: string
  readonly host: string
  readonly scheme: string
  readonly clientIp: string
  /** The caller's SPIFFE ID; empty when there is none. */
  readonly principal: string
  /** The request's own id; empty when it has none. */
  readonly id: string
  /** Those that the policy names, in lower case, as the application would get them. */
  readonly headers: readonly HeaderPair[]
}

export function tell(request: RequestView, facts: Facts, names: readonly string[]): ToldRequest {
  const { method, path, query, host, scheme, clientIp, peer } = request
  return {
    ...{ method, path, host, scheme, clientIp },
    query: query === '' ? '' : `?${query}`,
    principal: peer.spiffeId ?? '',
    id: request.header('x-request-id') ?? '',
    headers: names.flatMap((name): HeaderPair[] => {
      const value = valueUnder(name, request, facts)
      return value === undefined ? [] : [[name, value]]
    }),
  }
}

/** What the application gets under a name: what checks set, or what the client sent if none of them removed it. */
export function valueUnder(name: string, request: RequestView, facts: Facts): string | undefined {
  const set = facts.setRequestHeaders?.filter(([each]) => each === name) ?? []
  if (set.length > 0)
    return join(
      name,
      set.map(([, value]) => value),
    )
  if (facts.removeRequestHeaders?.includes(name) === true) return undefined
  const sent = request.headers(name)
  return sent.length === 0 ? undefined : join(name, sent)
}

/** RFC 9110, 5.3; RFC 9113, 8.2.3 of cookies. */
function join(name: string, values: readonly string[]): string {
  return values.join(name === 'cookie' ? '; ' : ', ')
}
