import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { allowedBy, decisionOf, inboundDecision, refusedBy } from './said.ts'
import type { Scenario } from './scenario.ts'

export const machine: Scenario = {
  name: 'machine',
  title: 'a machine comes in by client credentials, as far as its scopes reach',
  async *run(world) {
    const { gateway } = world
    const token = await world.machineToken('orders:read-all catalog:write')
    let since = Date.now()
    const path = '/api/orders/users/alice/orders'
    const read = await gateway.ask({ path, token })
    assert.equal(read.status, 200, read.body)
    const reading = await inboundDecision(world, since, { workload: 'shop/orders', subject: 'warehouse', status: 200 })
    assert.equal(reading.rule, 'warehouse-reads-all')
    yield { sent: `GET ${path} as warehouse`, got: '200', said: await allowedBy(world, reading) }

    since = Date.now()
    const id = `tour-${randomBytes(4).toString('hex')}`
    const product = { id, name: 'Coif', description: 'Mail for the head.', priceCents: 4_900 }
    const added = await gateway.ask({ method: 'POST', path: '/api/catalog/products', token, body: product })
    assert.equal(added.status, 201, added.body)
    const writing = await inboundDecision(world, since, { workload: 'shop/catalog', method: 'POST', status: 201 })
    assert.equal(writing.rule, 'write')
    yield { sent: 'POST /api/catalog/products as warehouse', got: '201', said: await allowedBy(world, writing) }
    const removed = await gateway.ask({ method: 'DELETE', path: `/api/catalog/products/${id}`, token })
    assert.equal(removed.status, 204, removed.body)

    const narrow = await world.machineToken('orders:read-all')
    const refused = await gateway.ask({ method: 'POST', path: '/api/catalog/products', token: narrow, body: product })
    assert.equal(refused.status, 403, refused.body)
    const refusal = await decisionOf(world, refused)
    yield {
      sent: 'POST /api/catalog/products, token without catalog:write',
      got: '403',
      said: refusedBy(refusal),
    }
  },
}
