import { HTTP_METHODS } from '../../../model/http-method.ts'
import { type Authority, normaliseHost, normaliseTarget } from '../normalise.ts'
import { FieldTable } from './field-table.ts'
import { COMMON_FIELDS, COMPLETE, FIELD_START, HeadScanner, INCOMPLETE, type Scanned, START } from './head-parser.ts'
import { type HeaderFilterSource, protectedNames } from './header-filter.ts'
import type { HeaderLines } from './header-lines.ts'
import { CHUNKED, type HeadLimits, NO_BODY, type RequestHead } from './message.ts'
import { CR, continuesWith, FOLDED_TOKEN, foldsTo, LF, latin1, SP, UNDERSCORE, VISIBLE } from './octets.ts'
import type { ProblemReason } from './problem.ts'

export interface RequestHeadOptions {
  readonly limits?: Partial<HeadLimits>
  /** Whether CONNECT is a method here: on the forward-proxy port only. Default false: 405. */
  readonly connect?: boolean
  /**
   * Headers that somebody relies on, beyond {@link PROTECTED}: `Connection` may not name them, and their spellings with
   * `_` are refused. Identity headers of this mesh belong here.
   */
  readonly trusted?: HeaderFilterSource
}

/**
 * Reads the heads of the requests of one connection, and refuses what two readers could read differently: RFC 9112, and
 * the stricter list of DATA-PLANE. What it accepts is a subset of what llhttp in strict mode accepts, with the same
 * framing; a differential test holds it to that.
 *
 * One empty line before a request is skipped (RFC 9112, 2.2).
 */
export class RequestHeadParser extends HeadScanner<RequestHead> {
  readonly #connect: boolean
  #method = ''
  #targetStart = 0
  #targetEnd = 0
  #minor: 0 | 1 = 1

  #hostStart = -1
  #hostEnd = -1
  #seen = 0
  #expects = false

  /** Hosts rarely change on a connection. */
  #lastHost = ''
  #lastAuthority: Authority | undefined
  #lastText = ''

  constructor({ limits, connect = false, trusted }: RequestHeadOptions = {}) {
    const names = protectedNames(trusted)
    super('client', REQUEST_FIELDS, names, limits)
    this.#connect = connect
  }

  protected override scanStartLine(): Scanned {
    const { bytes, limit } = this
    if (this.state === START) {
      if (bytes[this.at] === CR) {
        this.at++
        this.state = EMPTY_LINE_LF
      } else {
        this.#startMethod()
      }
    }
    if (this.state === EMPTY_LINE_LF) {
      if (this.at === limit) return INCOMPLETE
      if (bytes[this.at] !== LF) return 'bare-cr'
      this.at++
      this.#startMethod()
    }
    if (this.state === METHOD) {
      const reason = this.#scanMethod()
      if (reason !== COMPLETE) return reason
    }
    if (this.state === TARGET) {
      const reason = this.#scanTarget()
      if (reason !== COMPLETE) return reason
    }
    return this.#scanVersion()
  }

  #startMethod(): void {
    this.mark = this.at
    this.state = METHOD
  }

  #scanMethod(): Scanned {
    const { bytes, limit } = this
    const latest = Math.min(limit, this.mark + LONGEST_METHOD + 1)
    let at = this.at
    while (at < latest && FOLDED_TOKEN[bytes[at]!] !== 0) at++
    this.at = at
    if (at === latest) return latest === limit && at - this.mark <= LONGEST_METHOD ? INCOMPLETE : 'unknown-method'
    if (bytes[at] !== SP || at === this.mark) return 'bad-method'
    const method = methodIn(bytes, this.mark, at)
    if (method === undefined) return 'unknown-method'
    if (method === 'CONNECT' && !this.#connect) return 'connect-not-allowed'
    this.#method = method
    this.at = at + 1
    this.#targetStart = at + 1 - this.base
    this.state = TARGET
    return COMPLETE
  }

  #scanTarget(): Scanned {
    const { bytes, limit } = this
    const start = this.base + this.#targetStart
    const { maxTargetBytes } = this.limits
    const latest = Math.min(limit, start + maxTargetBytes + 1)
    let at = this.at
    while (at < latest && VISIBLE[bytes[at]!] === 1) at++
    this.at = at
    if (at - start > maxTargetBytes) return 'target-too-long'
    if (at === limit) return INCOMPLETE
    if (bytes[at] !== SP) return bytes[at]! > 0x7f ? 'bad-target' : 'bad-request-line'
    if (at === start) return 'bad-request-line'
    this.#targetEnd = at - this.base
    this.at = at + 1
    this.state = VERSION
    return COMPLETE
  }

  #scanVersion(): Scanned {
    const { bytes, at, limit } = this
    if (limit - at < VERSION_LINE_LENGTH) return INCOMPLETE
    if (!continuesWith(bytes, at, 'HTTP/') || bytes[at + 6] !== FULL_STOP) return 'bad-version'
    const major = bytes[at + 5]! - DIGIT_ZERO
    const minor = bytes[at + 7]! - DIGIT_ZERO
    if (major < 0 || major > 9 || minor < 0 || minor > 9 || major === 0 || major === 2) return 'bad-version'
    if (major !== 1 || minor > 1) return 'unsupported-version'
    if (bytes[at + 8] !== CR) return bytes[at + 8] === LF ? 'bare-lf' : 'bad-request-line'
    if (bytes[at + 9] !== LF) return 'bare-cr'
    this.#minor = minor === 0 ? 0 : 1
    this.at = at + VERSION_LINE_LENGTH
    this.fieldsStart = this.at
    this.state = FIELD_START
    return COMPLETE
  }

  protected override onField(id: number, start: number, end: number): ProblemReason | undefined {
    const bit = 1 << id
    if ((this.#seen & bit) !== 0) {
      if (id === HOST) return 'duplicate-host'
      return id === AUTHORIZATION || id === PROXY_AUTHORIZATION ? 'duplicate-authorization' : 'duplicate-header'
    }
    this.#seen |= bit
    if (id === HOST) {
      this.#hostStart = start - this.base
      this.#hostEnd = end - this.base
    } else if (id === EXPECT) {
      this.#expects = true
      if (!isContinue(this.bytes, start, end)) return 'unknown-expectation'
    }
    return undefined
  }

  protected override finish(headers: HeaderLines): RequestHead | ProblemReason {
    const { bytes, base } = this
    const minor = this.#minor
    const method = this.#method

    const { isChunked, contentLength } = this
    if (isChunked) {
      if (minor === 0) return 'te-on-http10'
      if (contentLength !== -1) return 'te-and-cl'
    }
    const framing = isChunked
      ? CHUNKED
      : contentLength === -1
        ? NO_BODY
        : { kind: 'length' as const, bytes: contentLength }
    const hasBody = isChunked || contentLength > 0
    if (hasBody && (method === 'CONNECT' || method === 'TRACE')) return 'body-not-allowed'

    const hasHost = this.#hostStart !== -1
    if (!hasHost && minor === 1) return 'missing-host'
    const named = hasHost ? this.#readHost(base + this.#hostStart, base + this.#hostEnd) : NOBODY
    if (typeof named === 'string') return named

    const target = latin1(bytes, base + this.#targetStart, base + this.#targetEnd)
    const addressed = this.#readTarget(method, target, hasHost ? named : undefined)
    if (typeof addressed === 'string') return addressed

    let upgrade: 'websocket' | undefined
    if (this.upgradesToWebSocket && this.saysUpgrade && minor === 1) {
      if (method !== 'GET' || hasBody || (this.#seen & (1 << WEBSOCKET_KEY)) === 0) return 'bad-upgrade'
      upgrade = 'websocket'
    }
    return {
      kind: 'request',
      method,
      target,
      form: addressed.form,
      scheme: addressed.scheme,
      path: addressed.path,
      query: addressed.query,
      host: addressed.authority.host,
      port: addressed.authority.port,
      authority: addressed.authority === this.#lastAuthority ? this.#lastText : textOf(addressed.authority),
      minor,
      headers,
      framing,
      keepAlive: minor === 1 && !this.saysClose,
      upgrade,
      expectContinue: this.#expects && minor === 1 && hasBody,
      connectionNames: this.connectionNames,
    }
  }

  protected override forget(): void {
    super.forget()
    this.#hostStart = -1
    this.#seen = 0
    this.#expects = false
  }

  #readHost(start: number, end: number): Authority | ProblemReason {
    const { bytes } = this
    const last = this.#lastHost
    if (this.#lastAuthority !== undefined && last.length === end - start && continuesWith(bytes, start, last)) {
      return this.#lastAuthority
    }
    const raw = latin1(bytes, start, end)
    const authority = normaliseHost(raw)
    if ('kind' in authority) return authority.reason
    this.#lastHost = raw
    this.#lastAuthority = authority
    this.#lastText = textOf(authority)
    return authority
  }

  /** RFC 9112, 3.2. `named` is what Host says, undefined when there is none. */
  #readTarget(method: string, target: string, named: Authority | undefined): Addressed | ProblemReason {
    if (method === 'CONNECT') return readAuthorityForm(target, named)
    if (target.charCodeAt(0) === SLASH) {
      const normal = normaliseTarget(target)
      if ('kind' in normal) return normal.reason
      return { form: 'origin', scheme: undefined, path: normal.path, query: normal.query, authority: named ?? NOBODY }
    }
    if (target === '*') {
      if (method !== 'OPTIONS') return 'asterisk-needs-options'
      return { form: 'asterisk', scheme: undefined, path: '*', query: '', authority: named ?? NOBODY }
    }
    return readAbsoluteForm(method, target, named)
  }
}

interface Addressed {
  readonly form: RequestHead['form']
  readonly scheme: RequestHead['scheme']
  readonly path: string
  readonly query: string
  readonly authority: Authority
}

function readAbsoluteForm(method: string, target: string, named: Authority | undefined): Addressed | ProblemReason {
  const scheme = schemeOf(target)
  if (scheme === undefined) return 'kind' in normaliseHost(target) ? 'bad-target' : 'authority-needs-connect'
  const start = scheme.length + '://'.length
  let end = start
  while (end < target.length && !'/?#\\'.includes(target.charAt(end))) end++
  const authority = normaliseHost(target.slice(start, end))
  if ('kind' in authority) return authority.reason
  if (named !== undefined) {
    const defaultPort = scheme === 'http' ? 80 : 443
    const isSame = named.host === authority.host && (named.port ?? defaultPort) === (authority.port ?? defaultPort)
    if (!isSame) return 'host-differs-from-target'
  }
  const rest = target.slice(end)
  // RFC 9112, 3.2.4: this is how `OPTIONS *` is sent through a proxy.
  if (rest === '' && method === 'OPTIONS') return { form: 'absolute', scheme, path: '*', query: '', authority }
  const normal = normaliseTarget(rest.startsWith('?') || rest === '' ? `/${rest}` : rest)
  if ('kind' in normal) return normal.reason
  return { form: 'absolute', scheme, path: normal.path, query: normal.query, authority }
}

function readAuthorityForm(target: string, named: Authority | undefined): Addressed | ProblemReason {
  const authority = normaliseHost(target)
  if ('kind' in authority || authority.port === undefined) return 'bad-target'
  if (named !== undefined) {
    // Many clients leave the port of a CONNECT out of Host.
    const isSame = named.host === authority.host && (named.port ?? authority.port) === authority.port
    if (!isSame) return 'host-differs-from-target'
  }
  return { form: 'authority', scheme: undefined, path: '', query: '', authority }
}

function schemeOf(target: string): 'http' | 'https' | undefined {
  const scheme = target.slice(0, 'https://'.length).toLowerCase()
  if (scheme.startsWith('http://')) return 'http'
  return scheme === 'https://' ? 'https' : undefined
}

const SLASH = 0x2f
const FULL_STOP = 0x2e
const DIGIT_ZERO = 0x30

const EMPTY_LINE_LF = 1
const METHOD = 2
const TARGET = 3
const VERSION = 4

/** `HTTP/1.1` and its CRLF. */
const VERSION_LINE_LENGTH = 10

function textOf({ host, port }: Authority): string {
  return port === undefined ? host : `${host}:${port}`
}

const NOBODY: Authority = Object.freeze({ host: '', port: undefined })

/** Of each field after the common ones there may be one line. */
const REQUEST_FIELDS = new FieldTable([
  ...COMMON_FIELDS,
  'host',
  'expect',
  'authorization',
  'proxy-authorization',
  'sec-websocket-key',
  'sec-websocket-version',
  'content-type',
  'origin',
  'access-control-request-method',
])
const HOST = 5
const EXPECT = 6
const AUTHORIZATION = 7
const PROXY_AUTHORIZATION = 8
const WEBSOCKET_KEY = 9

const LONGEST_METHOD = 11

const KNOWN_METHODS: ReadonlySet<string> = new Set(HTTP_METHODS)

/** Whether an expectation is the one there is, in any case; a fold of names would take `100_continue` for it. */
export function isContinue(bytes: Uint8Array, start: number, end: number): boolean {
  return foldsTo(bytes, start, end, '100-continue') && bytes[start + '100'.length] !== UNDERSCORE
}

/** Whether it is one of the registered methods; case-sensitive. */
export function isKnownMethod(method: string): boolean {
  return KNOWN_METHODS.has(method)
}

/** By length and first octet, so that GET and POST are found at once and no string is made. */
const METHODS_BY_SHAPE: readonly (readonly string[])[] = groupByShape(HTTP_METHODS)

function groupByShape(methods: readonly string[]): readonly (readonly string[])[] {
  const shapes: string[][] = Array.from({ length: (LONGEST_METHOD + 1) * 32 }, () => [])
  for (const method of methods) shapes[shapeOf(method.length, method.charCodeAt(0))]!.push(method)
  return shapes
}

function shapeOf(length: number, first: number): number {
  return length * 32 + (first & 31)
}

function methodIn(bytes: Uint8Array, start: number, end: number): string | undefined {
  const candidates = METHODS_BY_SHAPE[shapeOf(end - start, bytes[start]!)]!
  for (let index = 0; index < candidates.length; index++) {
    const method = candidates[index]!
    let at = start
    while (at < end && bytes[at] === method.charCodeAt(at - start)) at++
    if (at === end) return method
  }
  return undefined
}
