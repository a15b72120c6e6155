import type { PostgresLogin, PostgresOpening, RequestView } from '../../model/request.ts'
import type { Denial } from '../../model/verdict.ts'
import type { PostgresConfig, Rule } from './config.ts'
import { DATABASE_REFUSED, DATABASE_USER_REFUSED, REPLICATION_REFUSED } from './denials.ts'

/** What becomes of a connection, and why. */
export type Judgement =
  | { readonly kind: 'allowed'; readonly rule: Rule; readonly login: PostgresLogin | undefined }
  | {
      readonly kind: 'denied'
      readonly denial: Denial
      /** The rule that was nearest, where one was. */
      readonly rule: Rule | undefined
      readonly field: 'from' | 'user' | 'databases' | 'replication'
      readonly expected: string
      readonly got: string
    }

/**
 * The user follows from the caller. Of the rules that are about it, one that says what the client asks for counts; else the
 * first that replaces what clients ask for. What came of it has to be what a rule of each floor says, too.
 */
export function judge({ grants, limits }: PostgresConfig, { peer, postgres }: RequestView): Judgement {
  const own = grants.filter(isAbout(peer.spiffeId))
  const [first] = own
  if (first === undefined) return notMapped(peer.spiffeId, grants)
  if (postgres === undefined) {
    return denied(DATABASE_USER_REFUSED, first, 'user', wordsFor(own), 'nobody has read which user was asked for')
  }
  for (const limit of limits) {
    if (!limit.some(isAbout(peer.spiffeId))) return notMapped(peer.spiffeId, limit)
  }
  if (postgres.kind === 'cancel') return { kind: 'allowed', rule: first, login: undefined }
  if (postgres.isReplication) {
    return denied(REPLICATION_REFUSED, undefined, 'replication', 'a session of its own', 'replication')
  }
  const found = own.find(fits(postgres)) ?? own.find(({ otherNames }) => otherNames === 'replace')
  if (found === undefined) return notGranted(own, postgres)
  const login = loginBy(found, postgres)
  for (const limit of limits) {
    const mine = limit.filter(isAbout(peer.spiffeId))
    if (!mine.some(fits(login))) return notGranted(mine, login)
  }
  return { kind: 'allowed', rule: found, login }
}

function loginBy(
  { user, databases }: Rule,
  asked: Extract<PostgresOpening, { readonly kind: 'session' }>,
): PostgresLogin {
  return { user, database: databases.includes(asked.database) ? asked.database : databases[0]! }
}

function isAbout(caller: string | undefined): (rule: Rule) => boolean {
  return ({ callers }) => caller !== undefined && callers.includes(caller)
}

function fits({ user, database }: PostgresLogin): (rule: Rule) => boolean {
  return (rule) => rule.user === user && rule.databases.includes(database)
}

function notMapped(caller: string | undefined, rules: readonly Rule[]): Judgement {
  const callers = [...new Set(rules.flatMap((rule) => rule.callers))]
  return denied(DATABASE_USER_REFUSED, undefined, 'from', listed(callers), caller ?? 'no certificate')
}

function notGranted(own: readonly Rule[], { user, database }: PostgresLogin): Judgement {
  const ofUser = own.filter((rule) => rule.user === user)
  const [nearest] = ofUser
  if (nearest === undefined) return denied(DATABASE_USER_REFUSED, own[0], 'user', wordsFor(own), user)
  const databases = ofUser.flatMap((rule) => rule.databases)
  return denied(DATABASE_REFUSED, nearest, 'databases', listed(databases), database)
}

function wordsFor(rules: readonly Rule[]): string {
  return listed(rules.map(({ user }) => user))
}

/** Names that are told in one line at most. */
const MAX_LISTED = 8

function listed(names: readonly string[]): string {
  const all = [...new Set(names)]
  if (all.length === 0) return 'nobody'
  const more = all.length > MAX_LISTED ? ` and ${all.length - MAX_LISTED} more` : ''
  return `${all.slice(0, MAX_LISTED).join(', ')}${more}`
}

function denied(
  denial: Denial,
  rule: Rule | undefined,
  field: Extract<Judgement, { kind: 'denied' }>['field'],
  expected: string,
  got: string,
): Judgement {
  return { kind: 'denied', denial, rule, field, expected, got }
}
