import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import fc from '#fast-check'
import { atOnce } from '../model/turns.ts'
import { decode, read } from './codec.ts'
import { decodeOperatorMessage, readConfig } from './read-config.ts'
import { OperatorMessage } from './session.ts'
import { someConfig as config, type Parts, parts, route } from './testing/some-config.ts'
import { WorkloadConfig } from './workload-config.ts'

function wire(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value))
}

test('a config that is read beside an earlier one is the one that is read alone', () => {
  fc.assert(
    fc.property(parts, parts, (before, now) => {
      const earlier = read(WorkloadConfig, wire(config(before)))
      assert.ok(earlier.ok)
      assert.deepEqual(readConfig(wire(config(now)), earlier.value), read(WorkloadConfig, wire(config(now))))
    }),
  )
})

test('what says the same is the very object of before, wherever it stands', () => {
  const given = { services: ['a', 'b'], upstreams: ['a', 'b'], timeoutMs: 1 }
  const before = read(WorkloadConfig, wire(config({ ...given, routes: [route('a'), route('b')] })))
  assert.ok(before.ok)
  const now = config({
    ...given,
    services: ['b', 'c'],
    routes: [route('new'), route('a'), route('b', { action: { kind: 'respond', status: 404 } })],
  })
  const after = readConfig(wire(now), before.value)
  assert.ok(after.ok)
  for (const i of [0, 1]) {
    assert.equal(after.value.listeners[i]?.routes[1], before.value.listeners[i]?.routes[0])
    assert.notEqual(after.value.listeners[i]?.routes[2], before.value.listeners[i]?.routes[1])
  }
  assert.equal(after.value.outbound.services[0], before.value.outbound.services[1])
  assert.equal(after.value.upstreams['a'], before.value.upstreams['a'])
})

test('whatever is wrong with a config is told with its place in the whole', () => {
  const given = { services: [], upstreams: [], timeoutMs: 1 }
  const before = read(WorkloadConfig, wire(config({ ...given, routes: [route('a')] })))
  assert.ok(before.ok)
  const broken = wire(
    config({ ...given, routes: [route('a'), route('b', { action: { kind: 'respond', status: 99 } })] }),
  )
  assert.deepEqual(readConfig(broken, before.value), read(WorkloadConfig, broken))
  const told = atOnce(decodeOperatorMessage(JSON.stringify({ type: 'config', config: broken }), before.value))
  assert.ok(!told.ok)
  assert.deepEqual(
    told.issues.map(({ path }) => path),
    ['config.listeners.0.routes.1.action.status', 'config.listeners.1.routes.1.action.status'],
  )
})

test('a config of a thousand routes is read in a dozen turns, and to no other end', () => {
  const parts = (changed: number): Parts => ({
    routes: Array.from({ length: 1_000 }, (_, i) => route(i === changed ? `edited-${i}` : `${i}`)),
    services: [],
    upstreams: [],
    timeoutMs: 1,
  })
  const before = read(WorkloadConfig, wire(config(parts(-1))))
  assert.ok(before.ok)
  const text = JSON.stringify({ type: 'config', config: config(parts(500)) })
  const turns = decodeOperatorMessage(text, before.value)
  let count = 1
  let turn = turns.next()
  while (turn.done !== true) {
    count += 1
    turn = turns.next()
  }
  assert.ok(count >= 12, `${count} turns`)
  assert.deepEqual(turn.value, decode(OperatorMessage, text))
})

test('a message is taken or refused as it is without an earlier config, whatever it says', () => {
  const before = read(WorkloadConfig, wire(config({ routes: [], services: [], upstreams: [], timeoutMs: 1 })))
  assert.ok(before.ok)
  const odd = fc.oneof(
    fc.json(),
    fc.jsonValue().map((value) => JSON.stringify({ type: 'config', config: value })),
    fc.jsonValue().map((value) =>
      JSON.stringify({
        type: 'config',
        config: {
          ...config({ routes: [], services: [], upstreams: [], timeoutMs: 1 }),
          listeners: value,
          outbound: value,
          upstreams: value,
        },
      }),
    ),
    fc.constant('{"type":"config","config":{"__proto__":{"listeners":[]},"upstreams":{"__proto__":{}}}}'),
    fc.constant('{"type":"config","config":{},"more":1}'),
    fc.constant('{'),
  )
  fc.assert(
    fc.property(odd, (text) => {
      const alone = decode(OperatorMessage, text)
      const beside = atOnce(decodeOperatorMessage(text, before.value))
      assert.equal(beside.ok, alone.ok)
      if (beside.ok) assert.deepEqual(beside, alone)
    }),
  )
})

test('frozen documents read beside themselves are themselves', () => {
  const folder = join(import.meta.dirname, 'testdata', 'v3')
  let count = 0
  for (const file of readdirSync(folder)) {
    const found = decode(WorkloadConfig, readFileSync(join(folder, file), 'utf8'))
    if (!found.ok) continue
    count += 1
    const again = readConfig(wire(found.value), found.value)
    assert.deepEqual(again, found)
    assert.ok(again.ok)
    again.value.listeners.forEach((listener, i) => {
      assert.ok(listener.routes.every((each, j) => each === found.value.listeners[i]?.routes[j]))
    })
  }
  assert.ok(count > 0)
})
