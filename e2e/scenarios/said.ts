import assert from 'node:assert/strict'
import type { Decision } from '../../cli/dev/decision.ts'
import { type Answer, problemOf } from '../world/answer.ts'
import type { World } from '../world/world.ts'

/** The decision behind a refusal, by the id that its client was told. */
export async function decisionOf(world: World, answer: Answer): Promise<Decision> {
  const problem = problemOf(answer)
  assert.ok(problem, `not a refusal of the mesh: ${answer.status} ${answer.body.slice(0, 200)}`)
  const decision = await world.decisions.byId(problem.decisionId)
  assert.equal(decision.denial, problem.denial)
  return decision
}

/** Who refused, and by what: `shop/orders: not-allowed (shop/orders@1)`. */
export function refusedBy({ workload, denial, rule, policies }: Decision): string {
  const by = policies.length === 0 ? '' : ` (${policies.join(', ')})`
  return `${workload}: ${denial}${rule === undefined ? '' : ` ${rule}`}${by}`
}

/** Who allowed, and by what: `shop/orders: own-orders (shop/orders@1)`. */
export async function allowedBy(world: World, { workload, rule }: Decision): Promise<string> {
  assert.ok(rule, 'the decision names the rule that allowed it')
  return `${workload}: ${rule} (${await world.originOf(workload, rule)})`
}

/** The decision of a workload's sidecar about a request that came to it after `since`. */
export function inboundDecision(
  world: World,
  since: number,
  wanted: Partial<Pick<Decision, 'workload' | 'method' | 'path' | 'subject' | 'caller' | 'status'>>,
): Promise<Decision> {
  const fields = Object.entries(wanted) as [keyof Decision, unknown][]
  return world.decisions.find(
    JSON.stringify(wanted),
    since,
    (decision) => decision.direction === 'inbound' && fields.every(([field, value]) => decision[field] === value),
  )
}
