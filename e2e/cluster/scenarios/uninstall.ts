import assert from 'node:assert/strict'
import { openHelm, SYSTEM_NAMESPACE } from '../helm.ts'
import type { ClusterScenario } from '../scenario.ts'

const NS = 'e2e-uninstall'

export const uninstall: ClusterScenario = {
  name: 'uninstall',
  title:
    'helm uninstall leaves no webhook that blocks pods, and keeps what people wrote; helm install takes it up again',
  async *run({ kubectl, namespace }) {
    await namespace(NS)
    const helm = openHelm(kubectl.context)
    try {
      await helm.uninstall()
      const webhooks = await kubectl.run([
        'get',
        'mutatingwebhookconfigurations,validatingwebhookconfigurations',
        '-o',
        'name',
      ])
      assert.doesNotMatch(webhooks, /hauberk/)
      await kubectl.apply(`apiVersion: v1
kind: Pod
metadata: {name: after, namespace: ${NS}}
spec:
  terminationGracePeriodSeconds: 0
  containers: [{name: app, image: 'hauberk-shop:0.1.0', command: [node, --eval, 'setInterval(() => {}, 1e6)']}]
`)
      yield { sent: 'helm uninstall; then a pod in an opted-in namespace', got: 'no webhook of ours is left; created' }
      const kept = await kubectl.list(['securitypolicies.hauberk.dev', '-A'])
      assert.ok(kept.length > 0)
      yield { sent: 'kubectl get securitypolicies -A', got: `${kept.length}, as before` }
    } finally {
      await helm.install()
    }
    await kubectl.run(
      ['wait', '-n', 'shop', '--for=condition=Programmed', 'securitypolicies.hauberk.dev/orders', '--timeout=120s'],
      { timeoutMs: 125_000 },
    )
    yield {
      sent: 'helm install again',
      got: 'Programmed=True for what was kept',
      said: `${SYSTEM_NAMESPACE}: the same root`,
    }
  },
}
