import assert from 'node:assert/strict'
import type { JWK } from 'jose'
import { headerOf } from '../world/answer.ts'
import { forgeTokens } from '../world/forge.ts'
import { decisionOf, refusedBy } from './said.ts'
import type { Scenario } from './scenario.ts'

export const forgedTokens: Scenario = {
  name: 'forged-tokens',
  title: 'T21, T23: a token that is not what it says opens nothing',
  async *run(world) {
    const { accessToken, idToken } = await world.login('alice')
    const { active, keys } = JSON.parse(await world.secret('identity', 'auth-keys', 'jwks.json')) as {
      readonly active: string
      readonly keys: readonly JWK[]
    }
    const signingKey = keys.find(({ kid }) => kid === active)
    assert.ok(signingKey)
    for (const { what, token } of await forgeTokens({ token: accessToken, idToken, signingKey }, world.vault)) {
      const answer = await world.gateway.ask({ path: '/api/orders/users/alice/orders', token })
      assert.equal(answer.status, 401, `${what}: ${answer.status} ${answer.body}`)
      assert.match(headerOf(answer, 'www-authenticate') ?? '', /error="invalid_token"/)
      const decision = await decisionOf(world, answer)
      assert.equal(decision.workload, 'shop/orders')
      const why = decision.reason === undefined ? '' : `, ${decision.reason}`
      yield { sent: `token: ${what}`, got: '401', said: `${refusedBy(decision)}${why}` }
    }
  },
}
