import { fail, issue, ok, type Result } from './result.ts'

/**
 * The name of a host: RFC 1123, section 2.1, in lower case, at most 253 characters, no trailing dot.
 *
 * An IPv4 address satisfies that grammar but names no host, so it is none here (as in Gateway API).
 */
export type Hostname = string & { readonly [hostnameBrand]: true }

/** A {@link Hostname}, or `*.` before one: any single or several labels in its place, as in Gateway API. */
export type HostnamePattern = string & { readonly [hostnamePatternBrand]: true }

declare const hostnameBrand: unique symbol
declare const hostnamePatternBrand: unique symbol

const MAX_HOSTNAME_LENGTH = 253
const HOSTNAME = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)*$/
const NUMERIC_LAST_LABEL = /(?:^|\.)[0-9]+$/
const UPPER_CASE = /[A-Z]/g

export function parseHostname(text: string): Result<Hostname> {
  if (text.length > MAX_HOSTNAME_LENGTH) return malformed(`is longer than ${MAX_HOSTNAME_LENGTH} characters`)
  const lowered = text.replace(UPPER_CASE, asciiLower)
  if (!HOSTNAME.test(lowered)) return malformed('is not an RFC 1123 host name')
  if (NUMERIC_LAST_LABEL.test(lowered)) return malformed('is an address, not a host name')
  return ok(lowered as Hostname)
}

export function parseHostnamePattern(text: string): Result<HostnamePattern> {
  const wildcard = text.startsWith('*.')
  const hostname = parseHostname(wildcard ? text.slice(2) : text)
  if (!hostname.ok) return hostname
  const pattern = wildcard ? `*.${hostname.value}` : hostname.value
  if (pattern.length > MAX_HOSTNAME_LENGTH) return malformed(`is longer than ${MAX_HOSTNAME_LENGTH} characters`)
  return ok(pattern as string as HostnamePattern)
}

export function isWildcard(pattern: HostnamePattern): boolean {
  return pattern.startsWith('*.')
}

/** Not `toLowerCase`: that also turns U+212A (Kelvin sign) into `k`, and a look-alike into the name it looks like. */
function asciiLower(letter: string): string {
  return letter.toLowerCase()
}

function malformed(what: string) {
  return fail(
    issue('malformed-hostname', '', what, 'use letters, digits and - in labels of at most 63, such as shop.example'),
  )
}
