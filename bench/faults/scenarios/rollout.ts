import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import type { FaultScenario } from '../scenario.ts'
import { type App, startApp } from '../world/app.ts'
import { assertNothingLost, type Load, startLoad, tell } from '../world/load.ts'
import { openMesh, type Pod, untilEndpoints } from '../world/mesh.ts'

const PER_SECOND = 500

/** Milliseconds that callers have to hear that an endpoint is leaving, as a preStop hook gives them. */
const LEAVE_MS = 1_000

export const rollout: FaultScenario = {
  name: 'rollout',
  title: 'F19: applications, sidecars and gateways are replaced under 500 requests a second, and nothing is lost',
  async *run(tools) {
    const mesh = await openMesh(tools, { services: { app: 2 } })
    const apps = new Map<Pod, App>()
    for (const pod of mesh.pods) apps.set(pod, await startApp(pod.appPort))
    let ports = [mesh.gateway.port]
    const perSecond = tools.isShort ? PER_SECOND / 5 : PER_SECOND
    const load = startLoad({ targets: () => ports, perSecond, path: '/' })
    try {
      await sleep(4_000)
      const calm = await counted(load, () => sleep(2_000))
      assertNothingLost(calm, perSecond)
      yield `before: ${tell(calm)}`

      const [old] = mesh.pods
      const replaced = await counted(load, async () => {
        const pod = await mesh.addPod('app')
        apps.set(pod, await startApp(pod.appPort))
        await pod.start()
        await pod.setReady(true)
        await untilEndpoints(mesh.gateway, 'app', 3)
        await old!.setReady(false)
        await untilEndpoints(mesh.gateway, 'app', 2)
        await sleep(LEAVE_MS)
        await apps.get(old!)!.close()
        assert.equal(await old!.program.stop(), 0)
        await sleep(1_000)
      })
      assertNothingLost(replaced, perSecond)
      yield `a pod is replaced, application and sidecar: ${tell(replaced)}`

      const [, other] = mesh.pods
      const restarted = await counted(load, async () => {
        assert.equal(await other!.program.stop(), 0)
        await other!.start()
        await sleep(1_000)
      })
      assertNothingLost(restarted, perSecond)
      yield `a sidecar is told to end while it is an endpoint, and started again: ${tell(restarted)}`

      const handed = await counted(load, async () => {
        const next = await mesh.addGateway()
        ports = [mesh.gateway.port, next.port]
        await sleep(1_000)
        // Whoever balances in front of gateways sends nobody there any more, before it is told to end.
        ports = [next.port]
        await sleep(LEAVE_MS)
        assert.equal(await mesh.gateway.program.stop(), 0)
        await sleep(1_000)
      })
      assertNothingLost(handed, perSecond)
      yield `the gateway is replaced: ${tell(handed)}`
    } finally {
      await load.stop()
      await mesh.close()
      await Promise.all([...apps.values()].map((app) => app.destroy()))
    }
  },
}

async function counted(load: Load, during: () => Promise<void>) {
  const window = load.window()
  await during()
  return window.end()
}
