import { decodeBase64urlText, isBase64url } from './base64url.ts'
import { readJson } from './read-json.ts'

/** A token taken apart and not yet verified. */
export interface CompactJws {
  readonly kind: 'jws'
  readonly algorithm: string
  /** 1..256 printable ASCII characters. */
  readonly kid: string | undefined
  readonly typ: string | undefined
  readonly claims: Readonly<Record<string, unknown>>
  /** How deep the claims are; flat ones are 1. */
  readonly depth: number
  /** Characters of the whole token. */
  readonly length: number
  /** What was signed: the first two parts with their dot. */
  readonly signingInput: string
  /** Canonical base64url, not empty. */
  readonly signature: string
}

/** Why a text is no token; says nothing of what is in it. */
export interface NotAJws {
  readonly kind: 'not-a-jws'
  readonly reason: string
}

export interface ShellLimits {
  readonly maxBytes: number
  readonly maxDepth: number
  /** What `alg` may say at all, to the letter. */
  readonly algorithms: ReadonlySet<string>
}

/**
 * Reads a JWT in JWS compact serialization (RFC 7519, 7.2; RFC 7515, 7.1), and nothing else.
 *
 * Stricter than the RFCs and than libraries, cheapest test first: no other serialization, no encryption, no compression,
 * no key or key location in the header, no extension (`crit`), one spelling of every byte, members only once. Nothing
 * that a header asks for is done: it is refused.
 */
export class JwsReader {
  readonly #limits: ShellLimits
  /** Tokens of one key have one header, so that most of them need not be read anew. */
  #last: { readonly part: string; readonly header: Header } | undefined

  constructor(limits: ShellLimits) {
    this.#limits = limits
  }

  read(token: string): CompactJws | NotAJws {
    const { maxBytes, maxDepth, algorithms } = this.#limits
    if (token.length > maxBytes) return not(`longer than ${maxBytes} bytes`)
    const first = token.indexOf('.')
    const second = token.indexOf('.', first + 1)
    if (first <= 0 || second <= first + 1 || second === token.length - 1) return not('not three parts')
    if (token.indexOf('.', second + 1) !== -1) return not('more than three parts')

    const headerPart = token.slice(0, first)
    if (this.#last?.part !== headerPart) {
      const read = readHeader(headerPart, algorithms)
      if (read.kind === 'not-a-jws') return read
      // Made anew: a slice would keep the whole token in memory.
      this.#last = { part: Array.from(headerPart).join(''), header: read }
    }
    const { algorithm, kid, typ } = this.#last.header

    const signature = token.slice(second + 1)
    if (!isBase64url(signature)) return not('signature: not base64url')
    const claimsText = decodeBase64urlText(token.slice(first + 1, second))
    if (claimsText === undefined) return not('claims: not base64url of UTF-8')
    const claims = readJson(claimsText, maxDepth)
    if (!claims.ok) return not(`claims: ${claims.reason}`)
    if (!isObject(claims.value)) return not('claims: not an object')

    return {
      kind: 'jws',
      algorithm,
      kid,
      typ,
      claims: claims.value,
      depth: claims.depth,
      length: token.length,
      signingInput: token.slice(0, second),
      signature,
    }
  }
}

interface Header {
  readonly kind: 'header'
  readonly algorithm: string
  readonly kid: string | undefined
  readonly typ: string | undefined
}

function readHeader(part: string, algorithms: ReadonlySet<string>): Header | NotAJws {
  const headerText = decodeBase64urlText(part)
  if (headerText === undefined) return not('header: not base64url of UTF-8')
  const header = readJson(headerText, MAX_HEADER_DEPTH)
  if (!header.ok) return not(`header: ${header.reason}`)
  if (!isObject(header.value)) return not('header: not an object')
  for (const name of REFUSED_PARAMETERS) {
    if (Object.hasOwn(header.value, name)) return not(`header: ${name} is not accepted`)
  }
  const { alg: algorithm, kid, typ } = header.value
  if (typeof algorithm !== 'string') return not('header: alg is not a string')
  if (!algorithms.has(algorithm)) return not('header: alg is not allowed')
  if (kid !== undefined && !(typeof kid === 'string' && KID.test(kid))) return not('header: kid is malformed')
  if (typ !== undefined && typeof typ !== 'string') return not('header: typ is not a string')
  return { kind: 'header', algorithm, kid, typ }
}

/**
 * Header parameters whose presence refuses: keys and where to get them (RFC 7515, 4.1.2, 4.1.3, 4.1.5, 4.1.6),
 * extensions (4.1.11; RFC 7797), compression and encryption (RFC 7516, 4.1; RFC 7518, 4.6 to 4.8).
 */
const REFUSED_PARAMETERS = [
  'jwk',
  'jku',
  'x5u',
  'x5c',
  'crit',
  'b64',
  'zip',
  'enc',
  'epk',
  'apu',
  'apv',
  'iv',
  'tag',
  'p2s',
  'p2c',
] as const

/** Deeper headers have no use. */
const MAX_HEADER_DEPTH = 4
const KID = /^[\x20-\x7e]{1,256}$/

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function not(reason: string): NotAJws {
  return { kind: 'not-a-jws', reason }
}
