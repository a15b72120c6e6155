import assert from 'node:assert/strict'
import { decisionOf, refusedBy } from './said.ts'
import type { Scenario } from './scenario.ts'

export const otherPeoplesOrders: Scenario = {
  name: 'other-peoples-orders',
  title: 'T17: nobody sees another person’s orders, however the path is spelt',
  async *run(world) {
    const { accessToken } = await world.login('alice')
    for (const path of [
      '/api/orders/users/bob/orders',
      '/api/orders/users/alice/../bob/orders',
      '/api/orders/users/%62ob/orders',
    ]) {
      const answer = await world.gateway.ask({ path, token: accessToken })
      assert.equal(answer.status, 403, `${path}: ${answer.status} ${answer.body}`)
      const decision = await decisionOf(world, answer)
      assert.equal(decision.denial, 'not-allowed')
      assert.equal(decision.path, '/users/bob/orders')
      assert.equal(decision.subject, 'alice')
      const { change = '' } = await world.explain(decision)
      assert.match(change, /own-orders/)
      yield { sent: `GET ${path} as alice`, got: '403', said: `${refusedBy(decision)}; nearest: ${change}` }
    }
  },
}
