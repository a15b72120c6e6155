import type { Session } from '../../contract/traffic.ts'
import type { HeaderPair } from '../../model/verdict.ts'
import type { HeaderLines } from './http1/header-lines.ts'

/** Cookies that are looked through for a session; who sends more has none. */
const MAX_COOKIES = 100

/** Milliseconds that a session may seem to come from the future: clocks of replicas differ. */
const SKEW_MS = 60_000

/** What a session is told: which endpoint it is with, and since when where that counts. */
const SHAPE = /^([A-Za-z0-9_-]{22})(?:\.([0-9a-z]{1,12}))?$/

/** The endpoint (by its token) that a request wants to stay with; undefined: it has no session, or none any more. */
export function sessionOf(session: Session, headers: HeaderLines, nowMs: number): string | undefined {
  const said = session.by === 'header' ? headers.get(session.name) : cookieOf(headers, session.name)
  const [, token, since = ''] = (said === undefined ? undefined : SHAPE.exec(said)) ?? []
  if (token === undefined || session.absoluteTimeoutMs === undefined) return token
  const sinceMs = Number.parseInt(since, 36) * 1_000
  const isCurrent = nowMs - sinceMs < session.absoluteTimeoutMs && sinceMs <= nowMs + SKEW_MS
  return isCurrent ? token : undefined
}

/** The header that tells a client which endpoint it is with from now on. */
export function sessionHeader(session: Session, token: string, isSecure: boolean, nowMs: number): HeaderPair {
  const { by, name, absoluteTimeoutMs, isPermanent } = session
  const value = absoluteTimeoutMs === undefined ? token : `${token}.${Math.floor(nowMs / 1_000).toString(36)}`
  if (by === 'header') return [name, value]
  const lifetime = isPermanent ? `; Max-Age=${Math.ceil((absoluteTimeoutMs ?? 0) / 1_000)}` : ''
  return ['set-cookie', `${name}=${value}; Path=/; HttpOnly${isSecure ? '; Secure' : ''}${lifetime}`]
}

/** The first cookie of a name (RFC 6265, 5.4). */
export function cookieOf(headers: HeaderLines, name: string): string | undefined {
  for (const line of headers.all('cookie')) {
    for (const pair of line.split(';', MAX_COOKIES)) {
      const at = pair.indexOf('=')
      if (at !== -1 && pair.slice(0, at).trim() === name) return pair.slice(at + 1).trim()
    }
  }
  return undefined
}
