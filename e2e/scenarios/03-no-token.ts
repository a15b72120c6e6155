import assert from 'node:assert/strict'
import { headerOf } from '../world/answer.ts'
import { decisionOf, refusedBy } from './said.ts'
import type { Scenario } from './scenario.ts'

export const noToken: Scenario = {
  name: 'no-token',
  title: 'orders want a token',
  async *run(world) {
    const answer = await world.gateway.ask({ path: '/api/orders/users/alice/orders' })
    assert.equal(answer.status, 401)
    const challenge = headerOf(answer, 'www-authenticate')
    assert.equal(challenge, 'Bearer', 'nothing was wrong with a token, so no error is named (RFC 6750, 3)')
    const decision = await decisionOf(world, answer)
    assert.equal(decision.denial, 'token-missing')
    assert.equal(decision.workload, 'shop/orders')
    yield {
      sent: 'GET /api/orders/users/alice/orders, no token',
      got: `401, WWW-Authenticate: ${challenge}`,
      said: refusedBy(decision),
    }
  },
}
