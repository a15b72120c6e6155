import assert from 'node:assert/strict'
import { until } from '../../world/until.ts'
import { SYSTEM_NAMESPACE } from '../helm.ts'
import { KubectlError } from '../kubectl.ts'
import type { ClusterScenario } from '../scenario.ts'

const INSIDE = 'e2e-webhook-in'
const OUTSIDE = 'e2e-webhook-out'

export const webhookDown: ClusterScenario = {
  name: 'webhook-down',
  title: 'F21: with no operator, pods of opted-in namespaces are refused, all others start, and it heals by itself',
  core: true,
  async *run({ kubectl, namespace }) {
    await namespace(INSIDE)
    await namespace(OUTSIDE, { inject: false })
    const pod = (name: string, where: string) => `apiVersion: v1
kind: Pod
metadata: {name: ${name}, namespace: ${where}}
spec:
  terminationGracePeriodSeconds: 0
  containers: [{name: app, image: 'hauberk-shop:0.1.0', command: [node, --eval, 'setInterval(() => {}, 1e6)']}]
`
    const scale = (replicas: number) =>
      kubectl.run(['scale', '-n', SYSTEM_NAMESPACE, 'deploy/hauberk-operator', `--replicas=${replicas}`])
    try {
      await scale(0)
      await kubectl.run(
        [
          'wait',
          '-n',
          SYSTEM_NAMESPACE,
          '--for=delete',
          'pod',
          '-l',
          'app.kubernetes.io/name=hauberk-operator',
          '--timeout=60s',
        ],
        { timeoutMs: 65_000 },
      )
      const refused = await kubectl.apply(pod('one', INSIDE)).catch((error: unknown) => {
        if (error instanceof KubectlError) return error.stderr
        throw error
      })
      assert.match(refused, /failed calling webhook "inject\.hauberk\.dev"/)
      yield {
        sent: 'no operator; a pod in an opted-in namespace',
        got: 'refused',
        said: 'failed calling webhook "inject.hauberk.dev"',
      }
      await kubectl.apply(pod('one', OUTSIDE))
      yield { sent: 'a pod in another namespace', got: 'created' }
    } finally {
      await scale(2)
    }
    const start = performance.now()
    await until(
      'pods are taken again',
      () =>
        kubectl.apply(pod('two', INSIDE)).then(
          () => true,
          () => false,
        ),
      { withinMs: 60_000, everyMs: 500 },
    )
    yield {
      sent: 'the operator is back; a pod again',
      got: `created after ${((performance.now() - start) / 1_000).toFixed(1)} s`,
    }

    const bundle = async () =>
      (
        await kubectl.run([
          'get',
          'mutatingwebhookconfiguration',
          'hauberk-inject',
          '-o',
          'jsonpath={.webhooks[0].clientConfig.caBundle}',
        ])
      ).trim()
    const right = await bundle()
    const wrong = JSON.stringify([
      {
        op: 'replace',
        path: '/webhooks/0/clientConfig/caBundle',
        value: Buffer.from('-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n').toString('base64'),
      },
    ])
    await kubectl
      .run(['patch', 'mutatingwebhookconfiguration', 'hauberk-inject', '--type=json', '-p', wrong])
      .catch(async () => {
        // An API server that looks at the bundle takes none that is broken; it takes an empty one.
        await kubectl.run([
          'patch',
          'mutatingwebhookconfiguration',
          'hauberk-inject',
          '--type=json',
          '-p',
          JSON.stringify([{ op: 'remove', path: '/webhooks/0/clientConfig/caBundle' }]),
        ])
      })
    const broken = performance.now()
    await until('the bundle is right again', async () => (await bundle()) === right, { withinMs: 60_000, everyMs: 500 })
    yield {
      sent: 'somebody breaks the caBundle',
      got: `right again after ${((performance.now() - broken) / 1_000).toFixed(1)} s`,
    }
  },
}
