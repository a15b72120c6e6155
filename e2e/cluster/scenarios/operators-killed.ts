import assert from 'node:assert/strict'
import { until } from '../../world/until.ts'
import { SYSTEM_NAMESPACE } from '../helm.ts'
import { containerId, killContainer } from '../kill-container.ts'
import type { ClusterObject, Kubectl } from '../kubectl.ts'
import { assertNoneLost, startPodLoad } from '../load.ts'
import { loadedPair } from '../loaded-pair.ts'
import type { ClusterScenario } from '../scenario.ts'

const NS = 'e2e-operators'

export const operatorsKilled: ClusterScenario = {
  name: 'operators-killed',
  title: 'F02: the leader is killed, then both replicas: the lease is taken within 20 s, and nothing is lost',
  core: true,
  needs: 'kind',
  async *run(world) {
    const { kubectl } = world
    const { client, url } = await loadedPair(world, NS)
    const load = await startPodLoad(kubectl, client, { url, perSecond: 50 })
    const lease = async () => (await kubectl.get(['lease', '-n', SYSTEM_NAMESPACE, 'hauberk-operator'])).spec
    const operators = () =>
      kubectl.list(['pods', '-n', SYSTEM_NAMESPACE, '-l', 'app.kubernetes.io/name=hauberk-operator'])

    const before = await lease()
    const leader = (await operators()).find(({ metadata }) => String(before.holderIdentity).startsWith(metadata.name))
    assert.ok(leader, `${before.holderIdentity} is a pod`)
    const start = performance.now()
    // Deleted as well, so that it does not come back under its own name and keeps the lease.
    const gone = ['delete', 'pod', '-n', SYSTEM_NAMESPACE, leader.metadata.name, '--grace-period=0', '--force']
    await Promise.all([killContainer(leader, leader.spec.containers[0].name), kubectl.run([...gone, '--wait=false'])])
    await until(
      'the lease was taken anew',
      async () => {
        const now = await lease()
        return now.holderIdentity !== before.holderIdentity && now.holderIdentity !== ''
      },
      { withinMs: 25_000, everyMs: 250 },
    )
    const tookMs = Math.round(performance.now() - start)
    assert.ok(tookMs <= 20_000, `the lease was taken after ${tookMs} ms`)
    yield { sent: 'kill -9 of the leading operator', got: `the lease is taken after ${(tookMs / 1_000).toFixed(1)} s` }

    const killed: string[] = []
    // Until the kubelet looks, the status still tells of containers that are gone.
    const isReady = (pod: ClusterObject) =>
      pod.status.containerStatuses?.every(
        (one: { readonly ready: boolean; readonly containerID?: string }) =>
          one.ready && !killed.some((id) => one.containerID?.endsWith(id)),
      )
    const bothReady = () =>
      until(
        'both replicas are ready',
        async () => {
          const pods = await operators()
          return pods.length === 2 && pods.every(isReady) && pods
        },
        { withinMs: 120_000, everyMs: 250 },
      )
    for (const pod of await bothReady()) {
      const { name } = pod.spec.containers[0]
      killed.push(containerId(pod, name))
      await killContainer(pod, name)
    }
    await bothReady()
    const readyAt = performance.now()
    await until('the webhooks answer', () => reviews(kubectl), { withinMs: 30_000, everyMs: 250 })
    yield {
      sent: 'kill -9 of both replicas',
      got: 'both are back',
      said: `policies are reviewed ${Math.round(performance.now() - readyAt)} ms after they are ready`,
    }
    yield { sent: 'meanwhile, 50 requests a second', got: assertNoneLost(await load.stop()) }
  },
}

/** Whether a policy that is saved is reviewed, by either replica. */
async function reviews(kubectl: Kubectl): Promise<boolean> {
  const saved = ['annotate', 'meshsecuritypolicies.hauberk.dev', 'baseline', 'e2e.hauberk.dev/seen=yes']
  return kubectl.run([...saved, '--dry-run=server']).then(
    () => true,
    () => false,
  )
}
