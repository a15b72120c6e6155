import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { silentLog } from '../../runtime/log.ts'
import { createManualClock } from '../../runtime/manual-clock.ts'
import { createMetrics } from '../../runtime/metrics.ts'
import type { KubernetesRequest } from './client.ts'
import { KubernetesError } from './errors.ts'
import { createEvents, type EventFields } from './events.ts'
import { recordOf } from './object.ts'

const regarding = {
  apiVersion: 'hauberk.dev/v1alpha1',
  kind: 'SecurityPolicy',
  namespace: 'shop',
  name: 'orders',
  uid: 'u',
}
const event: EventFields = { regarding, type: 'Warning', reason: 'NotProgrammed', note: 'orders-1 refused it' }

/** Events that are written to a list, in the time of the test. */
function eventsOf(t: TestContext, answer: (request: KubernetesRequest) => unknown = () => ({})) {
  const clock = createManualClock()
  const metrics = createMetrics()
  const stop = new AbortController()
  const written: KubernetesRequest[] = []
  const events = createEvents({
    client: {
      server: 'test',
      namespace: undefined,
      async request<T>(request: KubernetesRequest) {
        written.push(request)
        return answer(request) as T
      },
      stream: () => Promise.reject(new Error('there are no streams')),
      close() {},
    },
    component: 'hauberk.dev/operator',
    instance: 'hauberk-operator-7d764666f9-x',
    clock,
    random: () => 0.5,
    log: silentLog,
    metrics,
    signal: stop.signal,
  })
  t.after(() => stop.abort())
  return { events, written, clock, metrics, stop }
}

const refuse = (status: number, reason: string) => {
  throw new KubernetesError({ status, reason, message: reason })
}

test('an event says what, of whom, by whom and when', async (t) => {
  const { events, written } = eventsOf(t)
  events.record({ ...event, note: 'x'.repeat(2_000), action: 'Push' })
  await events.flush()
  assert.equal(written[0]?.method, 'POST')
  assert.equal(written[0]?.path, '/apis/events.k8s.io/v1/namespaces/shop/events')
  const { metadata, note, ...rest } = recordOf(written[0]?.body)
  assert.deepEqual(rest, {
    apiVersion: 'events.k8s.io/v1',
    kind: 'Event',
    eventTime: '2026-01-01T00:00:00.000000Z',
    reportingController: 'hauberk.dev/operator',
    reportingInstance: 'hauberk-operator-7d764666f9-x',
    action: 'Push',
    reason: 'NotProgrammed',
    regarding,
    type: 'Warning',
  })
  assert.equal(String(note).length, 1_024)
  assert.match(String(recordOf(metadata)['name']), /^orders\.hauberk-operator-7d764666f9-x\.1\.[a-z0-9]+$/)
})

test('an event about something cluster-scoped goes to the namespace default', async (t) => {
  const { events, written } = eventsOf(t)
  events.record({ ...event, regarding: { apiVersion: 'v1', kind: 'MeshConfig', name: 'default' } })
  await events.flush()
  assert.equal(written[0]?.path, '/apis/events.k8s.io/v1/namespaces/default/events')
})

test('the same event again raises the count of the first, some seconds apart, and the last count is told too', async (t) => {
  const { events, written, clock } = eventsOf(t)
  events.record(event)
  await clock.advance(0)
  for (let i = 0; i < 100; i++) {
    events.record(event)
    await clock.advance(100)
  }
  await clock.advance(5_000)
  assert.deepEqual(
    written.map(({ method, body }) => [method, recordOf(recordOf(body)['series'])['count']]),
    [
      ['POST', undefined],
      ['PATCH', 51],
      ['PATCH', 101],
    ],
  )
  assert.match(written[1]?.path ?? '', /\/events\/orders\./)
  assert.equal(written[1]?.contentType, 'application/merge-patch+json')
  events.record({ ...event, note: 'another note' })
  await clock.advance(0)
  assert.equal(written[3]?.method, 'POST')
})

test('an event that comes again after 10 minutes is a new one; one that the API server forgot is written anew', async (t) => {
  const { events, written, clock } = eventsOf(t, ({ method }) => (method === 'PATCH' ? refuse(404, 'NotFound') : {}))
  events.record(event)
  await clock.advance(300_000)
  events.record(event)
  await clock.advance(10_000)
  assert.deepEqual(
    written.map(({ method, body }) => [method, recordOf(recordOf(body)['series'])['count']]),
    [
      ['POST', undefined],
      ['PATCH', 2],
      ['POST', 2],
    ],
  )
  await clock.advance(600_000)
  events.record(event)
  await clock.advance(0)
  assert.deepEqual([written[3]?.method, recordOf(written[3]?.body)['series']], ['POST', undefined])
})

test('no more than 25 at once and 5 a second are written, 256 wait, the rest are dropped and counted', async (t) => {
  const { events, written, clock, metrics } = eventsOf(t)
  for (let i = 0; i < 1_000; i++) events.record({ ...event, note: `note ${i}` })
  await clock.advance(0)
  assert.equal(written.length, 25)
  await clock.advance(10_000)
  assert.equal(written.length, 75)
  await clock.advance(60_000)
  assert.equal(written.length, 256)
  assert.match(await metrics.text(), /hauberk_kubernetes_events_dropped_total\{cause="TooMany"\} 744/)
})

test('series are bounded: the one that was recorded longest ago is forgotten', async (t) => {
  const { events, written, clock } = eventsOf(t)
  events.record(event)
  await clock.advance(0)
  for (let i = 0; i < 5_000; i++) {
    events.record({ ...event, note: `note ${i}` })
    if (i % 100 === 0) await clock.advance(60_000)
  }
  await clock.advance(120_000)
  const before = written.length
  events.record(event)
  await clock.advance(0)
  assert.deepEqual([written.length, written.at(-1)?.method], [before + 1, 'POST'])
})

test('what fails in passing is tried again three times, what is refused is not', async (t) => {
  let status = 503
  const { events, written, clock, metrics } = eventsOf(t, () =>
    refuse(status, status === 503 ? 'ServiceUnavailable' : 'Forbidden'),
  )
  events.record(event)
  await clock.advance(60_000)
  assert.equal(written.length, 3)
  status = 403
  events.record({ ...event, note: 'other' })
  await clock.advance(60_000)
  assert.equal(written.length, 4)
  const text = await metrics.text()
  assert.match(text, /events_dropped_total\{cause="ServiceUnavailable"\} 1/)
  assert.match(text, /events_dropped_total\{cause="Forbidden"\} 1/)
})

test('after the end nothing is recorded and nobody waits', async (t) => {
  const { events, written, stop } = eventsOf(t)
  stop.abort()
  events.record(event)
  await events.flush()
  assert.equal(written.length, 0)
})
