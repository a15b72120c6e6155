import assert from 'node:assert/strict'
import { sumOf } from '../world/metrics.ts'
import { until } from '../world/until.ts'
import { inboundDecision } from './said.ts'
import type { Scenario } from './scenario.ts'

const WORKLOAD = 'shop/catalog'
const RULE = 'public-api-closes'

export const dryRun: Scenario = {
  name: 'dry-run',
  title: 'a dry run counts whom it would refuse, and refuses nobody',
  async *run(world) {
    const counted = async () =>
      sumOf(await world.metrics(WORKLOAD), 'hauberk_dry_run_denials_total', {
        rule: RULE,
        policy: 'shop/catalog-without-public-api@*',
      })
    const before = await counted()
    const since = Date.now()
    const answer = await world.gateway.ask({ path: '/api/catalog/products' })
    assert.equal(answer.status, 200, answer.body)
    const { wouldDeny: would } = await inboundDecision(world, since, {
      workload: WORKLOAD,
      path: '/products',
      status: 200,
    })
    assert.equal(would?.rule, RULE)
    const after = await until('it is counted', async () => {
      const now = await counted()
      return now > before ? now : undefined
    })
    yield {
      sent: 'GET /api/catalog/products, which a policy in DryRun would deny',
      got: `200, and hauberk_dry_run_denials_total ${before} -> ${after}`,
      said: `${WORKLOAD}: would be ${would?.denial} by ${RULE} (${would?.policies.join(', ')})`,
    }
  },
}
