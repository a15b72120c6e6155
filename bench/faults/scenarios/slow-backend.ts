import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import type { FaultScenario } from '../scenario.ts'
import { startApp } from '../world/app.ts'
import { assertNothingLost, percentile, startLoad, tell } from '../world/load.ts'
import { openMesh } from '../world/mesh.ts'

const TIMEOUT_MS = 1_000

export const slowBackend: FaultScenario = {
  name: 'slow-backend',
  title: 'F13: a service that does not answer is 504 in time, and others do not notice',
  async *run(tools) {
    const mesh = await openMesh(tools, {
      services: { app: 1, slow: 1 },
      routes: [
        { path: '/slow', service: 'slow', rule: { timeouts: { request: `${TIMEOUT_MS}ms` } } },
        { path: '/', service: 'app' },
      ],
    })
    const [good, bad] = mesh.pods
    const app = await startApp(good!.appPort)
    const slow = await startApp(bad!.appPort, () => {})
    const load = startLoad({ targets: () => [mesh.gateway.port], perSecond: 150, path: '/' })
    const seconds = tools.isShort ? 2 : 6
    try {
      await sleep(3_000)
      const before = load.window()
      await sleep(seconds * 1_000)
      const calm = await before.end()
      assertNothingLost(calm, 100 * seconds)
      yield `alone: ${tell(calm)}, p99 ${percentile(calm.latenciesMs, 0.99).toFixed(1)} ms`

      const slowLoad = startLoad({ targets: () => [mesh.gateway.port], perSecond: 50, path: '/slow' })
      const during = load.window()
      let inFlight = 0
      for (let second = 0; second < seconds; second++) {
        await sleep(1_000)
        inFlight = Math.max(inFlight, await mesh.gateway.metric('hauberk_requests_in_flight'))
      }
      const disturbed = await during.end()
      const timedOut = await slowLoad.stop()
      assert.deepEqual([...timedOut.lost.keys()], ['504'], tell(timedOut))
      assert.equal(timedOut.ok, 0)
      yield `the slow service: ${timedOut.sent} requests, each of them 504; at most ${inFlight} in flight at the gateway`
      assert.ok(inFlight <= 50 * ((TIMEOUT_MS + 500) / 1_000) + 20, `${inFlight} in flight`)
      assertNothingLost(disturbed, 100 * seconds)
      const [p99, calmP99] = [disturbed, calm].map(({ latenciesMs }) => percentile(latenciesMs, 0.99))
      assert.ok(p99! <= calmP99! * 3 + 50, `p99 went from ${calmP99} to ${p99} ms`)
      yield `the other meanwhile: ${tell(disturbed)}, p99 ${p99!.toFixed(1)} ms`
    } finally {
      await load.stop()
      await mesh.close()
      await Promise.all([app.destroy(), slow.destroy()])
    }
  },
}
