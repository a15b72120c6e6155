import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { systemClock } from '../../runtime/clock.ts'
import { silentLog } from '../../runtime/log.ts'
import type { KubernetesClient } from './client.ts'
import { type Leadership, type LeaseHolder, runLeaderElection } from './leader.ts'
import { recordOf } from './object.ts'
import { startProxy, testCluster, until } from './testing/cluster.ts'

/** One that wants to lead, with the times of the product. */
function candidate(t: TestContext, client: KubernetesClient, namespace: string, identity: string) {
  const stop = new AbortController()
  const observed: (LeaseHolder | undefined)[] = []
  let leadership: Leadership | undefined
  let endedAtMs: number | undefined
  const done = runLeaderElection({
    client,
    namespace,
    name: 'election',
    identity,
    annotations: { 'hauberk.dev/address': `${identity}:1` },
    clock: systemClock,
    random: Math.random,
    log: silentLog,
    signal: stop.signal,
    onObserved: (holder) => observed.push(holder),
    async onLeading(given) {
      leadership = given
      await new Promise<void>((resolve) => {
        if (given.signal.aborted) resolve()
        else given.signal.addEventListener('abort', () => resolve(), { once: true })
      })
      endedAtMs = performance.now()
      leadership = undefined
    },
  })
  const end = async () => {
    stop.abort()
    await done
  }
  t.after(end)
  return { identity, observed, end, leads: () => leadership?.isHeld() === true, endedAtMs: () => endedAtMs }
}

test('F02: of two who fight for a lease one leads; when it is asked to end the other one leads at once', {
  timeout: 60_000,
}, async (t) => {
  const { client, namespace, open } = await testCluster(t)
  const all = [candidate(t, client, namespace, 'a'), candidate(t, await open(), namespace, 'b')]
  await until(() => all.some((one) => one.leads()), 'one leads')
  const [leader, other] = all[0]?.leads() ? [all[0], all[1]] : [all[1], all[0]]
  assert.equal(other?.leads(), false)
  await until(() => other?.observed.at(-1)?.identity === leader?.identity, 'the other one sees it')
  assert.equal(other?.observed.at(-1)?.annotations['hauberk.dev/address'], `${leader?.identity}:1`)
  const startedAt = performance.now()
  await leader?.end()
  await until(() => other?.leads() === true, 'the other one leads')
  assert.ok(performance.now() - startedAt < 5_000)
  const lease = await client.request({ path: `/apis/coordination.k8s.io/v1/namespaces/${namespace}/leases/election` })
  const spec = recordOf(recordOf(lease)['spec'])
  assert.deepEqual(
    [spec['holderIdentity'], spec['leaseDurationSeconds'], spec['leaseTransitions']],
    [other?.identity, 15, 1],
  )
})

test('F02: a leader that is cut off stops before another one begins, which it does within 20 s', {
  timeout: 60_000,
}, async (t) => {
  const { client, namespace, open } = await testCluster(t)
  const proxy = await startProxy(t)
  const leader = candidate(t, await open({ through: proxy }), namespace, 'a')
  await until(() => leader.leads(), 'it leads')
  const other = candidate(t, client, namespace, 'b')
  await until(() => other.observed.at(-1)?.identity === 'a', 'the other one sees it')
  const cutAt = performance.now()
  proxy.freeze()
  await until(() => other.leads(), 'the other one leads')
  const begunAt = performance.now()
  assert.ok(begunAt - cutAt <= 20_000, `${begunAt - cutAt} ms`)
  assert.ok(leader.leads() === false && begunAt - (leader.endedAtMs() ?? begunAt) >= 3_000)
  proxy.cut()
  proxy.thaw()
  await until(() => leader.observed.at(-1)?.identity === 'b', 'the former one follows')
  assert.equal(leader.leads(), false)
})
