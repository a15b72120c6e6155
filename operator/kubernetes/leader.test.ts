import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import fc from '#fast-check'
import type { Clock } from '../../runtime/clock.ts'
import { silentLog } from '../../runtime/log.ts'
import { createManualClock, type ManualClock } from '../../runtime/manual-clock.ts'
import { createMetrics } from '../../runtime/metrics.ts'
import { type LeaderElectionOptions, type Leadership, type LeaseHolder, runLeaderElection } from './leader.ts'
import { recordOf } from './object.ts'
import { createLeaseServer, type LeaseServer, type Link } from './testing/lease-server.ts'

/** One that wants to lead, and what became of that. */
interface Candidate {
  readonly client: ReturnType<LeaseServer['connect']>
  /** While its work runs. */
  leadership(): Leadership | undefined
  readonly observed: (LeaseHolder | undefined)[]
  readonly terms: { readonly from: number; until: number | undefined }[]
  end(): Promise<void>
}

function candidate(
  server: LeaseServer,
  clock: ManualClock,
  identity: string,
  options: Partial<LeaderElectionOptions> & { readonly ownClock?: Clock; readonly endsAfterMs?: number } = {},
): Candidate {
  const { ownClock = clock, endsAfterMs = 0, ...rest } = options
  const client = server.connect(ownClock)
  const stop = new AbortController()
  const observed: (LeaseHolder | undefined)[] = []
  const terms: { from: number; until: number | undefined }[] = []
  let leadership: Leadership | undefined
  const done = runLeaderElection({
    client,
    namespace: 'hauberk-system',
    name: 'hauberk-operator',
    identity,
    annotations: { 'hauberk.dev/address': `${identity}:1` },
    clock: ownClock,
    random: () => 0.5,
    log: silentLog,
    signal: stop.signal,
    onObserved: (holder) => observed.push(holder),
    async onLeading(given) {
      const term = { from: clock.monotonic(), until: undefined as number | undefined }
      terms.push(term)
      leadership = given
      await new Promise<void>((resolve) => {
        const end = () => {
          term.until = clock.monotonic()
          if (endsAfterMs === 0) resolve()
          else clock.setTimer(endsAfterMs, resolve)
        }
        if (given.signal.aborted) end()
        else given.signal.addEventListener('abort', end, { once: true })
      })
      leadership = undefined
    },
    ...rest,
  })
  return {
    client,
    leadership: () => leadership,
    observed,
    terms,
    end() {
      stop.abort()
      return done
    },
  }
}

/** Ends candidates whatever they wait for. */
function endAfter(t: TestContext, clock: ManualClock, candidates: readonly Candidate[]): void {
  t.after(async () => {
    for (const { client } of candidates) client.link = 'up'
    const ended = Promise.all(candidates.map((one) => one.end()))
    await clock.advance(60_000)
    await ended
  })
}

const specOf = (server: LeaseServer) => recordOf(server.lease()?.['spec'])

test('one of two leads; both know who, and where it is reached', async (t) => {
  const [server, clock] = [createLeaseServer(), createManualClock()]
  const [a, b] = [candidate(server, clock, 'a'), candidate(server, clock, 'b')]
  endAfter(t, clock, [a, b])
  await clock.advance(60_000)
  assert.deepEqual([a.terms, b.terms], [[{ from: 0, until: undefined }], []])
  const holder = { identity: 'a', annotations: { 'hauberk.dev/address': 'a:1' } }
  assert.deepEqual([a.observed.at(-1), b.observed.at(-1)], [holder, holder])
  assert.deepEqual(
    [specOf(server)['holderIdentity'], specOf(server)['leaseDurationSeconds'], specOf(server)['leaseTransitions']],
    ['a', 15, 0],
  )
  assert.match(String(specOf(server)['renewTime']), /^2026-01-01T00:0[01]:\d\d\.\d{6}Z$/)
})

test('F02: when the leader is killed another one leads within 20 s', async (t) => {
  const [server, clock] = [createLeaseServer(), createManualClock()]
  const [a, b] = [candidate(server, clock, 'a'), candidate(server, clock, 'b')]
  endAfter(t, clock, [a, b])
  await clock.advance(31_900)
  a.client.link = 'silent'
  const killedAt = clock.monotonic()
  await clock.advance(20_000)
  assert.ok(b.terms[0] !== undefined && b.terms[0].from - killedAt <= 17_600, `${b.terms[0]?.from}`)
  assert.equal(specOf(server)['leaseTransitions'], 1)
})

test('F02: a leader that is cut off stops its work 5 s before another one can begin', async (t) => {
  for (const link of ['silent', 'refused', 'deaf'] as const) {
    const [server, clock] = [createLeaseServer(), createManualClock()]
    const [a, b] = [candidate(server, clock, 'a'), candidate(server, clock, 'b')]
    endAfter(t, clock, [a, b])
    await clock.advance(30_500)
    a.client.link = link
    const cutAt = clock.monotonic()
    await clock.advance(link === 'deaf' ? 40_000 : 25_000)
    const [ended, begun] = [a.terms[0]?.until ?? Number.NaN, b.terms[0]?.from ?? Number.NaN]
    assert.ok(ended - cutAt <= 10_000, `${link}: stopped ${ended - cutAt} ms after the cut`)
    assert.ok(begun - ended >= 5_000, `${link}: ${begun - ended} ms between the two`)
  }
})

test('clocks that are hours apart, or jump, neither take a lease away nor keep it', async (t) => {
  const [server, clock] = [createLeaseServer(), createManualClock()]
  const skewed = (byMs: number): Clock => ({ ...clock, now: () => clock.now() + byMs })
  const [a, b, c] = [
    candidate(server, clock, 'a'),
    candidate(server, clock, 'b', { ownClock: skewed(7_200_000) }),
    candidate(server, clock, 'c', { ownClock: skewed(-7_200_000) }),
  ]
  endAfter(t, clock, [a, b, c])
  await clock.advance(30_000)
  clock.jump(86_400_000)
  await clock.advance(30_000)
  clock.jump(-172_800_000)
  await clock.advance(30_000)
  assert.deepEqual([a.terms.length, b.terms.length, c.terms.length], [1, 0, 0])
  a.client.link = 'silent'
  await clock.advance(20_000)
  assert.equal(b.terms.length + c.terms.length, 1)
})

test('a leader that is asked to end stops its work, then gives the lease back, and another one takes it at once', async (t) => {
  const [server, clock] = [createLeaseServer(), createManualClock()]
  const a = candidate(server, clock, 'a', { endsAfterMs: 3_000 })
  const b = candidate(server, clock, 'b')
  endAfter(t, clock, [b])
  await clock.advance(10_000)
  const ended = a.end()
  await clock.advance(2_900)
  assert.equal(specOf(server)['holderIdentity'], 'a', 'its work has not ended')
  await clock.advance(100)
  await ended
  assert.equal(specOf(server)['holderIdentity'], '')
  assert.equal(b.terms.length, 0)
  await clock.advance(2_400)
  assert.equal(b.terms.length, 1)
  assert.deepEqual(
    b.observed.map((holder) => holder?.identity),
    [undefined, 'a', undefined, 'b'],
  )
})

test('work that ends by itself, or fails, gives the lease back', async (t) => {
  for (const fails of [false, true]) {
    const [server, clock] = [createLeaseServer(), createManualClock()]
    const a = candidate(server, clock, 'a', {
      onLeading: () => (fails ? Promise.reject(new Error('no')) : Promise.resolve()),
    })
    const b = candidate(server, clock, 'b')
    endAfter(t, clock, [a, b])
    await clock.advance(2_500)
    assert.equal(b.terms.length, 1)
  }
})

test('somebody who annotates the Lease, or deletes it, does not end the leading', async (t) => {
  const [server, clock] = [createLeaseServer(), createManualClock()]
  const [a, b] = [candidate(server, clock, 'a'), candidate(server, clock, 'b')]
  endAfter(t, clock, [a, b])
  await clock.advance(5_000)
  server.edit((lease) => ({
    ...lease,
    metadata: {
      ...recordOf(lease['metadata']),
      annotations: { ...recordOf(recordOf(lease['metadata'])['annotations']), other: 'x' },
    },
  }))
  await clock.advance(5_000)
  assert.equal(recordOf(recordOf(server.lease()?.['metadata'])['annotations'])['other'], 'x')
  await clock.advance(1_000)
  server.delete()
  await clock.advance(30_000)
  assert.deepEqual([a.terms, b.terms], [[{ from: 0, until: undefined }], []])
  assert.equal(specOf(server)['holderIdentity'], 'a')
})

test('a leader whose lease another one took stops at its next renewal', async (t) => {
  const [server, clock] = [createLeaseServer(), createManualClock()]
  const a = candidate(server, clock, 'a')
  endAfter(t, clock, [a])
  await clock.advance(5_000)
  server.edit((lease) => ({ ...lease, spec: { ...recordOf(lease['spec']), holderIdentity: 'usurper' } }))
  const takenAt = clock.monotonic()
  await clock.advance(5_000)
  assert.ok((a.terms[0]?.until ?? Number.NaN) - takenAt <= 2_000)
})

test('a Lease whose record is nonsense is not waited for longer than a minute', async (t) => {
  for (const spec of [{ holderIdentity: 'ghost', leaseDurationSeconds: 1e9 }, { holderIdentity: 5 }, null]) {
    const [server, clock] = [createLeaseServer(), createManualClock()]
    await server.connect(clock).request({
      method: 'POST',
      path: '/x',
      body: { metadata: { name: 'hauberk-operator', namespace: 'hauberk-system' }, spec },
    })
    const a = candidate(server, clock, 'a')
    endAfter(t, clock, [a])
    await clock.advance(61_000)
    assert.equal(a.terms.length, 1, JSON.stringify(spec))
  }
})

test('a process that was frozen knows that it leads no more before its timers have run', async (t) => {
  const [server, clock] = [createLeaseServer(), createManualClock()]
  const frozen: (() => void)[] = []
  let isFrozen = false
  const ownClock: Clock = {
    ...clock,
    setTimer: (delayMs, run, options) =>
      clock.setTimer(delayMs, () => (isFrozen ? void frozen.push(run) : run()), options),
  }
  const [a, b] = [candidate(server, clock, 'a', { ownClock }), candidate(server, clock, 'b')]
  endAfter(t, clock, [a, b])
  await clock.advance(5_000)
  isFrozen = true
  await clock.advance(30_000)
  assert.equal(b.terms.length, 1)
  const leadership = a.leadership()
  assert.deepEqual([leadership?.signal.aborted, leadership?.isHeld()], [false, false])
  isFrozen = false
  for (const run of frozen) run()
  await clock.advance(1)
  assert.equal(leadership?.signal.aborted, true)
  await clock.advance(20_000)
  assert.deepEqual([a.terms.length, b.terms.length], [1, 1])
})

test('whatever happens to the links, never do two lead at once, and soon after one does', async () => {
  const link = fc.constantFrom<Link>('up', 'refused', 'silent', 'deaf')
  const step = fc.record({
    links: fc.tuple(link, link, link),
    latencyMs: fc.constantFrom(0, 50, 3_000),
    ms: fc.integer({ min: 100, max: 20_000 }),
  })
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { maxLength: 8 }),
      fc.array(fc.double({ min: 0, max: 0.999, noNaN: true }), { minLength: 1 }),
      async (steps, numbers) => {
        const [server, clock] = [createLeaseServer(), createManualClock()]
        let n = 0
        const random = () => numbers[n++ % numbers.length]!
        const all = ['a', 'b', 'c'].map((name) => candidate(server, clock, name, { random }))
        const pass = async (ms: number) => {
          for (let passed = 0; passed < ms; passed += 100) {
            await clock.advance(100)
            const leaders = all.filter((one) => one.leadership()?.isHeld())
            assert.ok(leaders.length <= 1, `${leaders.length} lead at ${clock.monotonic()}`)
          }
        }
        for (const { links, latencyMs, ms } of steps) {
          for (const [i, one] of all.entries()) {
            one.client.link = links[i] ?? 'up'
            one.client.latencyMs = latencyMs
          }
          await pass(ms)
        }
        for (const { client } of all) {
          client.link = 'up'
          client.latencyMs = 0
        }
        await pass(25_000)
        assert.equal(all.filter((one) => one.leadership()?.isHeld()).length, 1)
        const ended = Promise.all(all.map((one) => one.end()))
        await clock.advance(60_000)
        await ended
      },
    ),
    { numRuns: 30 },
  )
})

test('who leads, and what failed, is counted', async (t) => {
  const [server, clock, metrics] = [createLeaseServer(), createManualClock(), createMetrics()]
  const a = candidate(server, clock, 'a', { metrics })
  endAfter(t, clock, [a])
  await clock.advance(5_000)
  assert.match(await metrics.text(), /hauberk_leader 1\n/)
  a.client.link = 'refused'
  await clock.advance(20_000)
  const text = await metrics.text()
  assert.match(text, /hauberk_leader 0\n/)
  assert.match(text, /hauberk_leader_terms_total 1\n/)
  assert.match(text, /hauberk_lease_failures_total [1-9]/)
})
