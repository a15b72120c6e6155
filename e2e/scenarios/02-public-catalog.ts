import assert from 'node:assert/strict'
import { jsonOf } from '../world/answer.ts'
import { allowedBy, inboundDecision } from './said.ts'
import type { Scenario } from './scenario.ts'

export const publicCatalog: Scenario = {
  name: 'public-catalog',
  title: 'the public catalog needs no token',
  async *run(world) {
    const since = Date.now()
    const answer = await world.gateway.ask({ path: '/api/catalog/products' })
    assert.equal(answer.status, 200, answer.body)
    const { products } = jsonOf(answer) as { readonly products: readonly unknown[] }
    assert.ok(products.length > 0)
    const decision = await inboundDecision(world, since, { workload: 'shop/catalog', path: '/products', status: 200 })
    assert.equal(decision.rule, 'browse')
    yield {
      sent: 'GET /api/catalog/products, no token',
      got: `200, ${products.length} products`,
      said: await allowedBy(world, decision),
    }
  },
}
