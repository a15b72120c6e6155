import type { Peer, PostgresOpening, RequestView } from '../../model/request.ts'
import { parseSpiffeId, serviceAccountOf, trustDomainOf } from '../../model/spiffe-id.ts'
import { isIdentityHeader } from '../../sidecar/serve/forwarded.ts'

/** A request that nobody has sent. */
export interface Asked {
  readonly protocol: 'http' | 'tcp'
  readonly method: string
  /** In the one normal form. */
  readonly path: string
  readonly query: string
  readonly host: string
  /** What a connection to a gateway asks for by SNI; undefined: nothing, or it is none of TLS. */
  readonly serverName?: string
  /** The container port, or the port of a Gateway's listener. */
  readonly port: number
  readonly scheme: 'http' | 'https'
  /** SPIFFE ID of the caller; undefined: it shows no certificate of the mesh. */
  readonly caller: string | undefined
  readonly clientIp: string
  /** Names in lower case. */
  readonly headers: readonly (readonly [name: string, value: string])[]
  /** What a token says whose signature is taken to be good; undefined: no token. */
  readonly claims: Claims | undefined
  /** Whose API key it is taken to have; undefined: it has none. */
  readonly client?: string
  /** What a client of Postgres asks for, where a policy wants to know. */
  readonly postgres?: PostgresOpening
}

export type Claims = Readonly<Record<string, unknown>>

/** As the filters of a sidecar would see it: headers that say who is asking are never believed, so they are not there. */
export function viewOf({ headers, caller, claims: _, serverName: __, client: ___, ...asked }: Asked): RequestView {
  const values = (name: string): readonly string[] =>
    isIdentityHeader(name) ? [] : headers.filter(([sent]) => sent === name).map(([, value]) => value)
  return { ...asked, peer: peerOf(caller, asked.clientIp), header: (name) => values(name)[0], headers: values }
}

function peerOf(caller: string | undefined, ip: string): Peer {
  const parsed = caller === undefined ? undefined : parseSpiffeId(caller)
  if (parsed?.ok !== true) return { ip }
  return { ip, spiffeId: parsed.value, trustDomain: trustDomainOf(parsed.value), ...serviceAccountOf(parsed.value) }
}
