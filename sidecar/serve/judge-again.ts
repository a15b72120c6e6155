import type { Facts } from '../../model/request.ts'
import { type Decision, decide } from '../compile/decide.ts'
import type { Chain, Step } from '../compile/pipeline.ts'
import type { Refusal } from './observation.ts'
import { refusalBy } from './refusal.ts'
import type { HttpRequestView } from './request-view.ts'

/**
 * Whether a request that was let through by `before` would still be by `now`. What did not change has judged already: the
 * first step that is not what it was is asked, and all behind it, which see what it finds out. What counts requests has
 * counted.
 */
export function judgeAgain(
  before: Chain,
  now: Chain,
  view: HttpRequestView,
  facts: Facts,
): Refusal | undefined | Promise<Refusal | undefined> {
  const decided = decide({ enforced: stepsChanged(before, now) }, view, facts)
  return 'then' in decided ? decided.then(refusalIn) : refusalIn(decided)
}

function stepsChanged(before: Chain, now: Chain): readonly Step[] {
  const known = before.enforced.filter(({ filter }) => filter.repeatable)
  const steps = now.enforced.filter(({ filter }) => filter.repeatable)
  const first = steps.findIndex(({ check }, index) => check !== known[index]?.check)
  return first === -1 ? [] : steps.slice(first)
}

function refusalIn({ verdict, step }: Decision): Refusal | undefined {
  return verdict.kind === 'deny' ? refusalBy(verdict, step) : undefined
}
