import { formatIpAddress, readIpAddress } from '../../model/match/ip-address.ts'
import { parseJsonPointer } from '../../model/match/json-pointer.ts'
import type { Facts, RequestView, VerifiedToken } from '../../model/request.ts'
import { fail, type Issue, ok, type Result, under } from '../../model/result.ts'
import type { KeyPart } from './config.ts'

/** Whose bucket a request is counted in. */
export type ClientKey = (request: RequestView, facts: Facts, variables: Variables) => string

export type Variables = Readonly<Record<string, string>>

/** Characters of a value that are kept as they are; of a longer one its hash. Bounds what a hundred thousand keys weigh. */
const MAX_PLAIN_LENGTH = 64

/**
 * Values are normalised, so that no spelling of a name has a bucket of its own (T27): addresses to one spelling and IPv6 to
 * its /64, headers and path variables to lower case.
 *
 * Where a part is not there (no token, no such header, one that was sent twice), the client is counted by its identity and
 * address instead: leaving something out never makes anybody unlimited.
 */
export function compileClientKey(parts: readonly KeyPart[], sha256: (text: string) => string): Result<ClientKey> {
  const issues: Issue[] = []
  const readers: PartReader[] = []
  for (const [i, part] of parts.entries()) {
    const reader = readerOf(part)
    if (reader.ok) readers.push(reader.value)
    else issues.push(...reader.issues.map((found) => under(`[${i}]`, found)))
  }
  if (issues.length > 0) return fail(...issues)
  const bounded = (value: string) => (value.length > MAX_PLAIN_LENGTH ? `#${sha256(value)}` : `=${value}`)

  const keyOf: ClientKey = (request, facts, variables) => {
    let key = ''
    for (const read of readers) {
      const value = read(request, facts, variables)
      if (value === undefined) return `${WITHOUT_CLAIM}${bounded(request.peer.spiffeId ?? '')} ${addressOf(request)}`
      const part = bounded(value)
      // The length in front keeps apart what a separator could not: values may hold anything.
      key += `${part.length}${part}`
    }
    return key
  }
  return ok(parts.length > 0 && parts.every(({ kind }) => kind === 'claim') ? rememberedByToken(keyOf) : keyOf)
}

/** What is made of nothing but claims is the same for each request with the same token: it is made once. */
function rememberedByToken(keyOf: ClientKey): ClientKey {
  const known = new WeakMap<VerifiedToken, string>()
  return (request, facts, variables) => {
    const { token } = facts
    const before = token === undefined ? undefined : known.get(token)
    if (before !== undefined) return before
    const key = keyOf(request, facts, variables)
    // A key of identity and address is of the request.
    if (token !== undefined && !key.startsWith(WITHOUT_CLAIM)) known.set(token, key)
    return key
  }
}

/** What a key starts with where a part is not there; lengths come before the others. */
const WITHOUT_CLAIM = '?'

type PartReader = (request: RequestView, facts: Facts, variables: Variables) => string | undefined

function readerOf(part: KeyPart): Result<PartReader> {
  switch (part.kind) {
    case 'service-account':
      return ok(({ peer }) => peer.spiffeId)
    case 'ip':
      return ok(addressOf)
    case 'client':
      return ok((_, { client }) => client?.id)
    case 'claim': {
      const pointer = parseJsonPointer(part.claim)
      if (!pointer.ok) return pointer
      return ok((_, { token }) => (token === undefined ? undefined : claimText(pointer.value.read(token.claims))))
    }
    case 'header':
      return ok((request) => {
        const [value, ...others] = request.headers(part.name)
        return value === undefined || others.length > 0 ? undefined : normalised(value)
      })
    case 'path':
      return ok((_, __, variables) => {
        const value = variables[part.variable]
        return value === undefined ? undefined : normalised(value)
      })
  }
}

function normalised(value: string): string {
  return value.trim().toLowerCase()
}

/** A number and the string of its digits are two clients, and so are lists that differ in order. */
function claimText(value: unknown): string | undefined {
  return value === undefined || value === null ? undefined : JSON.stringify(value)
}

/** One spelling for each IPv4 address and each /64 of IPv6, which is what one customer gets (RFC 6177). */
function addressOf({ clientIp }: RequestView): string {
  const address = readIpAddress(clientIp)
  if (address === undefined) return 'unreadable'
  return address.version === 4 ? formatIpAddress(address) : `${address.words[0]}:${address.words[1]}`
}
