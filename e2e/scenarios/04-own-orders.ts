import assert from 'node:assert/strict'
import { jsonOf } from '../world/answer.ts'
import { login } from '../world/login.ts'
import { allowedBy, inboundDecision } from './said.ts'
import type { Scenario } from './scenario.ts'

export const ownOrders: Scenario = {
  name: 'own-orders',
  title: 'who logs in sees their own orders',
  async *run(world) {
    const { gateway, vault } = world
    const password = vault.keep('password of alice', await world.secret('identity', 'auth-users', 'password-alice'))
    let since = Date.now()
    const { accessToken } = await login(gateway, vault, 'alice', password)
    const redeemed = await inboundDecision(world, since, {
      workload: 'identity/auth',
      path: '/auth/token',
      status: 200,
    })
    yield {
      sent: 'login as alice: authorization code + PKCE, through the login page',
      got: 'an access token of 5 minutes',
      said: await allowedBy(world, redeemed),
    }

    since = Date.now()
    const path = '/api/orders/users/alice/orders'
    const answer = await gateway.ask({ path, token: accessToken })
    assert.equal(answer.status, 200, answer.body)
    assert.ok(Array.isArray((jsonOf(answer) as { readonly orders: unknown }).orders))
    const decision = await inboundDecision(world, since, { workload: 'shop/orders', subject: 'alice', status: 200 })
    assert.equal(decision.rule, 'own-orders')
    yield { sent: `GET ${path} as alice`, got: '200', said: await allowedBy(world, decision) }
  },
}
