import assert from 'node:assert/strict'
import { decodeProtectedHeader } from 'jose'
import { tokenOfUnknownKey } from '../world/forge.ts'
import { until } from '../world/until.ts'
import { allowedBy, inboundDecision } from './said.ts'
import type { Scenario } from './scenario.ts'
import { lossesIn } from './under-load.ts'

/** An unknown key is a reason for the mesh to ask the issuer again, once in 30 s at most; without one it asks each minute. */
const KNOWN_WITHIN_MS = 70_000

export const keyRotation: Scenario = {
  name: 'key-rotation',
  title: 'F08: the issuer rotates its key: published first, used then, and nobody notices',
  needsOwn: true,
  async *run(world) {
    const { gateway, signingKeys } = world
    const { accessToken: oldToken } = await world.login('alice')
    const path = '/api/orders/users/alice/orders'
    const window = (await world.load()).window()
    const before = await world.issuerKeys('shop')
    const kid = await signingKeys.publish()

    const start = performance.now()
    const unknown = world.vault.keep('token of an unknown key', await tokenOfUnknownKey(oldToken))
    const known = async () => {
      assert.equal((await gateway.ask({ path, token: unknown })).status, 401)
      return (await world.issuerKeys('shop')) === before + 1
    }
    await until('the mesh has the new key', known, { withinMs: KNOWN_WITHIN_MS * world.patience, everyMs: 1_000 })
    yield {
      sent: 'a second key is published',
      got: `the mesh has both after ${((performance.now() - start) / 1_000).toFixed(1)} s`,
      said: 'TokenIssuer shop',
    }

    await signingKeys.activate(kid)
    const newToken = await until(
      'a token signed by the new key',
      async () => {
        const token = await world.machineToken('orders:read-all')
        return decodeProtectedHeader(token).kid === kid ? token : undefined
      },
      { withinMs: 20_000 * world.patience, everyMs: 500 },
    )
    const since = Date.now()
    const answer = await gateway.ask({ path, token: newToken })
    assert.equal(answer.status, 200, answer.body)
    const decision = await inboundDecision(world, since, { workload: 'shop/orders', subject: 'warehouse', status: 200 })
    yield {
      sent: 'the new key signs; GET with the first token of it',
      got: '200',
      said: await allowedBy(world, decision),
    }
    const old = await gateway.ask({ path, token: oldToken })
    assert.equal(old.status, 200, old.body)
    yield { sent: 'GET with a token of the old key', got: '200' }
    yield { sent: 'meanwhile, under load with tokens a moment old', got: await lossesIn(window) }
  },
}
