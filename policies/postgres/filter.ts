import { type Consideration, defineFilter } from '../../model/filter.ts'
import type { RequestView } from '../../model/request.ts'
import { ok } from '../../model/result.ts'
import { CONTINUE } from '../../model/verdict.ts'
import { readWire } from '../read-wire.ts'
import { PostgresConfig, type Rule } from './config.ts'
import { DATABASE_REFUSED, DATABASE_USER_REFUSED, REPLICATION_REFUSED } from './denials.ts'
import { type Judgement, judge } from './judge.ts'

/**
 * Decides which user of a database a caller is, by its identity. A connection whose beginning nobody has read is refused:
 * the database believes whatever name it is told.
 */
export const postgres = defineFilter<PostgresConfig>({
  name: 'postgres',
  denials: [DATABASE_USER_REFUSED, DATABASE_REFUSED, REPLICATION_REFUSED],
  repeatable: true,
  tcp: true,
  http: false,
  opening: 'postgres',
  since: () => 3,
  decode: (wire) => readWire(PostgresConfig, wire),
  compile: (config) =>
    ok((request, facts) => {
      const judged = judge(config, request)
      if (judged.kind === 'denied') {
        const { denial, rule, expected, got } = judged
        return { kind: 'deny', denial, detail: `${got}, not ${expected}`, ...(rule && named(rule)) }
      }
      facts.rule = judged.rule.name
      if (judged.login !== undefined) facts.postgres = judged.login
      return CONTINUE
    }),
  explain(config, request, facts) {
    const judged = judge(config, request)
    if (judged.kind === 'allowed' && judged.login !== undefined) facts.postgres = judged.login
    const considered = config.grants
      .filter((rule) => judged.rule !== rule)
      .map((rule) => ({
        filter: 'postgres',
        ...named(rule),
        outcome: 'not-matched' as const,
        ...differs(rule, request),
      }))
    return [...considered, conclusion(judged)]
  },
})

function conclusion(judged: Judgement): Consideration {
  if (judged.kind === 'allowed') return { filter: 'postgres', ...named(judged.rule), outcome: 'allowed' }
  const { denial, rule, field, expected, got } = judged
  return {
    filter: 'postgres',
    ...(rule && named(rule)),
    outcome: 'denied',
    denial: denial.name,
    field,
    expected,
    got,
    change: changeFor(judged),
  }
}

function changeFor({ field, expected }: Extract<Judgement, { kind: 'denied' }>): string {
  switch (field) {
    case 'from':
      return expected === 'nobody' ? 'map a user for this caller' : `call as ${expected}, or map a user for this caller`
    case 'user':
      return `connect as ${expected}, or let the rule replace the names that clients send`
    case 'databases':
      return `connect to ${expected}, or list this database`
    case 'replication':
      return 'connect without replication'
  }
}

/** The first field of a rule that is not what was asked for. */
function differs(rule: Rule, { peer, postgres: asked }: RequestView): Partial<Consideration> {
  if (peer.spiffeId === undefined || !rule.callers.includes(peer.spiffeId)) {
    return { field: 'from', expected: rule.callers.join(', '), got: peer.spiffeId ?? 'no certificate' }
  }
  if (asked?.kind !== 'session') return {}
  if (rule.user !== asked.user) return { field: 'user', expected: rule.user, got: asked.user }
  return { field: 'databases', expected: rule.databases.join(', '), got: asked.database }
}

function named({ name, origin }: Rule) {
  return { rule: name, origin }
}
