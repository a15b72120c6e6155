import assert from 'node:assert/strict'
import { until } from '../../world/until.ts'
import { INSTALL_VALUES, openHelm, SYSTEM_NAMESPACE } from '../helm.ts'
import { assertNoneLost, startPodLoad } from '../load.ts'
import { loadedPair } from '../loaded-pair.ts'
import type { ClusterScenario } from '../scenario.ts'

const NS = 'e2e-uninstall'

export const uninstall: ClusterScenario = {
  name: 'uninstall',
  title:
    'helm uninstall leaves no webhook that blocks pods, and keeps what people wrote; helm install takes it up again',
  async *run(world) {
    const { kubectl, inside } = world
    const helm = openHelm(kubectl.context)
    const { client, url } = await loadedPair(world, NS)
    const rootsOf = async () => (await kubectl.get(['configmap', '-n', SYSTEM_NAMESPACE, 'hauberk-trust-anchors'])).data
    const roots = await rootsOf()
    const before = await policies(world)
    const load = await startPodLoad(kubectl, client, { url, perSecond: 50 })
    try {
      await helm.uninstall()
      const webhooks = ['mutatingwebhookconfigurations,validatingwebhookconfigurations', '-o', 'name']
      assert.doesNotMatch(await kubectl.run(['get', ...webhooks]), /hauberk/)
      await kubectl.apply(`apiVersion: v1
kind: Pod
metadata: {name: after, namespace: ${NS}}
spec:
  terminationGracePeriodSeconds: 0
  containers: [{name: app, image: 'hauberk-shop:0.1.0', command: [node, --eval, 'setInterval(() => {}, 1e6)']}]
`)
      yield { sent: 'helm uninstall; then a pod in an opted-in namespace', got: 'no webhook of ours is left; created' }
      assert.deepEqual(await policies(world), before)
      yield { sent: 'kubectl get securitypolicies -A', got: `${before.length}, as before` }
      await kubectl.run(['delete', 'pod', '-n', NS, 'after'])
    } finally {
      await helm.install(INSTALL_VALUES)
    }
    const deny = [
      { op: 'add', path: '/spec/authorization/deny', value: [{ name: 'edited', to: { paths: ['/edited'] } }] },
    ]
    const edited = ['patch', '-n', NS, 'securitypolicies.hauberk.dev', 'server', '--type=json', '-p']
    await kubectl.run([...edited, JSON.stringify(deny)])
    const asked = { url: `${url}edited` }
    await until('the edit is in force', async () => (await inside(`${NS}/client`).ask(asked)).status === 403, {
      withinMs: 60_000,
      everyMs: 300,
    })
    assert.deepEqual(await rootsOf(), roots)
    yield { sent: 'helm install again; then a policy is edited', got: 'in force', said: 'the root is the same' }
    yield { sent: 'all the while, 50 requests a second', got: assertNoneLost(await load.stop()) }
  },
}

/** Of namespaces that stay: that of the scenario before may still be on its way out. */
async function policies({ kubectl }: Parameters<ClusterScenario['run']>[0]): Promise<readonly string[]> {
  const found = await kubectl.list(['securitypolicies.hauberk.dev', '-A'])
  const staying = ({ metadata }: { readonly metadata: { readonly namespace?: string } }) =>
    metadata.namespace === NS || metadata.namespace?.startsWith('e2e-') !== true
  return found
    .filter(staying)
    .map(({ metadata }) => `${metadata.namespace}/${metadata.name} ${metadata.uid}`)
    .sort()
}
