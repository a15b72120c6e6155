import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createMetrics } from '../../runtime/metrics.ts'
import type { EventFields } from '../kubernetes/events.ts'
import type { UnmeshedPod } from '../status/unmeshed-pods.ts'
import { countUnmeshed, createUnmeshedEvents } from './unmeshed.ts'

const pod = (namespace: string, name: string): UnmeshedPod => ({ namespace, name, uid: `u-${name}` })

test('T08: pods without a sidecar are counted by namespace, and no more when they are gone', async () => {
  const metrics = createMetrics()
  let found: readonly UnmeshedPod[] = [pod('shop', 'a'), pod('shop', 'b'), { ...pod('x', 'c'), allowedBy: 'agents' }]
  countUnmeshed(metrics, () => found)
  const series = async () =>
    (await metrics.text()).split('\n').filter((line) => line.startsWith('hauberk_unmeshed_pods'))
  assert.deepEqual(await series(), ['hauberk_unmeshed_pods{namespace="shop"} 2'])
  found = [pod('other', 'a')]
  assert.deepEqual(await series(), ['hauberk_unmeshed_pods{namespace="other"} 1'])
})

test('T08: the owner of such a pod is told once, and of one that is made again once more', () => {
  const events: EventFields[] = []
  const tell = createUnmeshedEvents((event) => events.push(event))
  const allowed = { ...pod('shop', 'agent'), allowedBy: 'agents' }
  tell([pod('shop', 'a'), allowed])
  tell([pod('shop', 'a'), allowed])
  assert.deepEqual(
    events.map(({ type, reason, regarding }) => [type, reason, regarding.kind, regarding.name, regarding.uid]),
    [['Warning', 'NotInjected', 'Pod', 'a', 'u-a']],
  )
  tell([{ ...pod('shop', 'a'), uid: 'another' }])
  assert.equal(events.length, 2)
})
