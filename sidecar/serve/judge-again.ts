import type { Facts, PostgresLogin, RequestView } from '../../model/request.ts'
import { DATABASE_USER_REFUSED } from '../../policies/postgres/denials.ts'
import { type Decision, decide } from '../compile/decide.ts'
import type { Chain, Step } from '../compile/pipeline.ts'
import type { Refusal } from './observation.ts'
import { refusalBy } from './refusal.ts'
import type { HttpRequestView } from './request-view.ts'

type Judgement = Refusal | undefined | Promise<Refusal | undefined>

/**
 * Whether a request that was let through by `before` would still be by `now`. What did not change has judged already: the
 * first step that is not what it was is asked, and all behind it, which see what it finds out.
 */
export function judgeRequestAgain(before: Chain, now: Chain, view: HttpRequestView, facts: Facts): Judgement {
  return refusalIn(decide({ enforced: stepsChanged(before, now) }, view, facts))
}

/** Whether a connection that was let through would still be by `chain`; a session in a database, as who it is there. */
export function judgeConnectionAgain(chain: Chain, view: RequestView): Judgement {
  const facts: Facts = {}
  const refused = refusalIn(decide({ enforced: repeatable(chain) }, view, facts))
  const { postgres } = view
  if (postgres?.kind !== 'session') return refused
  return refused instanceof Promise
    ? refused.then((refusal) => refusal ?? replaced(postgres, facts))
    : (refused ?? replaced(postgres, facts))
}

/** Who would be somebody else by now cannot become that on an open connection. */
function replaced({ user, database }: PostgresLogin, { postgres: now, rule }: Facts): Refusal | undefined {
  if (now === undefined || (now.user === user && now.database === database)) return undefined
  const detail = `${user} in ${database}, not ${now.user} in ${now.database}`
  return { denial: DATABASE_USER_REFUSED.name, filter: 'postgres', rule, origins: [], detail }
}

function stepsChanged(before: Chain, now: Chain): readonly Step[] {
  const known = repeatable(before)
  const steps = repeatable(now)
  const first = steps.findIndex(({ check }, index) => check !== known[index]?.check)
  return first === -1 ? [] : steps.slice(first)
}

/** What counts requests or connections has counted this one. */
function repeatable({ enforced }: Chain): readonly Step[] {
  return enforced.filter(({ filter }) => filter.repeatable)
}

function refusalIn(decided: Decision | Promise<Decision>): Judgement {
  if ('then' in decided) return decided.then(refusalIn)
  const { verdict, step } = decided
  return verdict.kind === 'deny' ? refusalBy(verdict, step) : undefined
}
