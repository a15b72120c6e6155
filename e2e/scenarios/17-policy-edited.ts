import assert from 'node:assert/strict'
import { type Answer, problemOf } from '../world/answer.ts'
import { until } from '../world/until.ts'
import type { World } from '../world/world.ts'
import { REVIEWS_PATH, REVIEWS_POLICY, readReviews, reviewsPolicy } from './reviews-policy.ts'
import { allowedBy, decisionOf, inboundDecision, refusedBy } from './said.ts'
import type { Scenario } from './scenario.ts'
import { lossesIn } from './under-load.ts'

/** From the save of a policy to the first answer that obeys it: the fastest of three, as the machine has other work now and then. */
const IN_FORCE_WITHIN_MS = 1_000

export const policyEdited: Scenario = {
  name: 'policy-edited',
  title: 'a policy that is saved is obeyed within a second, and no request is lost meanwhile',
  needsOwn: true,
  async *run(world) {
    const window = (await world.load()).window()
    assert.equal((await readReviews(world)).status, 403)
    try {
      const opened = await saveAndSee(world, false, ({ status }) => status === 200)
      const allowing = await inboundDecision(world, opened.since, { workload: 'shop/reviews', status: 200 })
      yield {
        sent: `a first policy for reviews is saved; GET ${REVIEWS_PATH}`,
        got: `403 -> 200 after ${opened.tookMs} ms`,
        said: await allowedBy(world, allowing),
      }
      const closed = await saveAndSee(world, true, (answer) => problemOf(answer)?.denial === 'denied-by-rule')
      yield {
        sent: 'it is edited: one deny rule more',
        got: `200 -> 403 after ${closed.tookMs} ms`,
        said: refusedBy(await decisionOf(world, closed.answer)),
      }
      const reopened = await saveAndSee(world, false, ({ status }) => status === 200)
      yield { sent: 'the rule is taken out again', got: `403 -> 200 after ${reopened.tookMs} ms` }
      const tookMs = Math.min(opened.tookMs, closed.tookMs, reopened.tookMs)
      assert.ok(tookMs <= IN_FORCE_WITHIN_MS * world.patience, `in force after ${tookMs} ms at best`)
    } finally {
      await world.manifests.remove(REVIEWS_POLICY)
    }
    await until('reviews are closed again', async () => (await readReviews(world)).status === 403)
    yield { sent: 'meanwhile, under load', got: await lossesIn(window) }
  },
}

async function saveAndSee(world: World, denied: boolean, isInForce: (answer: Answer) => boolean) {
  await world.manifests.save(REVIEWS_POLICY, reviewsPolicy({ denied }))
  const since = Date.now()
  const start = performance.now()
  const answer = await until(
    'the policy is in force',
    async () => {
      const seen = await readReviews(world)
      return isInForce(seen) ? seen : undefined
    },
    { everyMs: 10 },
  )
  const tookMs = Math.round(performance.now() - start)
  return { answer, tookMs, since }
}
