import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import fc from '#fast-check'
import { atOnce } from '../model/turns.ts'
import { decode, read } from './codec.ts'
import { decodeOperatorMessage, readConfig } from './read-config.ts'
import { OperatorMessage } from './session.ts'
import { type RouteConfig, WorkloadConfig } from './workload-config.ts'

function route(id: string, change: Partial<RouteConfig> = {}): RouteConfig {
  return {
    id,
    match: { hostnames: [], path: { type: 'prefix', value: `/${id}` }, headers: [], query: [] },
    filters: {},
    action: { kind: 'respond', status: 200 },
    ...change,
  }
}

interface Parts {
  readonly routes: readonly RouteConfig[]
  readonly services: readonly string[]
  readonly upstreams: readonly string[]
  readonly timeoutMs: number
}

function config({ routes, services, upstreams, timeoutMs }: Parts): WorkloadConfig {
  return {
    contract: 3,
    version: 'v',
    workload: 'shop/orders',
    role: 'gateway',
    identity: { spiffeId: 'spiffe://mesh/ns/shop/sa/orders', trustDomain: 'mesh' },
    trustBundle: [],
    trustedHops: 0,
    listeners: [
      { kind: 'gateway', name: 'http', port: 80, protocol: 'http', certificates: [], routes: [...routes] },
      { kind: 'inbound', port: 80, protocol: 'http', mtls: 'Strict', filters: {}, routes: [...routes] },
    ],
    outbound: {
      egress: [],
      services: services.map((name) => ({
        service: name,
        hosts: [name],
        port: 80,
        protocol: 'http',
        upstream: name,
        requestTimeoutMs: timeoutMs,
      })),
    },
    upstreams: Object.fromEntries(
      upstreams.map((name) => [name, { service: name, port: 80, protocol: 'http', tls: 'mesh', spiffeIds: [] }]),
    ),
  }
}

function wire(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value))
}

const name = fc.constantFrom('a', 'b', 'c', 'd', 'constructor', 'toString')
const parts: fc.Arbitrary<Parts> = fc.record({
  routes: fc.array(
    fc
      .tuple(name, fc.constantFrom(200 as const, 404 as const))
      .map(([id, status]) => route(id, { action: { kind: 'respond', status } })),
    { maxLength: 5 },
  ),
  services: fc.array(name, { maxLength: 4 }),
  upstreams: fc.uniqueArray(name, { maxLength: 4 }),
  timeoutMs: fc.constantFrom(1, 2),
})

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
