import assert from 'node:assert/strict'
import { until } from '../world/until.ts'
import { REVIEWS_POLICY, readReviews, reviewsPolicy } from './reviews-policy.ts'
import type { Scenario } from './scenario.ts'
import { lossesIn } from './under-load.ts'

const SOUND = reviewsPolicy({ denied: false })

/** Mistakes that people make, and the line that each is on. */
const MISTAKES: readonly {
  readonly what: string
  readonly yaml: string
  readonly line: number
  readonly path: RegExp
}[] = [
  { what: 'a misspelt field', path: /spec\.authorization\.alow/, ...replaced('    allow:', '    alow:') },
  // What is no YAML never comes to the API server: there it is the line, too.
  {
    what: 'a bracket that is never closed',
    path: /yaml: line \d+/,
    ...replaced('to: {methods: [GET]}', 'to: {methods: [GET}'),
  },
  {
    what: 'a rule without a name',
    path: /spec\.authorization\.allow\[0\]\.name/,
    ...replaced('- name: readers\n      to:', '- to:'),
  },
  {
    what: 'an expression that is none',
    path: /spec\.authorization\.allow\[0\]\.when/,
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
      const { mistakesAreAt } = world.manifests
      for (const { what, yaml, line, path } of MISTAKES) {
        await world.manifests.save(REVIEWS_POLICY, yaml)
        const refusal = await world.manifests.refusal(REVIEWS_POLICY)
        const place = mistakesAreAt === 'line' ? new RegExp(`^${REVIEWS_POLICY}\\.yaml:${line}:`) : path
        assert.match(refusal, place, refusal)
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
