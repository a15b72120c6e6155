import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { allowedBy, decisionOf, inboundDecision, refusedBy } from './said.ts'
import type { Scenario } from './scenario.ts'

export const serviceToService: Scenario = {
  name: 'service-to-service',
  title: 'T33: a service is called by those it names, and known by its certificate',
  async *run(world) {
    const charge = () => ({
      method: 'POST',
      url: 'http://payments.shop/charges',
      headers: { 'idempotency-key': randomUUID() },
      body: { amountCents: 100, cardNumber: '4242424242424242' },
    })
    const fromCatalog = await world.inside('shop/catalog').ask(charge())
    assert.equal(fromCatalog.status, 403, fromCatalog.body)
    const refusal = await decisionOf(world, fromCatalog)
    assert.equal(refusal.workload, 'shop/payments')
    assert.equal(refusal.caller, 'shop/catalog')
    yield { sent: 'catalog: POST http://payments.shop/charges', got: '403', said: refusedBy(refusal) }

    const since = Date.now()
    const fromOrders = await world.inside('shop/orders').ask(charge())
    assert.equal(fromOrders.status, 201, fromOrders.body)
    const decision = await inboundDecision(world, since, {
      workload: 'shop/payments',
      caller: 'shop/orders',
      status: 201,
    })
    assert.equal(decision.rule, 'orders-charges')
    yield { sent: 'orders: POST http://payments.shop/charges', got: '201', said: await allowedBy(world, decision) }

    // fetch asks its proxy for a tunnel, and tells nothing of a refusal but that there is none.
    const outside = await world.inside('shop/catalog').ask({ url: world.outside.url })
    assert.ok(outside.status === 0 || outside.status === 403, `${outside.status} ${outside.body}`)
    const denied = await world.decisions.find(
      'a call out of the mesh',
      since,
      (one) => one.workload === 'shop/catalog' && one.direction === 'outbound' && one.outcome === 'denied',
    )
    assert.equal(denied.denial, world.outside.denial)
    yield { sent: `catalog: GET ${world.outside.url}`, got: 'no connection', said: refusedBy(denied) }
  },
}
