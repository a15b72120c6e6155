import assert from 'node:assert/strict'
import { until } from '../../world/until.ts'
import { clientApp, echoApp } from '../apps.ts'
import { KubectlError } from '../kubectl.ts'
import { ready } from '../ready.ts'
import type { ClusterScenario } from '../scenario.ts'

const NS = 'e2e-floor'

export const floor: ClusterScenario = {
  name: 'floor',
  title: 'a team cannot weaken what the platform team holds as a floor',
  core: true,
  async *run({ kubectl, namespace, sayFromOutside, podOf }) {
    await namespace(NS)
    await kubectl.apply(await echoApp({ namespace: NS, name: 'server', callers: [`${NS}/client`] }))
    await kubectl.apply(clientApp({ namespace: NS, name: 'client' }))
    await kubectl.apply(`apiVersion: hauberk.dev/v1alpha1
kind: MeshSecurityPolicy
metadata: {name: e2e-floor}
spec:
  namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: ${NS}}}
  floor: {mtls: {mode: Strict}}
`)
    try {
      await ready(kubectl, NS, ['server', 'client'])
      const weaker = `apiVersion: hauberk.dev/v1alpha1
kind: SecurityPolicy
metadata: {name: weaker, namespace: ${NS}}
spec:
  targetRefs: [{kind: Service, name: server}]
  mtls: {mode: Disabled}
`
      const said = await kubectl.apply(weaker).catch((error: unknown) => {
        if (error instanceof KubectlError) return error.stderr
        throw error
      })
      yield {
        sent: 'a SecurityPolicy with mtls Disabled, under a floor of Strict',
        got: said.trim().split('\n').at(-1) ?? '',
      }
      const ip = String((await podOf(`${NS}/server`)).status.podIP)
      await until(
        'the policies are in force',
        async () => {
          const { status } = await kubectl.get(['meshsecuritypolicies.hauberk.dev', 'e2e-floor'])
          const conditions = (status?.conditions ?? []) as readonly { readonly type: string; readonly status: string }[]
          return conditions.some(({ type, status: is }) => type === 'Programmed' && is === 'True')
        },
        { withinMs: 30_000, everyMs: 300 },
      )
      const heard = await sayFromOutside({ host: ip, port: 8080, bytes: 'GET / HTTP/1.1\r\nhost: server\r\n\r\n' })
      assert.equal(heard.text, '')
      yield { sent: 'plaintext to the pod', got: 'closed, as the floor says' }
    } finally {
      await kubectl.run(['delete', 'meshsecuritypolicies.hauberk.dev', 'e2e-floor', '--ignore-not-found'])
    }
  },
}
