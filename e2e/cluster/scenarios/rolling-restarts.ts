import { SYSTEM_NAMESPACE } from '../helm.ts'
import { assertNoneLost, startPodLoad } from '../load.ts'
import { loadedPair } from '../loaded-pair.ts'
import { restart } from '../ready.ts'
import type { ClusterScenario } from '../scenario.ts'

const NS = 'e2e-rollouts'
const PER_SECOND = 200

export const rollingRestarts: ClusterScenario = {
  name: 'rolling-restarts',
  title: 'F19: app and operator are rolled over at 200 requests a second, and none is lost',
  core: true,
  async *run(world) {
    const { kubectl } = world
    const { client, url } = await loadedPair(world, NS)
    for (const [what, work] of [
      ['the app, with its sidecars', () => restart(kubectl, NS, 'server')],
      ['the operator', () => restart(kubectl, SYSTEM_NAMESPACE, 'hauberk-operator')],
    ] as const) {
      const load = await startPodLoad(kubectl, client, { url, perSecond: PER_SECOND })
      await work()
      yield { sent: `kubectl rollout restart: ${what}`, got: assertNoneLost(await load.stop()) }
    }
  },
}
