import assert from 'node:assert/strict'
import { until } from '../../world/until.ts'
import { clientApp, echoApp } from '../apps.ts'
import { ready } from '../ready.ts'
import type { ClusterScenario } from '../scenario.ts'

const NS = 'e2e-policy'

export const policyAcknowledged: ClusterScenario = {
  name: 'policy-acknowledged',
  title: 'a policy is applied: the next answer obeys it, and its status says that every sidecar does',
  core: true,
  async *run({ kubectl, namespace, inside }) {
    await namespace(NS)
    await kubectl.apply(await echoApp({ namespace: NS, name: 'server', replicas: 2 }))
    await kubectl.apply(clientApp({ namespace: NS, name: 'client' }))
    await ready(kubectl, NS, ['server', 'client'])
    const ask = async () => (await inside(`${NS}/client`).ask({ url: `http://server.${NS}/` })).status
    await until('nobody is let in without a policy', async () => (await ask()) === 403, { withinMs: 30_000 })
    yield { sent: 'client: GET / before there is a policy', got: '403' }

    await kubectl.apply(policy())
    const start = performance.now()
    await kubectl.run([
      'wait',
      '-n',
      NS,
      '--for=condition=Programmed',
      'securitypolicies.hauberk.dev/server',
      '--timeout=30s',
    ])
    const tookMs = Math.round(performance.now() - start)
    assert.equal(await ask(), 200)
    const { status, metadata } = await kubectl.get(['securitypolicies.hauberk.dev', '-n', NS, 'server'])
    assert.equal(status.observedGeneration, metadata.generation)
    assert.equal(status.workloads.selected, 2)
    assert.equal(status.workloads.acknowledged, 2)
    yield {
      sent: 'kubectl apply; kubectl wait --for=condition=Programmed',
      got: `200, met after ${tookMs} ms`,
      said: `workloads ${status.workloads.summary}`,
    }

    const table = await kubectl.run(['get', '-n', NS, 'securitypolicies.hauberk.dev', 'server', '--no-headers'])
    assert.match(table, /True/)
    yield { sent: 'kubectl get securitypolicies', got: table.trim().replaceAll(/ +/g, ' ') }

    await kubectl.apply(policy('e2e-policy/nobody'))
    await until('the edit is in force', async () => (await ask()) === 403, { withinMs: 10_000 })
    yield { sent: 'edited: another caller', got: '403' }
  },
}

function policy(caller = `${NS}/client`): string {
  return `apiVersion: hauberk.dev/v1alpha1
kind: SecurityPolicy
metadata: {name: server, namespace: ${NS}}
spec:
  targetRefs: [{kind: Service, name: server}]
  authorization: {allow: [{name: caller, from: {serviceAccounts: [${caller}]}}]}
`
}
