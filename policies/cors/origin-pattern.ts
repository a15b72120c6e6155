import { parseHostPattern } from '../../model/match/host.ts'
import { fail, issue, ok, type Result } from '../../model/result.ts'

/** Which origins (RFC 6454, 6.2) a policy names. */
export interface OriginPattern {
  /** True for `*`. */
  readonly isAny: boolean
  matches(origin: string): boolean
}

const WRITTEN =
  /^([a-z][a-z0-9+.-]*):\/\/((?:\*\.)?[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:]+\])(?::([1-9][0-9]{0,4}))?$/
const DEFAULT_PORTS: Readonly<Record<string, string>> = { http: '80', https: '443' }

/**
 * `https://shop.example:8443`, with `*.` before the host for one label or more, or `*` for every origin. Compared as
 * browsers write origins: lower case, the scheme's own port left out. `null`, which every sandboxed page has, is no
 * origin and only `*` matches it.
 */
export function parseOriginPattern(text: string): Result<OriginPattern> {
  if (text === '*') return ok({ isAny: true, matches: () => true })
  const [, scheme, host, port] = WRITTEN.exec(text) ?? []
  if (scheme === undefined || host === undefined) return malformed('is not an origin')
  if (port !== undefined && port === DEFAULT_PORTS[scheme]) {
    return malformed(`names the port that ${scheme} has anyway, which browsers leave out`, `write ${scheme}://${host}`)
  }
  const before = `${scheme}://`
  const after = port === undefined ? '' : `:${port}`
  // An address or `localhost` is a host too, but no pattern.
  if (!host.startsWith('*.')) return ok({ isAny: false, matches: (origin) => origin === text })
  const pattern = parseHostPattern(host)
  if (!pattern.ok) return malformed(`has a host that ${pattern.issues[0]?.message}`)
  return ok({
    isAny: false,
    matches: (origin) =>
      origin.startsWith(before) &&
      origin.endsWith(after) &&
      isHost(origin.slice(before.length, origin.length - after.length)) &&
      pattern.value.matches(origin.slice(before.length, origin.length - after.length)),
  })
}

/** Nothing of a port, a path or user information may hide in what stands for the wildcard. */
function isHost(text: string): boolean {
  return /^[a-z0-9.-]+$/.test(text)
}

function malformed(what: string, fix = 'write https://shop.example, https://*.shop.example or *') {
  return fail(issue('malformed-origin', '', what, fix))
}
