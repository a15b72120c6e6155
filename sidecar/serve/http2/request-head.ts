import { CHUNKED, NO_BODY, type RequestHead } from '../http1/message.ts'
import { type Problem, type ProblemReason, problem } from '../http1/problem.ts'
import { isKnownMethod } from '../http1/request-head.ts'
import { type Authority, normaliseHost, normaliseTarget } from '../normalise.ts'
import type { FieldDecoder } from './field-decoder.ts'
import type { MalformedReason } from './handler.ts'

export interface RequestHeadsOptions {
  /** Bytes of path and query. */
  readonly maxTargetBytes: number
  /** Whether extended CONNECT is taken (RFC 8441). */
  readonly extendedConnect: boolean
}

/**
 * Makes the heads of the requests of one connection out of decoded sections: the rules of RFC 9113, 8.3.1, and then those of
 * HTTP/1.1 heads, so that nobody behind can tell how a request came, nor get one past him that HTTP/1.1 would have refused.
 *
 * A text is a message that HTTP/2 forbids: its stream is reset. A problem is answered.
 */
export class RequestHeads {
  readonly #options: RequestHeadsOptions
  /** Hosts rarely change on a connection. */
  #lastHost: string | undefined
  #lastAuthority: Authority = NOBODY
  #lastText = ''

  constructor(options: RequestHeadsOptions) {
    this.#options = options
  }

  read(section: FieldDecoder, hasEnded: boolean): RequestHead | Problem | MalformedReason {
    const { malformed, method, path, scheme, protocol, contentLength, lines } = section
    if (malformed !== undefined) return malformed
    if (method === undefined) return 'missing-pseudo-field'
    const isTunnel = protocol !== undefined
    if (method === 'CONNECT' && !isTunnel) {
      if (path !== undefined || scheme !== undefined) return 'bad-pseudo-field'
      if (section.authority === undefined) return 'missing-pseudo-field'
      return refused(section.problem ?? 'connect-not-allowed')
    }
    if (path === undefined || scheme === undefined) return 'missing-pseudo-field'
    if (path === '' || scheme === '') return 'bad-pseudo-field'
    if (isTunnel && (!this.#options.extendedConnect || method !== 'CONNECT')) return 'bad-pseudo-field'
    if (hasEnded && contentLength > 0) return 'content-length-mismatch'
    if (section.problem !== undefined) return refused(section.problem)
    if (lines === undefined) return refused('head-too-long')
    if (!isKnownMethod(method)) return refused('unknown-method')
    if (path.length > this.#options.maxTargetBytes) return refused('target-too-long')
    if (isTunnel && protocol !== 'websocket') return refused('bad-upgrade')
    if (isTunnel && hasEnded) return refused('bad-upgrade')
    if (scheme !== 'http' && scheme !== 'https') return refused('bad-target')
    const hasBody = !hasEnded && !isTunnel
    if (hasBody && method === 'TRACE') return refused('body-not-allowed')

    const authority = this.#readAuthority(section.authority, section.host)
    if (typeof authority === 'string') return refused(authority)
    let normalPath = '*'
    let query = ''
    if (path === '*') {
      if (method !== 'OPTIONS') return refused('asterisk-needs-options')
    } else {
      if (path.charCodeAt(0) !== SLASH) return refused('bad-target')
      const normal = normaliseTarget(path)
      if ('kind' in normal) return refused(normal.reason)
      normalPath = normal.path
      query = normal.query
    }
    return {
      kind: 'request',
      // What a policy says of a WebSocket it says of the GET that HTTP/1.1 begins one with.
      method: isTunnel ? 'GET' : method,
      target: path,
      form: path === '*' ? 'asterisk' : 'origin',
      scheme: undefined,
      path: normalPath,
      query,
      host: authority.host,
      port: authority.port,
      authority: this.#lastText,
      minor: 1,
      headers: lines,
      framing: isTunnel
        ? NO_BODY
        : contentLength !== -1
          ? { kind: 'length', bytes: contentLength }
          : hasEnded
            ? NO_BODY
            : CHUNKED,
      keepAlive: true,
      upgrade: isTunnel ? 'websocket' : undefined,
      expectContinue: section.expectsContinue && hasBody,
      connectionNames: NO_NAMES,
    }
  }

  /** RFC 9113, 8.3.1: `:authority`, or Host in its place; where both are, they say the same. */
  #readAuthority(authority: string | undefined, host: string | undefined): Authority | ProblemReason {
    const named = authority ?? host
    if (named === undefined) return 'missing-host'
    if (named !== this.#lastHost) {
      const normal = normaliseHost(named)
      if ('kind' in normal) return normal.reason
      this.#lastHost = named
      this.#lastAuthority = normal
      this.#lastText = normal.port === undefined ? normal.host : `${normal.host}:${normal.port}`
    }
    const read = this.#lastAuthority
    if (authority !== undefined && host !== undefined && authority !== host) {
      const other = normaliseHost(host)
      if ('kind' in other) return other.reason
      if (other.host !== read.host || other.port !== read.port) return 'host-differs-from-target'
    }
    return read
  }
}

function refused(reason: ProblemReason): Problem {
  return problem('client', reason)
}

const SLASH = 0x2f
const NOBODY: Authority = Object.freeze({ host: '', port: undefined })
const NO_NAMES: readonly string[] = Object.freeze([])
