import assert from 'node:assert/strict'
import { until } from '../../world/until.ts'
import { openDenyPolicies } from '../deny-policies.ts'
import { loadedPair } from '../loaded-pair.ts'
import type { ClusterScenario } from '../scenario.ts'

const NS = 'e2e-many'
const POLICIES = 1_000
/** No more than 32 are under way at once: whoever writes waits for answers, as every controller does. */
const EDITS = { perSecond: 100, atOnce: 32, forMs: 10_000, count: POLICIES }
const IN_FORCE_WITHIN_MS = 10_000

export const manyPolicies: ClusterScenario = {
  name: 'many-policies',
  title: 'F23: a thousand policies at once, then a hundred edits a second: the last one is in force within 10 s',
  async *run(world) {
    const { inside, kubectl } = world
    await loadedPair(world, NS)
    const ask = async (path: string) => (await inside(`${NS}/client`).ask({ url: `http://server.${NS}${path}` })).status
    const inForce = async (path: string) => {
      const start = performance.now()
      await until(`${path} is denied`, async () => (await ask(path)) === 403, { withinMs: 60_000, everyMs: 100 })
      const tookMs = Math.round(performance.now() - start)
      assert.ok(tookMs <= IN_FORCE_WITHIN_MS, `in force ${tookMs} ms after the last was written`)
      return `the last one in force ${tookMs} ms after it was written`
    }
    const policies = await openDenyPolicies(kubectl, NS)
    try {
      const start = performance.now()
      await policies.create(POLICIES)
      const seconds = Math.round((performance.now() - start) / 1_000)
      yield {
        sent: `${POLICIES} policies for one Service, in ${seconds} s`,
        got: await inForce(`/never/${POLICIES - 1}`),
      }
      assert.equal(await ask('/'), 200)

      const { edits, lastPath, tookMs } = await policies.edit(EDITS)
      yield {
        sent: `${edits} edits in ${(tookMs / 1_000).toFixed(1)} s`,
        got: await inForce(lastPath),
        said: `${policies.late()} writes of all were made again, the API server having waited 5 s for an operator`,
      }
    } finally {
      policies.stop()
    }
  },
}
