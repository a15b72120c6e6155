import { type Problem, type ProblemReason, problem } from './http1/problem.ts'

/** What a target comes to: policy sees it, and the upstream gets these same characters. */
export interface Target {
  /** In its one normal form. Starts with `/`, never with `//`. */
  readonly path: string
  /** As sent, without the `?`; empty when there is none. An empty query (`/a?`) is no query. */
  readonly query: string
}

/** Whom a request is for. */
export interface Authority {
  /** Lower case, no trailing dot; an IPv6 address in brackets, as RFC 5952 writes it. At most 253 characters. */
  readonly host: string
  /** 1..65535; undefined when none was written. */
  readonly port: number | undefined
}

/**
 * The one normal form of an origin-form target, or why it has none (POLICY-API rule 10, T17).
 *
 * Unreserved octets are decoded (RFC 3986, 6.2.2.2), the other escapes are in upper case, dot segments are resolved
 * (5.2.4) and slashes inside the path are merged, in that order. Refused are targets that two readers could read
 * differently: a leading `//`; `\` and `#` in any place; `%2f`, `%5c` and `%00` in the path; escapes that are broken, that
 * spell an escape (`%252e`), or that are not UTF-8; and a dot segment with a parameter (`..;x`), which some servers resolve
 * and some do not.
 *
 * The query is never rewritten, so `%2f` and `%25` mean nothing there; a broken escape and `%00` are refused there too.
 *
 * A normal form is its own normal form.
 */
export function normaliseTarget(raw: string): Target | Problem {
  const length = raw.length
  if (length === 0 || raw.charCodeAt(0) !== SLASH) return refuse('bad-target')
  if (length > 1 && raw.charCodeAt(1) === SLASH) return refuse('ambiguous-path')

  let isNormal = true
  let pathEnd = length
  let afterSlash = true
  for (let at = 1; at < length; at++) {
    const code = raw.charCodeAt(at)
    const kind = code < 128 ? PATH_CHARACTERS[code]! : FORBIDDEN
    if (kind === PLAIN) {
      afterSlash = false
    } else if (kind === SEPARATOR) {
      if (afterSlash) isNormal = false
      afterSlash = true
    } else if (kind === DOT) {
      // Only a segment that starts with a dot can be a dot segment.
      if (afterSlash) isNormal = false
      afterSlash = false
    } else if (kind === ESCAPE) {
      isNormal = false
      afterSlash = false
    } else if (kind === QUERY_START) {
      pathEnd = at
      break
    } else {
      return refuse(forbiddenReason(code))
    }
  }

  let query = ''
  if (pathEnd < length) {
    const reason = checkQuery(raw, pathEnd + 1)
    if (reason !== undefined) return refuse(reason)
    query = raw.slice(pathEnd + 1)
  }
  const path = pathEnd === length ? raw : raw.slice(0, pathEnd)
  return isNormal ? { path, query } : rewrite(path, query)
}

/**
 * The one spelling of a Host or authority, or why it has none (T14): RFC 3986, 3.2.2 without user information and without
 * percent-encoding. A last label that is a number makes it an IPv4 address, which has one spelling too: four decimal octets.
 */
export function normaliseHost(raw: string): Authority | Problem {
  if (raw.length === 0) return refuse('empty-host')
  if (raw.charCodeAt(0) === OPENING_BRACKET) return normaliseIpv6(raw)

  let end = raw.length
  let hasUpperCase = false
  for (let at = 0; at < end; at++) {
    const code = raw.charCodeAt(at)
    const kind = code < 128 ? HOST_CHARACTERS[code]! : FORBIDDEN
    if (kind === FORBIDDEN) {
      if (code !== COLON) return refuse('bad-host')
      end = at
    } else if (kind === UPPER) {
      hasUpperCase = true
    }
  }
  const port = end === raw.length ? undefined : parsePort(raw, end + 1)
  if (port === 0) return refuse('bad-host')

  if (end > 1 && raw.charCodeAt(end - 1) === FULL_STOP) end--
  let host = end === raw.length ? raw : raw.slice(0, end)
  if (hasUpperCase) host = host.toLowerCase()
  return isHostName(host) ? { host, port } : refuse('bad-host')
}

const SLASH = 0x2f
const BACKSLASH = 0x5c
const HASH = 0x23
const FULL_STOP = 0x2e
const COLON = 0x3a
const OPENING_BRACKET = 0x5b

const FORBIDDEN = 0
const PLAIN = 1
const SEPARATOR = 2
const DOT = 3
const ESCAPE = 4
const QUERY_START = 5
const UPPER = 6

const DIGITS = '0123456789'
const LOWER_CASE = 'abcdefghijklmnopqrstuvwxyz'
const UPPER_CASE = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ'
const UNRESERVED = `${DIGITS}${LOWER_CASE}${UPPER_CASE}-._~`

/** pchar (RFC 3986, 3.3), and what ends a segment or the path. */
const PATH_CHARACTERS = characterTable([
  [`${UNRESERVED}!$&'()*+,;=:@`, PLAIN],
  ['/', SEPARATOR],
  ['.', DOT],
  ['%', ESCAPE],
  ['?', QUERY_START],
])

/** Wider than RFC 3986, 3.4: browsers and frameworks send brackets, braces, `|`, `^` and backquotes as they are. */
const QUERY_CHARACTERS = characterTable([
  [`${UNRESERVED}!$&'()*+,;=:@/?[]{}|^\``, PLAIN],
  ['%', ESCAPE],
])

const HOST_CHARACTERS = characterTable([
  [`${DIGITS}${LOWER_CASE}-._`, PLAIN],
  [UPPER_CASE, UPPER],
])

const UNRESERVED_OCTETS = characterTable([[UNRESERVED, PLAIN]])

function characterTable(kinds: readonly (readonly [characters: string, kind: number])[]): Uint8Array {
  const table = new Uint8Array(128)
  for (const [characters, kind] of kinds) {
    for (const character of characters) table[character.charCodeAt(0)] = kind
  }
  return table
}

function refuse(reason: ProblemReason): Problem {
  return problem('client', reason)
}

function forbiddenReason(code: number): ProblemReason {
  if (code === HASH) return 'target-with-fragment'
  return code === BACKSLASH ? 'ambiguous-path' : 'bad-target'
}

function checkQuery(raw: string, start: number): ProblemReason | undefined {
  for (let at = start; at < raw.length; at++) {
    const code = raw.charCodeAt(at)
    const kind = code < 128 ? QUERY_CHARACTERS[code]! : FORBIDDEN
    if (kind === PLAIN) continue
    if (kind === FORBIDDEN) return forbiddenReason(code)
    const octet = octetAt(raw, at)
    if (octet < 0) return 'bad-escape'
    if (octet === 0) return 'ambiguous-path'
    at += 2
  }
  return undefined
}

function rewrite(path: string, query: string): Target | Problem {
  const decoded = decodeUnreserved(path)
  if (typeof decoded !== 'string') return decoded
  if (spellsEscape(decoded)) return refuse('double-escape')

  const kept: string[] = []
  const segments = decoded.split('/')
  const last = segments.length - 1
  let endsWithSlash = false
  for (let index = 1; index <= last; index++) {
    const segment = segments[index]!
    if (hasDotParameter(segment)) return refuse('ambiguous-path')
    const isDot = segment === '.'
    const isDotDot = segment === '..'
    if (isDotDot) kept.pop()
    else if (!isDot) kept.push(segment)
    if (index === last) endsWithSlash = isDot || isDotDot || segment === ''
  }
  // Empty segments count while dot segments are resolved (RFC 3986, 5.2.4); only then are the slashes merged.
  let merged = ''
  for (const segment of kept) if (segment !== '') merged += `/${segment}`
  return { path: endsWithSlash || merged === '' ? `${merged}/` : merged, query }
}

function decodeUnreserved(path: string): string | Problem {
  const utf8 = new Utf8Sequence()
  let decoded = ''
  let copied = 0
  for (let at = path.indexOf('%'); at !== -1; at = path.indexOf('%', at)) {
    if (at > copied && !utf8.isWhole) return refuse('bad-escape')
    const octet = octetAt(path, at)
    if (octet < 0 || !utf8.accepts(octet)) return refuse('bad-escape')
    if (octet === SLASH || octet === BACKSLASH || octet === 0) return refuse('ambiguous-path')
    decoded += path.slice(copied, at)
    decoded +=
      octet < 128 && UNRESERVED_OCTETS[octet] === PLAIN
        ? String.fromCharCode(octet)
        : path.slice(at, at + 3).toUpperCase()
    at += 3
    copied = at
  }
  return utf8.isWhole ? decoded + path.slice(copied) : refuse('bad-escape')
}

/** Escapes in a row, held against the well-formed sequences of Unicode's table 3-7: no overlong form, no surrogate. */
class Utf8Sequence {
  #missing = 0
  #lowest = 0x80
  #highest = 0xbf

  get isWhole(): boolean {
    return this.#missing === 0
  }

  accepts(octet: number): boolean {
    if (this.#missing > 0) {
      if (octet < this.#lowest || octet > this.#highest) return false
      this.#missing--
      this.#lowest = 0x80
      this.#highest = 0xbf
      return true
    }
    if (octet < 0x80) return true
    if (octet < 0xc2 || octet > 0xf4) return false
    this.#missing = octet < 0xe0 ? 1 : octet < 0xf0 ? 2 : 3
    if (octet === 0xe0) this.#lowest = 0xa0
    if (octet === 0xed) this.#highest = 0x9f
    if (octet === 0xf0) this.#lowest = 0x90
    if (octet === 0xf4) this.#highest = 0x8f
    return true
  }
}

function spellsEscape(decoded: string): boolean {
  for (let at = decoded.indexOf('%25'); at !== -1; at = decoded.indexOf('%25', at + 3)) {
    if (hexValue(decoded.charCodeAt(at + 3)) >= 0 && hexValue(decoded.charCodeAt(at + 4)) >= 0) return true
  }
  return false
}

function hasDotParameter(segment: string): boolean {
  if (segment.charCodeAt(0) !== FULL_STOP) return false
  const afterDots = segment.charCodeAt(1) === FULL_STOP ? 2 : 1
  return segment.startsWith(';', afterDots) || segment.startsWith('%3B', afterDots)
}

/** The octet that the escape at `at` stands for, or a negative number when it is broken. */
function octetAt(text: string, at: number): number {
  const high = hexValue(text.charCodeAt(at + 1))
  const low = hexValue(text.charCodeAt(at + 2))
  return high < 0 || low < 0 ? -1 : high * 16 + low
}

/** -1 for what is no hexadecimal digit, NaN (past the end) too. */
function hexValue(code: number): number {
  if (code >= 0x30 && code <= 0x39) return code - 0x30
  if (code >= 0x41 && code <= 0x46) return code - 0x37
  if (code >= 0x61 && code <= 0x66) return code - 0x57
  return -1
}

const MAX_HOST_LENGTH = 253
const MAX_LABEL_LENGTH = 63
const MAX_PORT = 65_535

function isHostName(host: string): boolean {
  if (host.length === 0 || host.length > MAX_HOST_LENGTH) return false
  let labelStart = 0
  for (let at = 0; at <= host.length; at++) {
    if (at < host.length && host.charCodeAt(at) !== FULL_STOP) continue
    if (at === labelStart || at - labelStart > MAX_LABEL_LENGTH) return false
    if (at === host.length && isNumber(host, labelStart)) return isIpv4(host)
    labelStart = at + 1
  }
  return true
}

/** What a resolver may take for a number (WHATWG URL, "ends in a number"): decimal, octal or `0x`. */
function isNumber(host: string, start: number): boolean {
  const isHexadecimal = host.startsWith('0x', start)
  for (let at = isHexadecimal ? start + 2 : start; at < host.length; at++) {
    const value = hexValue(host.charCodeAt(at))
    if (value < 0 || (value > 9 && !isHexadecimal)) return false
  }
  return true
}

function isIpv4(host: string): boolean {
  return ipv4Groups(host) !== undefined
}

/** The two 16-bit halves of a dotted quad. */
function ipv4Groups(text: string): readonly [number, number] | undefined {
  const octets = text.split('.')
  if (octets.length !== 4) return undefined
  const values: number[] = []
  for (const octet of octets) {
    const value = decimal(octet, 0, 255)
    if (value < 0) return undefined
    values.push(value)
  }
  return [values[0]! * 256 + values[1]!, values[2]! * 256 + values[3]!]
}

/** 0 is never a port, and so it says that this is none. */
function parsePort(text: string, start: number): number {
  return Math.max(decimal(text, start, MAX_PORT), 0)
}

/** The rest of the text as a decimal number without leading zeros, or -1. */
function decimal(text: string, start: number, max: number): number {
  const digits = text.length - start
  if (digits < 1 || digits > 5 || (digits > 1 && text.charCodeAt(start) === 0x30)) return -1
  let value = 0
  for (let at = start; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (code < 0x30 || code > 0x39) return -1
    value = value * 10 + code - 0x30
  }
  return value <= max ? value : -1
}

function normaliseIpv6(raw: string): Authority | Problem {
  const end = raw.indexOf(']')
  if (end === -1) return refuse('bad-host')
  const groups = parseIpv6(raw.slice(1, end))
  if (groups === undefined) return refuse('bad-host')
  const host = `[${formatIpv6(groups)}]`
  if (end + 1 === raw.length) return { host, port: undefined }
  const port = raw.charCodeAt(end + 1) === COLON ? parsePort(raw, end + 2) : 0
  return port === 0 ? refuse('bad-host') : { host, port }
}

/** RFC 4291, 2.2, without a zone. */
function parseIpv6(text: string): readonly number[] | undefined {
  const gap = text.indexOf('::')
  if (gap === -1) return parseGroups(text, 8)
  const head = gap === 0 ? [] : parseGroups(text.slice(0, gap))
  const tail = gap + 2 === text.length ? [] : parseGroups(text.slice(gap + 2))
  if (head === undefined || tail === undefined || head.length + tail.length > 7) return undefined
  // A dotted quad can only come last.
  if (gap !== 0 && text.lastIndexOf('.', gap) !== -1) return undefined
  return [...head, ...Array<number>(8 - head.length - tail.length).fill(0), ...tail]
}

function parseGroups(text: string, exactly?: number): readonly number[] | undefined {
  const parts = text.split(':')
  if (parts.length > 8) return undefined
  const groups: number[] = []
  for (const [index, part] of parts.entries()) {
    if (index === parts.length - 1 && part.includes('.')) {
      const quad = ipv4Groups(part)
      if (quad === undefined) return undefined
      groups.push(...quad)
      continue
    }
    if (part.length < 1 || part.length > 4) return undefined
    let value = 0
    for (let at = 0; at < part.length; at++) {
      const digit = hexValue(part.charCodeAt(at))
      if (digit < 0) return undefined
      value = value * 16 + digit
    }
    groups.push(value)
  }
  return exactly === undefined || groups.length === exactly ? groups : undefined
}

/** RFC 5952, 4: lower case, no leading zeros, the first longest run of two or more zero groups shortened. */
function formatIpv6(groups: readonly number[]): string {
  let runStart = -1
  let runLength = 1
  for (let start = 0; start < 8; start++) {
    let length = 0
    while (start + length < 8 && groups[start + length] === 0) length++
    if (length > runLength) {
      runStart = start
      runLength = length
    }
  }
  const hex = (from: number, to: number) =>
    groups
      .slice(from, to)
      .map((group) => group.toString(16))
      .join(':')
  return runStart === -1 ? hex(0, 8) : `${hex(0, runStart)}::${hex(runStart + runLength, 8)}`
}
