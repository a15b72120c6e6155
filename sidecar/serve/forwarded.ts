import { isIP } from 'node:net'
import type { HeaderPair } from '../../model/verdict.ts'
import { compileHeaderFilter, type HeaderFilterSource } from './http1/header-filter.ts'
import type { HeaderLines } from './http1/header-lines.ts'
import { type CheckedLines, checkLines, compileDrop, isFieldValue } from './http1/write-head.ts'

/**
 * Headers that say who is asking, from where and for what, or that some servers take for the method, the host or the
 * target itself: a server that obeyed them would do what no policy has judged. What a client sends under these names, in
 * any spelling, is never passed on nor seen by a policy; what is true is written anew (T12).
 */
export const IDENTITY_HEADERS: HeaderFilterSource = Object.freeze({
  names: [
    'forwarded',
    'true-client-ip',
    'x-client-ip',
    'x-cluster-client-ip',
    'x-host',
    'x-http-host-override',
    'x-http-method',
    'x-http-method-override',
    'x-method-override',
    'x-original-host',
    'x-original-method',
    'x-original-uri',
    'x-original-url',
    'x-override-url',
    'x-real-ip',
    'x-request-id',
    'x-rewrite-url',
  ],
  prefixes: ['x-forwarded-', 'x-hauberk-', 'hauberk-'],
})

const FILTER = compileHeaderFilter(IDENTITY_HEADERS)

/** Whether a header of this name comes from this mesh or not at all. `name` in lower case. */
export function isIdentityHeader(name: string): boolean {
  const first = name.charCodeAt(0)
  // x, f, t and h: what all of them start with.
  return (first === 0x78 || first === 0x66 || first === 0x74 || first === 0x68) && FILTER.matchesName(name)
}

/** How much of what a request says of its origin is believed: by who sent it, never by what it says. */
export interface Provenance {
  readonly clientIp: string
  readonly proto: 'http' | 'https'
  /** `host[:port]` as the first client wrote it. */
  readonly host: string
  readonly requestId: string
}

/** What the connection knows of itself, to set what it cannot believe. */
export interface OwnProvenance {
  readonly remoteIp: string
  readonly proto: 'http' | 'https'
  readonly host: string
}

/**
 * From a peer in the mesh, whose sidecar or gateway wrote the headers anew: its last word on each of them.
 */
export function provenanceFromPeer(headers: HeaderLines, own: OwnProvenance, newId: () => string): Provenance {
  const proto = headers.get('x-forwarded-proto')
  const host = headers.get('x-forwarded-host')
  return {
    clientIp: addressFromRight(headers, 1) ?? own.remoteIp,
    proto: proto === 'http' || proto === 'https' ? proto : own.proto,
    host: host !== undefined && AUTHORITY.test(host) ? host : own.host,
    requestId: requestIdIn(headers) ?? newId(),
  }
}

/**
 * From outside: the socket's address, or what the trusted proxies in front wrote (T13). `hops` of them did, the last one
 * being at the other end of the socket; the entry that the first of them wrote names the client. A list shorter than that
 * was not written by all of them, and an entry that is no address by none: then it is the socket's.
 */
export function provenanceFromOutside(
  headers: HeaderLines,
  own: OwnProvenance,
  hops: number,
  newId: () => string,
): Provenance {
  if (hops === 0) return { clientIp: own.remoteIp, proto: own.proto, host: own.host, requestId: newId() }
  const clientIp = addressFromRight(headers, hops)
  const proto = clientIp === undefined ? undefined : protoFromRight(headers, hops)
  return {
    clientIp: clientIp ?? own.remoteIp,
    proto: proto === 'http' || proto === 'https' ? proto : own.proto,
    host: own.host,
    requestId: newId(),
  }
}

/** From the workload itself: its word is taken for the id of the request, so that its log lines can be joined. */
export function provenanceFromWorkload(headers: HeaderLines, own: OwnProvenance, newId: () => string): Provenance {
  return { clientIp: own.remoteIp, proto: own.proto, host: own.host, requestId: requestIdIn(headers) ?? newId() }
}

/** What every request to an upstream leaves out of the received lines. */
export const IDENTITY_DROP = compileDrop(IDENTITY_HEADERS)

/**
 * The lines that tell the next hop, for the requests of one connection: most of them are told the same, but for their id.
 * `certificateHeader` is of the immediate peer; undefined where it has proven nothing.
 */
export class ForwardedLines {
  readonly #certificateHeader: string | undefined
  #clientIp: string | undefined
  #proto: Provenance['proto'] = 'http'
  #host = ''
  #tellsAddress = false
  #lines: CheckedLines | undefined

  constructor(certificateHeader: string | undefined) {
    this.#certificateHeader = certificateHeader
  }

  /**
   * The address is left out on the way out of a workload: the next hop sees it better, at its socket. Undefined: something
   * in it is no field value.
   */
  for({ clientIp, proto, host }: Provenance, tellsAddress: boolean): CheckedLines | undefined {
    const isTold =
      this.#clientIp === clientIp && this.#host === host && this.#proto === proto && this.#tellsAddress === tellsAddress
    if (!isTold) {
      this.#clientIp = clientIp
      this.#proto = proto
      this.#host = host
      this.#tellsAddress = tellsAddress
      this.#lines = this.#write(clientIp, proto, host, tellsAddress)
    }
    return this.#lines
  }

  #write(clientIp: string, proto: string, host: string, tellsAddress: boolean): CheckedLines | undefined {
    const pairs: HeaderPair[] = [['x-forwarded-proto', proto]]
    if (tellsAddress) pairs.push(['x-forwarded-for', clientIp])
    if (host !== '') pairs.push(['x-forwarded-host', host])
    if (this.#certificateHeader !== undefined) pairs.push(['x-forwarded-client-cert', this.#certificateHeader])
    return checkLines(pairs, IDENTITY_DROP)
  }
}

const AUTHORITY = /^(?:[a-z0-9._-]{1,253}|\[[0-9a-f:.]{2,45}\])(?::[0-9]{1,5})?$/
const REQUEST_ID = /^[A-Za-z0-9._-]{1,64}$/

function requestIdIn(headers: HeaderLines): string | undefined {
  const sent = headers.get('x-request-id')
  return sent !== undefined && REQUEST_ID.test(sent) && isFieldValue(sent) ? sent : undefined
}

/** The `position`-th address of X-Forwarded-For from the right, over all its lines. */
function addressFromRight(headers: HeaderLines, position: number): string | undefined {
  const entry = entriesOf(headers, 'x-forwarded-for').at(-position)
  return entry !== undefined && isIP(entry) !== 0 && !entry.includes('%') ? entry : undefined
}

/**
 * What the first trusted proxy wrote of the protocol, as with addresses. Most proxies write it anew where they append an
 * address: one entry alone is the word of the last that did.
 */
function protoFromRight(headers: HeaderLines, position: number): string | undefined {
  const entries = entriesOf(headers, 'x-forwarded-proto')
  return entries.length === 1 ? entries[0] : entries.at(-position)
}

/** The elements of a list over all lines of that name, in the order in which they were added. */
function entriesOf(headers: HeaderLines, name: string): readonly string[] {
  const lines = headers.all(name)
  return lines.length === 0 ? NO_ENTRIES : lines.join(',').split(',').map(trimmed)
}

function trimmed(entry: string): string {
  return entry.trim()
}

const NO_ENTRIES: readonly string[] = Object.freeze([])
