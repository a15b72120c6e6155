import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from '#fast-check'
import type { RetryCondition } from '../../contract/traffic.ts'
import type { UpstreamFailure } from '../upstream/upstream-stream.ts'
import { type Retry, settleDelivery } from './delivery.ts'
import { Tries } from './tries.ts'

const RETRY: Retry = {
  attempts: 2,
  on: new Set(['connect-failure', 'reset'] as const),
  statuses: new Set([503]),
  methods: new Set(['GET', 'PUT']),
  backoffMs: 100,
  maxBackoffMs: 300,
  maxBodyBytes: 8,
}

test('a request is tried again on what is named, and no more often than may be', () => {
  const tries = new Tries(RETRY, 'GET')
  assert.equal(tries.mayFollow('timeout', 'seen', false), false)
  assert.equal(tries.mayFollow(502, 'seen', false), false)
  for (let i = 0; i < 2; i++) {
    assert.equal(tries.mayFollow('reset', 'seen', false), true)
    assert.equal(tries.mayFollow(503, 'seen', false), true)
    tries.next(Math.random)
  }
  assert.equal(tries.mayFollow('reset', 'seen', false), false)
  assert.equal(tries.made, 2)
})

test('a request that may not be made twice is tried again only where nobody has seen it', () => {
  const tries = new Tries(RETRY, 'POST')
  assert.equal(tries.mayFollow('connect-failure', 'unseen', false), true)
  assert.equal(tries.mayFollow('reset', 'seen', false), false)
  assert.equal(tries.mayFollow('reset', 'closed', false), false)
  assert.equal(tries.mayFollow(503, 'seen', false), false)
})

test('a body is kept as it was sent up to its bound, and a longer one is sent once', () => {
  const tries = new Tries(RETRY, 'PUT')
  const lent = Buffer.from('abcd')
  tries.keep([lent], false)
  lent.fill('x')
  tries.keep([Buffer.from('ef')], false)
  assert.equal(Buffer.concat(tries.body).toString(), 'abcdef')
  assert.equal(tries.mayFollow('reset', 'seen', true), true)
  tries.keep([Buffer.from('ghi')], false)
  assert.deepEqual([tries.body.length, tries.canRepeatBody], [0, false])
  assert.equal(tries.mayFollow('reset', 'seen', true), false)
  assert.equal(tries.mayFollow('connect-failure', 'unseen', false), true)
})

test('a body with trailers is sent once', () => {
  const tries = new Tries(RETRY, 'PUT')
  tries.keep([], true)
  assert.equal(tries.mayFollow('reset', 'seen', true), false)
})

test('pauses double, are cut, and are never the same for everybody', () => {
  const pauses = (random: number) => {
    const tries = new Tries({ ...RETRY, attempts: 5 }, 'GET')
    return Array.from({ length: 4 }, () => tries.next(() => random))
  }
  assert.deepEqual(pauses(0), [50, 100, 150, 150])
  assert.deepEqual(pauses(1), [100, 200, 300, 300])
  assert.equal(new Tries({ ...RETRY, backoffMs: 0, maxBackoffMs: 0 }, 'GET').next(Math.random), 0)
})

test('whatever happens, what was seen is repeated only for methods that may be, and never without its whole body', () => {
  const step = fc.record({
    event: fc.constantFrom<(RetryCondition | number)[]>(
      'connect-failure',
      'refused-stream',
      'reset',
      'timeout',
      502,
      503,
    ),
    request: fc.constantFrom('unseen', 'closed', 'seen'),
    bytes: fc.nat(5),
  } as const)
  fc.assert(
    fc.property(
      fc.array(step, { maxLength: 12 }),
      fc.constantFrom('GET', 'POST'),
      fc.nat(3),
      (steps, method, attempts) => {
        const tries = new Tries({ ...RETRY, attempts }, method)
        const sent: Buffer[] = []
        let made = 0
        for (const { event, request, bytes } of steps) {
          const slice = Buffer.alloc(bytes, 'b')
          tries.keep([slice], false)
          sent.push(slice)
          if (!tries.mayFollow(event, request as UpstreamFailure['request'], true)) continue
          made += 1
          assert.ok(made <= attempts)
          assert.ok(request === 'unseen' || method === 'GET')
          assert.ok(typeof event === 'number' ? event === 503 : RETRY.on.has(event))
          assert.ok(Buffer.concat(tries.body).equals(Buffer.concat(sent)))
          tries.next(Math.random)
        }
      },
    ),
  )
})

test('what a route says goes before what its upstream says, word by word', () => {
  const action = { kind: 'forward', backends: [{ upstream: 'a', weight: 1 }], requestTimeoutMs: 30_000 } as const
  const forward = { ...action, backends: [...action.backends] }
  assert.deepEqual(settleDelivery(forward, undefined), { requestTimeoutMs: 30_000, tryTimeoutMs: 0, retry: undefined })
  const traffic = { origins: [], delivery: { requestTimeoutMs: 5_000, tryTimeoutMs: 800 } }
  assert.deepEqual(settleDelivery({ ...forward, delivery: { tryTimeoutMs: 100 } }, traffic), {
    requestTimeoutMs: 5_000,
    tryTimeoutMs: 100,
    retry: undefined,
  })
  assert.equal(settleDelivery({ ...forward, delivery: { requestTimeoutMs: 0 } }, traffic).requestTimeoutMs, 0)
})
