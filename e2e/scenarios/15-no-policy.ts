import assert from 'node:assert/strict'
import { decisionOf, refusedBy } from './said.ts'
import type { Scenario } from './scenario.ts'

export const noPolicy: Scenario = {
  name: 'no-policy',
  title: 'a workload that nobody wrote a policy for is closed',
  async *run(world) {
    const { accessToken: token } = await world.login('alice')
    const path = '/api/reviews/products/hauberk/reviews'
    const answer = await world.gateway.ask({ path, token })
    assert.equal(answer.status, 403, answer.body)
    const decision = await decisionOf(world, answer)
    assert.equal(decision.denial, 'no-policy')
    assert.equal(decision.workload, 'shop/reviews')
    yield { sent: `GET ${path} as alice`, got: '403', said: refusedBy(decision) }
  },
}
