import assert from 'node:assert/strict'
import { until } from '../world/until.ts'
import { REVIEWS_POLICY, readReviews, reviewsPolicy } from './reviews-policy.ts'
import { allowedBy, inboundDecision } from './said.ts'
import type { Scenario } from './scenario.ts'
import { lossesIn } from './under-load.ts'

export const operatorKilled: Scenario = {
  name: 'operator-killed',
  title: 'F02: without an operator everything goes on, and what was written meanwhile lands when one is back',
  needsOwn: true,
  async *run(world) {
    const { gateway, processes, manifests } = world
    const { accessToken: token } = await world.login('alice')
    const window = (await world.load()).window()
    assert.equal((await readReviews(world)).status, 403)
    try {
      await processes.killOperator()
      const since = Date.now()
      await manifests.save(REVIEWS_POLICY, reviewsPolicy({ denied: false }))
      const [catalog, orders, reviews] = await Promise.all([
        gateway.ask({ path: '/api/catalog/products' }),
        gateway.ask({ path: '/api/orders/users/alice/orders', token }),
        readReviews(world),
      ])
      assert.deepEqual([catalog.status, orders.status, reviews.status], [200, 200, 403])
      yield {
        sent: 'kill -9 of the operator; a policy is saved; catalog, orders, reviews are asked for',
        got: '200, 200, 403 as before',
        said: 'every sidecar keeps what it has',
      }
      const start = performance.now()
      await processes.operatorIsBack()
      const backMs = Math.round(performance.now() - start)
      await until('the policy of meanwhile is in force', async () => (await readReviews(world)).status === 200)
      const tookMs = Math.round(performance.now() - start)
      yield {
        sent: `an operator is back after ${backMs} ms; reviews are asked for`,
        got: `200 after ${tookMs} ms`,
        said: await allowedBy(world, await inboundDecision(world, since, { workload: 'shop/reviews', status: 200 })),
      }
    } finally {
      await processes.operatorIsBack()
      await manifests.remove(REVIEWS_POLICY)
    }
    await until('reviews are closed again', async () => (await readReviews(world)).status === 403)
    yield { sent: 'meanwhile, under load', got: await lossesIn(window) }
  },
}
