import assert from 'node:assert/strict'
import { until } from '../world/until.ts'
import { REVIEWS_POLICY, readReviews, reviewsPolicy } from './reviews-policy.ts'
import type { Scenario } from './scenario.ts'
import { lossesIn } from './under-load.ts'

const SOUND = reviewsPolicy({ denied: false })

/** Mistakes that people make, and the line that each is on. */
const MISTAKES: readonly { readonly what: string; readonly yaml: string; readonly line: number }[] = [
  { what: 'a misspelt field', ...replaced('    allow:', '    alow:') },
  { what: 'a bracket that is never closed', ...replaced('to: {methods: [GET]}', 'to: {methods: [GET}') },
  { what: 'a rule without a name', ...replaced('- name: readers\n      to:', '- to:') },
  {
    what: 'an expression that is none',
    ...replaced('{methods: [GET]}', '{methods: [GET]}\n      when: "claims.sub =="', 1),
  },
]

export const brokenPolicy: Scenario = {
  name: 'broken-policy',
  title: 'a policy with a mistake is refused with its line, and what was in force stays',
  needsOwn: true,
  async *run(world) {
    const window = (await world.load()).window()
    try {
      await world.manifests.save(REVIEWS_POLICY, SOUND)
      await until('reviews are open', async () => (await readReviews(world)).status === 200)
      for (const { what, yaml, line } of MISTAKES) {
        await world.manifests.save(REVIEWS_POLICY, yaml)
        const refusal = await world.manifests.refusal(REVIEWS_POLICY)
        assert.match(refusal, new RegExp(`^${REVIEWS_POLICY}\\.yaml:${line}:`), refusal)
        assert.equal((await readReviews(world)).status, 200)
        yield { sent: `saved with ${what}`, got: 'reviews still 200', said: refusal }
        await world.manifests.save(REVIEWS_POLICY, SOUND)
        await world.manifests.isTaken(REVIEWS_POLICY)
      }
    } finally {
      await world.manifests.remove(REVIEWS_POLICY)
    }
    await until('reviews are closed again', async () => (await readReviews(world)).status === 403)
    yield { sent: 'meanwhile, under load', got: await lossesIn(window) }
  },
}

/** The sound policy with a mistake in it. The line is that of the mistake, or so many below. */
function replaced(sound: string, mistake: string, below = 0): { readonly yaml: string; readonly line: number } {
  assert.ok(SOUND.includes(sound))
  const line = SOUND.slice(0, SOUND.indexOf(sound)).split('\n').length + below
  return { yaml: SOUND.replace(sound, mistake), line }
}
