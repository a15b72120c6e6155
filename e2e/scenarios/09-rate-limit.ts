import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Answer, headerOf } from '../world/answer.ts'
import { decisionOf, refusedBy } from './said.ts'
import type { Scenario } from './scenario.ts'

const BURST = 60

/** What the bucket of a person holds, and gets in a second. */
const BUCKET = 20
const PER_SECOND = 10

/** On a machine that takes seconds to send a burst, the bucket is filled again meanwhile: then one more is sent. */
const MAX_BURSTS = 8

export const rateLimit: Scenario = {
  name: 'rate-limit',
  title: 'T27: who hurries waits, and nobody else does',
  async *run(world) {
    const { gateway } = world
    const [{ accessToken: bob }, { accessToken: alice }] = [await world.login('bob'), await world.login('alice')]
    const path = '/api/orders/users/bob/orders'
    const start = performance.now()
    const burst = (async () => {
      const all: Answer[] = []
      for (let i = 0; i < MAX_BURSTS && all.every(({ status }) => status === 200); i++) {
        all.push(...(await Promise.all(Array.from({ length: BURST }, () => gateway.ask({ path, token: bob })))))
      }
      return { all, tookS: (performance.now() - start) / 1_000 }
    })()
    const others = await Promise.all(
      Array.from({ length: 5 }, () => gateway.ask({ path: '/api/orders/users/alice/orders', token: alice })),
    )
    const { all: answers, tookS } = await burst
    const statuses = new Set(answers.map(({ status }) => status))
    assert.deepEqual([...statuses].sort(), [200, 429])
    const served = answers.filter(({ status }) => status === 200).length
    const most = BUCKET + Math.ceil(tookS * PER_SECOND) + 1
    assert.ok(served >= BUCKET && served <= most, `${served} of ${answers.length} were served, ${most} at most`)
    const refused = answers.find(({ status }) => status === 429)
    assert.ok(refused)
    const retryAfter = Number(headerOf(refused, 'retry-after'))
    assert.ok(retryAfter >= 1 && retryAfter <= 5, `Retry-After: ${headerOf(refused, 'retry-after')}`)
    assert.ok(headerOf(refused, 'ratelimit'))
    assert.ok(headerOf(refused, 'ratelimit-policy'))
    const decision = await decisionOf(world, refused)
    assert.equal(decision.rule, 'per-user')
    yield {
      sent: `${answers.length} × GET ${path} as bob, at once`,
      got: `${served} × 200, ${answers.length - served} × 429, Retry-After: ${retryAfter}`,
      said: refusedBy(decision),
    }

    assert.deepEqual([...new Set(others.map(({ status }) => status))], [200])
    yield { sent: 'meanwhile 5 × as alice', got: '5 × 200' }

    await sleep(retryAfter * 1_000)
    const again = await gateway.ask({ path, token: bob })
    assert.equal(again.status, 200, again.body)
    yield { sent: `as bob, ${retryAfter} s later`, got: '200' }
  },
}
