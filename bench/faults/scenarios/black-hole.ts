import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import type { FaultScenario } from '../scenario.ts'
import { startApp } from '../world/app.ts'
import { assertNothingLost, percentile, startLoad, tell } from '../world/load.ts'
import { lacksPrograms, runCommand } from '../world/machine.ts'
import { openMesh, untilEndpoints } from '../world/mesh.ts'

/** Milliseconds within which a peer that is gone must not be sent to any more. */
const DETECT_MS = 20_000

export const blackHole: FaultScenario = {
  name: 'black-hole',
  title: 'F15: an endpoint that packets do not come back from costs nobody anything while there is another one',
  isIsolated: true,
  lacks: () => lacksPrograms('unshare', 'ip', 'nft'),
  async *run(tools) {
    const mesh = await openMesh(tools, {
      services: { app: 2 },
      routes: [{ path: '/', service: 'app', rule: { timeouts: { request: '3s' } } }],
    })
    const [first, second] = mesh.pods
    const apps = await Promise.all(mesh.pods.map(({ appPort }) => startApp(appPort)))
    const block = (port: number) => {
      runCommand('nft', 'add', 'table', 'inet', 'faults')
      runCommand('nft', 'add', 'chain', 'inet', 'faults', 'in', '{ type filter hook input priority 0 ; }')
      for (const side of ['dport', 'sport']) {
        runCommand('nft', 'add', 'rule', 'inet', 'faults', 'in', 'tcp', side, String(port), 'drop')
      }
    }
    const open = () => runCommand('nft', 'delete', 'table', 'inet', 'faults')
    const load = startLoad({ targets: () => [mesh.gateway.port], perSecond: 100, path: '/' })
    try {
      await untilEndpoints(mesh.gateway, 'app', 2)
      await sleep(3_000)
      const before = load.window()
      await sleep(2_000)
      const calm = await before.end()
      assertNothingLost(calm, 150)
      // How evenly depends on how fast each of them answers.
      assert.ok(apps.every(({ asked }) => asked > 0))
      yield `before: ${tell(calm)}, shared by two endpoints`

      // Nothing comes back, not even a reset: connections that are open hang, new ones are never made.
      block(second!.inboundPort)
      const during = load.window()
      await sleep(DETECT_MS)
      const afterwards = load.window()
      await sleep(3_000)
      const healed = await afterwards.end()
      const disturbed = await during.end()
      const asked = apps[1]!.asked
      // What hung on connections that were open is asked of the other one: these are requests that may be repeated.
      assertNothingLost(disturbed, 1_500)
      yield `with one in a black hole: ${tell(disturbed)} in the first ${DETECT_MS / 1_000} s`
      assertNothingLost(healed, 200)
      yield `from then on: ${tell(healed)}, p99 ${percentile(healed.latenciesMs, 0.99).toFixed(0)} ms`

      open()
      await sleep(tools.isShort ? 12_000 : 35_000)
      const back = load.window()
      await sleep(3_000)
      const whole = await back.end()
      assertNothingLost(whole, 200)
      assert.ok(apps[1]!.asked > asked, 'the endpoint that is back is sent to again')
      yield `open again: ${tell(whole)}, shared by two endpoints`
    } finally {
      await load.stop()
      await mesh.close()
      await Promise.all(apps.map((app) => app.destroy()))
      void first
    }
  },
}
