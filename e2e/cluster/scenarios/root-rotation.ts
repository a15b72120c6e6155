import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { until } from '../../world/until.ts'
import { assertNoneLost, startPodLoad } from '../load.ts'
import { loadedPair } from '../loaded-pair.ts'
import type { ClusterScenario } from '../scenario.ts'

const NS = 'e2e-rotation'

export const rootRotation: ClusterScenario = {
  name: 'root-rotation',
  title: 'F05: the root is rotated at 200 requests a second, and none is lost',
  async *run(world) {
    const { kubectl } = world
    const { client, url } = await loadedPair(world, NS)
    const authority = async () =>
      (await kubectl.get(['meshconfigs.hauberk.dev', 'default'])).status?.certificateAuthority
    const rootsOf = async (workload: string) => {
      const { trustBundle } = JSON.parse(await world.askSidecar(workload, '/identity')) as {
        readonly trustBundle: readonly string[]
      }
      return trustBundle.map((pem) => new X509Certificate(pem).fingerprint256)
    }
    const [old] = await rootsOf(`${NS}/server`)
    const { spec } = await kubectl.get(['meshconfigs.hauberk.dev', 'default'])
    const generation = Number(spec?.certificates?.rootGeneration ?? 1)
    const phases = [String((await authority())?.phase)]
    const load = await startPodLoad(kubectl, client, { url, perSecond: 200 })
    const start = performance.now()
    await kubectl.run([
      'patch',
      'meshconfigs.hauberk.dev',
      'default',
      '--type=merge',
      '-p',
      JSON.stringify({ spec: { certificates: { rootGeneration: generation + 1 } } }),
    ])
    await until(
      'the rotation is over',
      async () => {
        const phase = String((await authority())?.phase ?? '')
        if (phase !== '' && phases.at(-1) !== phase) phases.push(phase)
        const roots = await rootsOf(`${NS}/server`)
        return roots.length === 1 && roots[0] !== old && phases.length > 1 && phase === phases[0]
      },
      { withinMs: 240_000, everyMs: 500 },
    )
    const tookS = ((performance.now() - start) / 1_000).toFixed(0)
    const count = assertNoneLost(await load.stop())
    yield { sent: 'spec.certificates.rootGeneration + 1', got: `done after ${tookS} s`, said: phases.join(' -> ') }
    yield { sent: 'meanwhile, 200 requests a second', got: count }
    for (const workload of world.workloads()) {
      const roots = await rootsOf(workload)
      assert.equal(roots.length, 1, workload)
      assert.notEqual(roots[0], old, workload)
    }
    yield { sent: `the trust bundle of ${world.workloads().length} workloads`, got: 'the new root alone' }
  },
}
