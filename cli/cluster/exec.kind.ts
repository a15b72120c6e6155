import assert from 'node:assert/strict'
import { test } from 'node:test'
import { openCluster } from './cluster.ts'
import { ExecError } from './exec.ts'
import type { Pod } from './objects.ts'
import { readAll, seenOr } from './read.ts'

test('a program in a container is run to its end, and what cannot be run says why', async (t) => {
  const cluster = await openCluster({})
  t.after(() => cluster.close())
  // Every cluster that kind or kubeadm made has it, and its image has a program that ends by itself.
  const place = { apiVersion: 'v1', plural: 'pods', kind: 'Pod', namespace: 'kube-system' }
  const pods = seenOr(await readAll<Pod>(cluster.client, place), [])
  const pod = pods.find(({ metadata }) => metadata.labels?.['k8s-app'] === 'kube-proxy')?.metadata.name
  assert.ok(pod, 'kube-proxy runs')
  const target = { namespace: 'kube-system', pod, container: 'kube-proxy' }

  const version = await cluster.exec(target, ['kube-proxy', '--version'])
  assert.equal(version.exitCode, 0)
  assert.match(version.stdout, /^Kubernetes v1\./)
  const wrong = await cluster.exec(target, ['kube-proxy', '--no-such-flag'])
  assert.equal(wrong.exitCode, 1)
  assert.match(wrong.stderr, /unknown flag/)

  const refused = (name: Partial<typeof target>, command: string, why: RegExp) =>
    assert.rejects(cluster.exec({ ...target, ...name }, [command]), (error: unknown) => {
      assert.ok(error instanceof ExecError)
      assert.match(error.message, why)
      return true
    })
  await refused({}, '/no-such-program', /ran nothing: .*no such file/)
  await refused({ pod: 'no-such-pod' }, 'x', /is not there any more/)

  const many = await Promise.all(Array.from({ length: 12 }, () => cluster.exec(target, ['kube-proxy', '--version'])))
  assert.ok(
    many.every(({ exitCode }) => exitCode === 0),
    'more programs than are run at once',
  )
})
