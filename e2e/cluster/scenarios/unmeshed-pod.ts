import assert from 'node:assert/strict'
import { until } from '../../world/until.ts'
import { echoApp } from '../apps.ts'
import { ready } from '../ready.ts'
import type { ClusterScenario } from '../scenario.ts'

const NS = 'e2e-unmeshed'

export const unmeshedPod: ClusterScenario = {
  name: 'unmeshed-pod',
  title: 'T08: a pod that was there before its namespace opted in is found and named, and one that opts out is refused',
  core: true,
  async *run({ kubectl, namespace, status }) {
    await namespace(NS, { inject: false })
    await kubectl.apply(await echoApp({ namespace: NS, name: 'server', callers: [`${NS}/nobody`] }))
    await ready(kubectl, NS, ['server'])
    await kubectl.run(['label', 'namespace', NS, 'hauberk.dev/inject=enabled'])
    const condition = await until(
      'the policy says so',
      async () => {
        const { status: seen } = await kubectl.get(['securitypolicies.hauberk.dev', '-n', NS, 'server'])
        const conditions = (seen?.conditions ?? []) as readonly {
          readonly type: string
          readonly status: string
          readonly reason: string
          readonly message: string
        }[]
        return conditions.find(({ type, reason }) => type === 'Programmed' && reason === 'Unmeshed')
      },
      { withinMs: 30_000, everyMs: 300 },
    )
    assert.equal(condition.status, 'False')
    yield {
      sent: 'a namespace opts in whose pod has no sidecar yet',
      got: 'Programmed=False, Unmeshed',
      said: condition.message,
    }
    const report = JSON.stringify(await status())
    assert.ok(report.includes(`${NS}/server`))

    const refused = await kubectl
      .apply(`apiVersion: v1
kind: Pod
metadata: {name: out, namespace: ${NS}, labels: {hauberk.dev/inject: disabled}}
spec: {containers: [{name: app, image: 'hauberk-shop:0.1.0'}]}
`)
      .then(
        () => 'taken',
        (error: Error) => error.message,
      )
    assert.match(refused, /hauberk\.dev\/inject/)
    yield {
      sent: 'a pod with the label hauberk.dev/inject: disabled',
      got: 'refused',
      said: refused.split('denied the request: ').at(-1) ?? '',
    }

    await kubectl.run(['rollout', 'restart', '-n', NS, 'deployment/server'])
    await ready(kubectl, NS, ['server'])
    await kubectl.run(
      ['wait', '-n', NS, '--for=condition=Programmed', 'securitypolicies.hauberk.dev/server', '--timeout=60s'],
      { timeoutMs: 65_000 },
    )
    yield { sent: 'kubectl rollout restart', got: 'Programmed=True' }
  },
}
