import { parseHostnamePattern } from '../hostname.ts'
import { ok, type Result } from '../result.ts'

/** A host as a policy names it. */
export interface HostPattern {
  /** In lower case. */
  readonly text: string
  /** `host` in lower case, without port and trailing dot. */
  matches(host: string): boolean
}

/** `shop.example` matches itself; `*.shop.example` one label or more before `.shop.example`, and never that name itself (Gateway API). */
export function parseHostPattern(text: string): Result<HostPattern> {
  const parsed = parseHostnamePattern(text)
  if (!parsed.ok) return parsed
  const pattern: string = parsed.value
  if (!pattern.startsWith('*.')) return ok({ text: pattern, matches: (host) => host === pattern })
  const suffix = pattern.slice(1)
  return ok({ text: pattern, matches: (host) => host.length > suffix.length && host.endsWith(suffix) })
}
