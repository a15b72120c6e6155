import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from '#fast-check'
import { atOnce } from '../model/turns.ts'
import { read } from './codec.ts'
import { ConfigChange, changeBetween, withChange } from './config-change.ts'
import { decodeOperatorMessage } from './read-config.ts'
import { type Parts, parts, route, someConfig } from './testing/some-config.ts'
import { WorkloadConfig } from './workload-config.ts'

function wire(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value))
}

function configOf(some: Parts, version: string): WorkloadConfig {
  const config = read(WorkloadConfig, wire({ ...someConfig(some), version }))
  assert.ok(config.ok)
  return config.value
}

test('a change of a config leads to the config after it', () => {
  fc.assert(
    fc.property(parts, parts, (some, other) => {
      const before = configOf(some, '1')
      const after = configOf(other, '2')
      const text = JSON.stringify(changeBetween(before, after))
      const change = read(ConfigChange, JSON.parse(text))
      assert.ok(change.ok)
      assert.deepEqual(withChange(change.value, before), { ok: true, value: wire(after) })
      const found = atOnce(decodeOperatorMessage(text, before))
      assert.deepEqual(found, { ok: true, value: { type: 'config', config: after } })
    }),
  )
})

test('what both configs have is not said again, wherever it stands, and is the very object afterwards', () => {
  const routes = Array.from({ length: 1_000 }, (_, i) => route(`r${i}`))
  const few = { services: ['a', 'b'], upstreams: ['a', 'b'], timeoutMs: 1 }
  const before = configOf({ ...few, routes }, '1')
  const changed = [...routes.slice(10, 500), route('new'), ...routes.slice(500), ...routes.slice(0, 10)]
  const text = JSON.stringify(changeBetween(before, configOf({ ...few, routes: changed }, '2')))
  assert.ok(text.length < 1_500, text)
  const found = atOnce(decodeOperatorMessage(text, before))
  assert.ok(found.ok && found.value.type === 'config')
  const [listener] = found.value.config.listeners
  assert.equal(listener!.routes.length, 1_001)
  assert.equal(listener!.routes[0], before.listeners[0]!.routes[10])
  assert.equal(found.value.config.upstreams['a'], before.upstreams['a'])
})

test('a change of another config, and one that names what is not there, are refused', () => {
  const before = configOf({ routes: [route('a')], services: ['a'], upstreams: ['a'], timeoutMs: 1 }, '1')
  const change = changeBetween(before, { ...before, version: '2' })
  const of = (altered: unknown) => {
    const found = atOnce(decodeOperatorMessage(JSON.stringify(altered), before))
    return found.ok ? [] : found.issues.map(({ code, path }) => `${code} ${path}`)
  }
  assert.deepEqual(of(change), [])
  assert.deepEqual(of({ ...change, base: '0' }), ['another-base base'])
  const withRoutes = (...routes: unknown[]) => ({
    ...change,
    config: { ...change.config, listeners: [{ ...before.listeners[0], routes }] },
  })
  for (const run of [[0, 2], [1, 1], [-1, 1], [0], [0, 0.5], ['0', 1], [0, 1, 1], [2 ** 53, 1], []]) {
    assert.deepEqual(of(withRoutes(run)), ['another-base config.listeners.0.routes.0'], JSON.stringify(run))
  }
  assert.deepEqual(of(withRoutes([0, 1])), [])
  assert.deepEqual(of({ ...change, more: 1 }), ['contract more'])
  assert.deepEqual(of({ ...change, config: { ...change.config, role: 'king' } })[0], 'contract config.role')
})
