import { type JsonPointer, parseJsonPointer } from '../../model/match/json-pointer.ts'
import type { Facts, VerifiedToken } from '../../model/request.ts'
import { fail, type Issue, ok, type Result, under } from '../../model/result.ts'
import type { HeaderPair } from '../../model/verdict.ts'
import type { ClaimHeader } from './config.ts'

/** Characters of a header made of a claim at most; a longer one is left out. */
const MAX_VALUE_LENGTH = 2_048

/** Tells the upstream what is in a verified token, in headers that nobody else can have set. */
export interface ClaimHeaders {
  /** Removes what the client sent under these names, and sets what `token` holds; without a token it only removes. */
  apply(facts: Facts, token: VerifiedToken | undefined): void
}

export function compileClaimHeaders(entries: readonly ClaimHeader[]): Result<ClaimHeaders> {
  const issues: Issue[] = []
  const claims: { readonly header: string; readonly pointer: JsonPointer }[] = []
  for (const [i, { claim, header }] of entries.entries()) {
    const pointer = parseJsonPointer(claim)
    if (pointer.ok) claims.push({ header, pointer: pointer.value })
    else issues.push(...pointer.issues.map((found) => under(`claimHeaders[${i}].claim`, found)))
  }
  if (issues.length > 0) return fail(...issues)

  const names = claims.map(({ header }) => header)
  const known = new WeakMap<VerifiedToken, readonly HeaderPair[]>()
  const pairsOf = (token: VerifiedToken): readonly HeaderPair[] => {
    let pairs = known.get(token)
    if (pairs === undefined) {
      pairs = claims.flatMap(({ header, pointer }): HeaderPair[] => {
        const value = headerValueOf(pointer.read(token.claims))
        return value === undefined ? [] : [[header, value]]
      })
      known.set(token, pairs)
    }
    return pairs
  }

  return ok({
    apply(facts, token) {
      if (names.length === 0) return
      facts.removeRequestHeaders = [...(facts.removeRequestHeaders ?? []), ...names]
      if (token === undefined) return
      facts.setRequestHeaders = [...(facts.setRequestHeaders ?? []), ...pairsOf(token)]
    },
  })
}

/**
 * A claim as a header value: a string as it is, a number or boolean as JSON writes it, a list of them joined by commas.
 *
 * Undefined, and then there is no header at all, for whatever could be read as something else: objects and null, text
 * with a control character or one that latin1 does not have, outer spaces (they would get lost on the way), a list with a
 * comma or nothing in one of its items, and values that are too long.
 */
export function headerValueOf(claim: unknown): string | undefined {
  const value = Array.isArray(claim) ? joined(claim) : scalar(claim)
  return value !== undefined && value.length <= MAX_VALUE_LENGTH && FIELD_VALUE.test(value) ? value : undefined
}

function joined(items: readonly unknown[]): string | undefined {
  const values: string[] = []
  for (const item of items) {
    const value = scalar(item)
    if (value === undefined || !LIST_ITEM.test(value)) return undefined
    values.push(value)
  }
  return values.length === 0 ? undefined : values.join(',')
}

function scalar(value: unknown): string | undefined {
  switch (typeof value) {
    case 'string':
      return value
    case 'number':
    case 'boolean':
      return String(value)
    default:
      return undefined
  }
}

/** RFC 9110, 5.5: visible characters and obs-text, spaces inside. No tab, and none of latin1's own control characters. */
const FIELD_VALUE = /^(?:[\x21-\x7e\xa1-\xff](?:[\x20-\x7e\xa0-\xff]*[\x21-\x7e\xa1-\xff])?)?$/
const LIST_ITEM = /^[^\s,](?:[^,]*[^\s,])?$/

/** Names whose meaning belongs to HTTP, to the mesh, or to another part of a policy. */
const RESERVED: ReadonlySet<string> = new Set([
  'authorization',
  'connection',
  'content-encoding',
  'content-length',
  'content-range',
  'content-type',
  'cookie',
  'expect',
  'forwarded',
  'host',
  'keep-alive',
  'origin',
  'range',
  'te',
  'traceparent',
  'tracestate',
  'trailer',
  'transfer-encoding',
  'true-client-ip',
  'upgrade',
  'via',
  'x-real-ip',
  'x-request-id',
])
const RESERVED_PREFIXES = ['hauberk-', 'proxy-', 'sec-', 'x-forwarded-', 'x-hauberk-']

/** Whether a claim may travel under this name; `header` in lower case. */
export function mayCarryClaims(header: string): boolean {
  return !RESERVED.has(header) && !RESERVED_PREFIXES.some((prefix) => header.startsWith(prefix))
}
