import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { createManualClock } from '../../runtime/manual-clock.ts'
import { createMetrics } from '../../runtime/metrics.ts'
import { recordOf } from '../kubernetes/object.ts'
import { scriptServer } from '../kubernetes/testing/api-server.ts'
import { gatewayCounters } from './counters.ts'
import type { GatewayStatus, StatusCondition } from './gateway-status.ts'
import { createStatusWriter } from './status-writer.ts'

function condition(type: string, status: 'True' | 'False' = 'True'): StatusCondition {
  return { type, status, reason: type, message: '', observedGeneration: 1 }
}

function statusOf(programmed: 'True' | 'False', names = ['a', 'b']): GatewayStatus {
  return {
    addresses: [],
    conditions: [condition('Accepted'), condition('Programmed', programmed)],
    listeners: names.map((name) => ({
      name,
      supportedKinds: [],
      attachedRoutes: 0,
      conditions: [condition('Accepted'), condition('Programmed', programmed)],
    })),
  }
}

/** A writer, and an API server that takes everything. What was taken is not seen before the test says so. */
async function start(t: TestContext) {
  const clock = createManualClock()
  const taken: { readonly resourceVersion: string; readonly status: Readonly<Record<string, unknown>> }[] = []
  let seen: { readonly resourceVersion: string; readonly status: unknown } | undefined
  const { client } = await scriptServer(t, ({ body }, answer) => {
    const { metadata, status } = recordOf(body)
    const resourceVersion = String(8 + taken.length)
    taken.push({ resourceVersion, status: recordOf(status) })
    answer.json(200, { ...recordOf(body), metadata: { ...recordOf(metadata), resourceVersion } })
  })
  const { signal } = new AbortController()
  const counters = gatewayCounters(createMetrics())
  const writer = createStatusWriter({ client, observed: () => seen, counters, clock, signal })
  return {
    clock,
    taken,
    see: (next: typeof seen) => {
      seen = next
    },
    write: (status: GatewayStatus) => writer.gateway('shop', 'edge', status),
  }
}

test('a status that the API server has is not written, whatever the order of its maps and what others added', async (t) => {
  const { write, taken, see } = await start(t)
  await write(statusOf('True'))
  await write(statusOf('True'))
  assert.equal(taken.length, 1)
  const [{ status, resourceVersion }] = taken as [(typeof taken)[0]]
  const { conditions, listeners } = status as { readonly conditions: object[]; readonly listeners: object[] }
  const foreign = { ...condition('other.example/Condition'), lastTransitionTime: '2026-01-01T00:00:00Z' }
  see({
    resourceVersion,
    status: { ...status, conditions: [foreign, ...conditions.toReversed()], listeners: listeners.toReversed() },
  })
  await write(statusOf('True'))
  assert.equal(taken.length, 1)
  await write(statusOf('True', ['a']))
  assert.equal(taken.length, 2)
})

test('a write that was not seen yet counts: no time of a transition is made anew', async (t) => {
  const { write, taken, see, clock } = await start(t)
  see({ resourceVersion: '7', status: {} })
  await write(statusOf('False'))
  await clock.advance(60_000)
  await write(statusOf('True'))
  const last = taken.at(-1)
  await clock.advance(60_000)
  see(taken[0])
  await write(statusOf('True'))
  assert.equal(taken.length, 2)
  see(last)
  await write(statusOf('True'))
  assert.equal(taken.length, 2)
})

test('what somebody else wrote since is seen, and written over', async (t) => {
  const { write, taken, see } = await start(t)
  await write(statusOf('True'))
  see({ resourceVersion: '99', status: { conditions: [] } })
  await write(statusOf('True'))
  assert.equal(taken.length, 2)
})
