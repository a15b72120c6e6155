import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import type { RotationStatus } from '../../../operator/identity/rotation/root-rotation.ts'
import type { FaultScenario } from '../scenario.ts'
import { startApp } from '../world/app.ts'
import { assertNothingLost, startLoad, tell } from '../world/load.ts'
import { identityOf, openMesh } from '../world/mesh.ts'
import { until } from '../world/until.ts'

/** Sidecars renew within a quarter of it when another root signs. */
const LEAF_LIFETIME_MS = 40_000
const PER_SECOND = 300

export const rootRotation: FaultScenario = {
  name: 'root-rotation',
  title: 'F05: the root of the mesh is replaced under 300 requests a second, and nothing is lost',
  async *run(tools) {
    const mesh = await openMesh(tools, { services: { app: 2 }, leafLifetimeMs: LEAF_LIFETIME_MS })
    const apps = await Promise.all(mesh.pods.map(({ appPort }) => startApp(appPort)))
    const perSecond = tools.isShort ? PER_SECOND / 5 : PER_SECOND
    const load = startLoad({ targets: () => [mesh.gateway.port], perSecond, path: '/' })
    const rotation = async () =>
      (JSON.parse(await mesh.askOperator('/status')) as { readonly certificateAuthority: RotationStatus })
        .certificateAuthority
    try {
      await sleep(3_000)
      const [old] = (await rotation()).roots
      const before = await identityOf(mesh.gateway)
      const during = load.window()
      const startedMs = performance.now()
      await mesh.save('mesh', {
        apiVersion: 'hauberk.dev/v1alpha1',
        kind: 'MeshConfig',
        metadata: { name: 'default' },
        spec: { certificates: { rootGeneration: 2 } },
      })
      await until(
        'the root is replaced',
        async () => {
          const { phase, roots } = await rotation()
          return phase === 'stable' && roots.length === 1 && roots[0]?.fingerprint !== old?.fingerprint
        },
        90_000,
      )
      await sleep(2_000)
      const count = await during.end()
      assertNothingLost(count, perSecond * 5)
      assert.notEqual((await identityOf(mesh.gateway)).chain, before.chain)
      yield `replaced in ${Math.round((performance.now() - startedMs) / 1_000)} s: ${tell(count)}`
    } finally {
      await load.stop()
      await mesh.close()
      await Promise.all(apps.map((app) => app.destroy()))
    }
  },
}
