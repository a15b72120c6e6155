import { FOLDED_TOKEN, foldedOctet, foldName, foldsTo, hashOfName } from './octets.ts'

/** A set of header names, made once when config arrives, asked for each line of each message. */
export interface HeaderFilter {
  /** Whether the name in `bytes[start, end)` is in the set in any spelling: any case, `_` for `-`. `hash` is the name's own. */
  matches(hash: number, bytes: Uint8Array, start: number, end: number): boolean
  matchesName(name: string): boolean
}

export interface HeaderFilterSource {
  readonly names?: Iterable<string>
  /** Such as `x-forwarded-`. */
  readonly prefixes?: Iterable<string>
}

/** The union of the sources. */
export function compileHeaderFilter(...sources: readonly HeaderFilterSource[]): HeaderFilter {
  return new HashedNames(
    new Set(sources.flatMap(({ names = [] }) => [...names].map(foldName))),
    new Set(sources.flatMap(({ prefixes = [] }) => [...prefixes].map(foldName))),
  )
}

/**
 * What concerns one connection only (RFC 9110, 7.6.1; RFC 9113, 3.1) and what we generate ourselves: never passed on.
 * The names that `Connection` lists come on top of it, message by message.
 */
export const HOP_BY_HOP = Object.freeze({
  names: [
    'connection',
    'content-length',
    'http2-settings',
    'keep-alive',
    'proxy-authenticate',
    'proxy-authentication-info',
    'proxy-authorization',
    'proxy-connection',
    'te',
    'trailer',
    'transfer-encoding',
    'upgrade',
  ],
})

/**
 * What decides who is asking, for what, and where the message ends. `Connection` may not name these, a spelling with `_`
 * is refused, and trailers may not hold those among them that we do not strip.
 */
export const PROTECTED = Object.freeze({
  names: [
    'access-control-request-method',
    'authorization',
    'content-encoding',
    'content-length',
    'content-range',
    'content-type',
    'cookie',
    'expect',
    'forwarded',
    'host',
    'location',
    'origin',
    'proxy-authorization',
    'range',
    'set-cookie',
    'traceparent',
    'tracestate',
    'transfer-encoding',
    'true-client-ip',
    'txn-token',
    'via',
    'www-authenticate',
    'x-api-key',
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
  prefixes: ['x-forwarded-', 'x-hauberk-', 'hauberk-', 'sec-'],
})

/**
 * {@link PROTECTED}, and what somebody relies on beyond it. Made once for each `trusted`, by its identity, and not for each
 * connection: it takes 17 to 39 us and 1.5 KB.
 */
export function protectedNames(trusted: HeaderFilterSource = NOTHING_MORE): HeaderFilter {
  let filter = protectedBy.get(trusted)
  if (filter === undefined) {
    filter = compileHeaderFilter(PROTECTED, trusted)
    protectedBy.set(trusted, filter)
  }
  return filter
}

const NOTHING_MORE: HeaderFilterSource = Object.freeze({})
const protectedBy = new WeakMap<HeaderFilterSource, HeaderFilter>()

class HashedNames implements HeaderFilter {
  readonly #names: readonly string[]
  readonly #prefixes: readonly string[]
  /** By hash, one more than the index into `#names`; 0 is free. At most half full, so that probing is short. */
  readonly #slots: Uint16Array
  readonly #hashes: Int32Array
  readonly #mask: number

  constructor(names: ReadonlySet<string>, prefixes: ReadonlySet<string>) {
    this.#names = [...names]
    this.#prefixes = [...prefixes]
    let size = 16
    while (size < this.#names.length * 2) size *= 2
    this.#mask = size - 1
    this.#slots = new Uint16Array(size)
    this.#hashes = new Int32Array(size)
    for (const [index, name] of this.#names.entries()) {
      const hash = hashOfName(name)
      let slot = hash & this.#mask
      while (this.#slots[slot] !== 0) slot = (slot + 1) & this.#mask
      this.#slots[slot] = index + 1
      this.#hashes[slot] = hash
    }
  }

  matches(hash: number, bytes: Uint8Array, start: number, end: number): boolean {
    for (let slot = hash & this.#mask; this.#slots[slot] !== 0; slot = (slot + 1) & this.#mask) {
      if (this.#hashes[slot] !== hash) continue
      if (foldsTo(bytes, start, end, this.#names[this.#slots[slot]! - 1]!)) return true
    }
    const prefixes = this.#prefixes
    const first = FOLDED_TOKEN[bytes[start]!]!
    for (let index = 0; index < prefixes.length; index++) {
      const prefix = prefixes[index]!
      if (prefix.charCodeAt(0) !== first || end - start < prefix.length) continue
      if (foldsTo(bytes, start, start + prefix.length, prefix)) return true
    }
    return false
  }

  matchesName(name: string): boolean {
    const hash = hashOfName(name)
    for (let slot = hash & this.#mask; this.#slots[slot] !== 0; slot = (slot + 1) & this.#mask) {
      const candidate = this.#names[this.#slots[slot]! - 1]!
      if (candidate.length === name.length && foldsToPrefix(name, candidate)) return true
    }
    for (const prefix of this.#prefixes) if (foldsToPrefix(name, prefix)) return true
    return false
  }
}

/** Whether `name` starts, in its folded form, with `folded`. */
function foldsToPrefix(name: string, folded: string): boolean {
  if (name.length < folded.length) return false
  for (let at = 0; at < folded.length; at++) {
    if (foldedOctet(name.charCodeAt(at)) !== folded.charCodeAt(at)) return false
  }
  return true
}
