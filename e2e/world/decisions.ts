import type { Decision } from '../../cli/dev/decision.ts'
import { until } from './until.ts'

/** What all sidecars and gateways decided, as it comes in. */
export interface DecisionBook {
  add(decision: Decision): void
  /** The first decision after `since` (milliseconds since the epoch) that matches; waits for it. */
  find(what: string, since: number, matches: (decision: Decision) => boolean): Promise<Decision>
  /** Those after `since` that match, so far. */
  all(since: number, matches: (decision: Decision) => boolean): readonly Decision[]
  byId(id: string): Promise<Decision>
}

/** Decisions remembered at once; the oldest are forgotten first. */
const MAX_REMEMBERED = 50_000

/** A decision is logged when its request is over; a line takes a moment from there to here. */
const WAIT = { withinMs: 30_000, everyMs: 10 }

export function createDecisionBook(): DecisionBook {
  let decisions: Decision[] = []
  const all: DecisionBook['all'] = (since, matches) =>
    decisions.filter((decision) => decision.timeMs >= since && matches(decision))
  return {
    add(decision) {
      decisions.push(decision)
      if (decisions.length > MAX_REMEMBERED) decisions = decisions.slice(-MAX_REMEMBERED / 2)
    },
    all,
    find: (what, since, matches) => until(`a decision in the log: ${what}`, () => all(since, matches)[0], WAIT),
    byId: (id) => until(`decision ${id} in the log`, () => decisions.find((decision) => decision.id === id), WAIT),
  }
}
