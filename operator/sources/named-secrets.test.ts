import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { type Clock, systemClock } from '../../runtime/clock.ts'
import { silentLog } from '../../runtime/log.ts'
import { createManualClock } from '../../runtime/manual-clock.ts'
import { createMetrics } from '../../runtime/metrics.ts'
import { createReflectorMetrics } from '../kubernetes/reflector-metrics.ts'
import { type Answer, type Asked, type EventStream, scriptServer } from '../kubernetes/testing/api-server.ts'
import { secretText, UNREADABLE_SECRET } from '../resources/secret.ts'
import { createStore } from '../store/store.ts'
import { createNamedSecrets, type NamedSecretsOptions } from './named-secrets.ts'

const hasty: Clock = {
  ...systemClock,
  setTimer: (delayMs, run, options) => systemClock.setTimer(Math.min(delayMs, 2), run, options),
}

async function until(condition: () => boolean, what: string): Promise<void> {
  const deadline = Date.now() + 30_000
  while (!condition()) {
    assert.ok(Date.now() < deadline, `waited in vain until ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 2))
  }
}

/** Secrets by `namespace/name`, each told to who may get and watch it by that name, and nothing else to anybody. */
async function running(t: TestContext, options: Partial<NamedSecretsOptions> = {}) {
  const secrets = new Map<string, object>()
  const forbidden = new Set<string>()
  const watches = new Map<string, EventStream>()
  let refuse: ((asked: Asked, answer: Answer) => boolean) | undefined
  let version = 10

  const server = await scriptServer(t, (asked, answer) => {
    if (refuse?.(asked, answer)) return
    const [, , , , namespace, , name] = asked.path.split('/')
    const selected = asked.query.get('fieldSelector')?.replace('metadata.name=', '')
    const key = `${namespace}/${name ?? selected}`
    if (name === undefined && asked.query.get('watch') !== 'true') return answer.refuse(403, 'Forbidden')
    if (forbidden.has(key)) return answer.refuse(403, 'Forbidden')
    const secret = secrets.get(key)
    if (name !== undefined) return secret === undefined ? answer.refuse(404, 'NotFound') : answer.json(200, secret)
    const stream = answer.stream()
    watches.set(key, stream)
    if (asked.query.get('resourceVersion') === null && secret !== undefined) stream.send('ADDED', secret)
  })
  const secret = (namespace: string, name: string, text: string) => {
    version += 1
    return {
      metadata: { namespace, name, resourceVersion: String(version), managedFields: [{}] },
      type: 'Opaque',
      data: { key: Buffer.from(text).toString('base64') },
    }
  }
  const store = createStore()
  const metrics = createMetrics()
  const named = createNamedSecrets({
    client: server.client,
    clock: hasty,
    random: () => 0.5,
    log: silentLog,
    metrics,
    reflectorMetrics: createReflectorMetrics(metrics),
    ...options,
  })
  const stop = new AbortController()
  const done = named.run(store, stop.signal)
  t.after(async () => {
    stop.abort()
    await done
  })
  const text = (namespace: string, name: string) => {
    const found = store.snapshot().get('Secret', namespace, name)
    return found && secretText(found, 'key')
  }
  return {
    ...server,
    store,
    named,
    metrics,
    forbidden,
    watches,
    text,
    put(namespace: string, name: string, value: string) {
      const next = secret(namespace, name, value)
      const key = `${namespace}/${name}`
      watches.get(key)?.send(secrets.has(key) ? 'MODIFIED' : 'ADDED', next)
      secrets.set(key, next)
    },
    remove(namespace: string, name: string) {
      const key = `${namespace}/${name}`
      watches.get(key)?.send('DELETED', secret(namespace, name, ''))
      secrets.delete(key)
    },
    refuseAll(how: typeof refuse) {
      refuse = how
    },
  }
}

test('T29: Secrets are read and watched by their names alone', async (t) => {
  const { named, put, store, text, asked, watches } = await running(t)
  put('shop', 'tls', 'one')
  put('shop', 'other', 'never')
  named.follow([{ namespace: 'shop', name: 'tls' }])
  await until(() => store.isSynced() && watches.has('shop/tls'), 'it is watched')
  assert.equal(text('shop', 'tls'), 'one')
  put('shop', 'tls', 'two')
  await until(() => text('shop', 'tls') === 'two', 'the change came')
  assert.equal(named.standing('shop', 'tls'), 'present')
  assert.equal(text('shop', 'other'), undefined)
  assert.deepEqual(
    asked.map(({ path, query }) => `${path} ${query.get('fieldSelector') ?? ''}`),
    ['/api/v1/namespaces/shop/secrets/tls ', '/api/v1/namespaces/shop/secrets metadata.name=tls'],
  )
})

test('it is synced when every Secret of the first list is answered, whatever the answer', async (t) => {
  const { named, put, store, forbidden, refuseAll } = await running(t)
  assert.equal(store.isSynced(), false, 'nobody has said which ones are wanted')
  put('shop', 'tls', 'one')
  forbidden.add('shop/locked')
  refuseAll(({ path }, answer) => {
    if (!path.endsWith('/slow')) return false
    answer.refuse(503, 'ServiceUnavailable')
    return true
  })
  named.follow(['tls', 'locked', 'nowhere', 'slow'].map((name) => ({ namespace: 'shop', name })))
  await until(() => named.standing('shop', 'slow') === 'failing', 'one fails')
  await until(() => named.standing('shop', 'locked') === 'forbidden', 'one is forbidden')
  assert.equal(store.isSynced(), false)
  refuseAll(undefined)
  await until(() => store.isSynced(), 'it is synced')
  assert.deepEqual(
    ['tls', 'locked', 'nowhere', 'slow', 'unknown'].map((name) => named.standing('shop', name)),
    ['present', 'forbidden', 'absent', 'absent', undefined],
  )
})

test('it is synced at once when no Secret is wanted', async (t) => {
  const { named, store } = await running(t)
  named.follow([])
  assert.equal(store.isSynced(), true)
})

test('one that is forbidden is said to be so, and read when somebody grants it', async (t) => {
  const { named, put, store, text, forbidden } = await running(t)
  put('shop', 'tls', 'one')
  forbidden.add('shop/tls')
  named.follow([{ namespace: 'shop', name: 'tls' }])
  await until(() => store.isSynced(), 'it is synced')
  assert.ok(store.snapshot().get(UNREADABLE_SECRET, 'shop', 'tls'))
  assert.equal(text('shop', 'tls'), undefined)
  forbidden.clear()
  await until(() => text('shop', 'tls') === 'one', 'it is read')
  assert.equal(store.snapshot().get(UNREADABLE_SECRET, 'shop', 'tls'), undefined)
})

test('a Secret that comes later is taken up, one that goes is gone, also between two watches', async (t) => {
  const { named, put, remove, text, watches } = await running(t)
  named.follow([{ namespace: 'shop', name: 'tls' }])
  await until(() => watches.has('shop/tls'), 'it is watched')
  put('shop', 'tls', 'one')
  await until(() => text('shop', 'tls') === 'one', 'it came')
  remove('shop', 'tls')
  await until(() => named.standing('shop', 'tls') === 'absent', 'it went')
  assert.equal(text('shop', 'tls'), undefined)
  watches.get('shop/tls')?.drop()
  watches.delete('shop/tls')
  put('shop', 'tls', 'two')
  await until(() => text('shop', 'tls') === 'two', 'it came back')
})

test('F24: a watch that is too old, garbled or cut keeps what is known, and what is new is read', async (t) => {
  const { named, put, text, watches, store } = await running(t)
  put('shop', 'tls', 'one')
  named.follow([{ namespace: 'shop', name: 'tls' }])
  await until(() => watches.has('shop/tls'), 'it is watched')
  let went = 0
  store.onChange(() => {
    went += text('shop', 'tls') === undefined ? 1 : 0
  })
  const troubles: readonly ((stream: EventStream) => void)[] = [
    (stream) => stream.send('ERROR', { kind: 'Status', code: 410, reason: 'Expired', message: 'too old' }),
    (stream) => stream.write('{"type":\n'),
    (stream) => stream.drop(),
    (stream) => stream.end(),
  ]
  for (const [i, trouble] of troubles.entries()) {
    const stream = watches.get('shop/tls')!
    watches.delete('shop/tls')
    trouble(stream)
    await until(() => watches.has('shop/tls'), 'it is watched again')
    put('shop', 'tls', `after ${i}`)
    await until(() => text('shop', 'tls') === `after ${i}`, 'the change came')
  }
  assert.equal(went, 0)
})

test('F01: an API server that forbids everything as it starts takes no certificate away; one that goes on to does', async (t) => {
  const clock = createManualClock()
  const { named, put, text, watches, forbidden, cut } = await running(t, { clock })
  put('shop', 'tls', 'one')
  named.follow([{ namespace: 'shop', name: 'tls' }])
  await until(() => watches.has('shop/tls'), 'it is watched')
  forbidden.add('shop/tls')
  cut()
  for (let passedMs = 0; passedMs < 15_000; passedMs += 500) {
    await new Promise((resolve) => setTimeout(resolve, 2))
    await clock.advance(500)
    assert.equal(text('shop', 'tls'), 'one', `after ${passedMs} ms`)
  }
  const deadline = clock.monotonic() + 120_000
  while (named.standing('shop', 'tls') !== 'forbidden' && clock.monotonic() < deadline) {
    await new Promise((resolve) => setTimeout(resolve, 2))
    await clock.advance(500)
  }
  assert.equal(named.standing('shop', 'tls'), 'forbidden')
  assert.equal(text('shop', 'tls'), undefined)
})

test('where only get is granted, a Secret is read now and then', async (t) => {
  const { named, put, text, refuseAll } = await running(t)
  refuseAll(({ query }, answer) => {
    if (query.get('watch') !== 'true') return false
    answer.refuse(403, 'Forbidden')
    return true
  })
  put('shop', 'tls', 'one')
  named.follow([{ namespace: 'shop', name: 'tls' }])
  await until(() => text('shop', 'tls') === 'one', 'it is read')
  put('shop', 'tls', 'two')
  await until(() => text('shop', 'tls') === 'two', 'it is read again')
  assert.equal(named.standing('shop', 'tls'), 'present')
})

test('one that is not wanted any more is forgotten, and no longer watched', async (t) => {
  const { named, put, text, store, watches, asked } = await running(t)
  put('shop', 'a', 'one')
  put('shop', 'b', 'one')
  named.follow(['a', 'b'].map((name) => ({ namespace: 'shop', name })))
  await until(() => store.isSynced() && watches.size === 2, 'both are watched')
  named.follow([{ namespace: 'shop', name: 'b' }])
  assert.deepEqual([text('shop', 'a'), named.standing('shop', 'a'), text('shop', 'b')], [undefined, undefined, 'one'])
  const before = asked.length
  put('shop', 'a', 'two')
  put('shop', 'b', 'two')
  await until(() => text('shop', 'b') === 'two', 'the other one goes on')
  assert.deepEqual([text('shop', 'a'), asked.length], [undefined, before])
})

test('no more Secrets are followed than allowed, and those that are keep their place', async (t) => {
  const { named, put, store, metrics, text } = await running(t, { maxSecrets: 2 })
  for (const name of ['a', 'b', 'c']) put('shop', name, 'one')
  named.follow(['b', 'c'].map((name) => ({ namespace: 'shop', name })))
  await until(() => store.isSynced(), 'it is synced')
  named.follow(['a', 'b', 'c'].map((name) => ({ namespace: 'shop', name })))
  assert.deepEqual(
    ['a', 'b', 'c'].map((name) => named.standing('shop', name)),
    ['failing', 'present', 'present'],
  )
  assert.match(await metrics.text(), /hauberk_secrets\{standing="failing"\} 1/)
  named.follow(['a', 'b'].map((name) => ({ namespace: 'shop', name })))
  await until(() => text('shop', 'a') === 'one', 'there is room for it')
})

test('T29: a namespace that names more Secrets than there is room for takes no other namespace its own', async (t) => {
  const { named, put, store, text } = await running(t, { maxSecrets: 4 })
  put('shop', 'tls', 'one')
  put('bank', 'tls', 'two')
  const shop = { namespace: 'shop', name: 'tls' }
  const flood = Array.from({ length: 20 }, (_, i) => ({ namespace: 'aaa', name: `s${i}` }))
  named.follow([...flood, shop])
  await until(() => store.isSynced() && text('shop', 'tls') === 'one', 'the flood came first and has not all the room')
  const [bank, ...others] = [{ namespace: 'bank', name: 'tls' }, ...flood, shop]
  named.follow([...others, bank])
  await until(() => text('bank', 'tls') === 'two', 'the flood makes room for who comes later')
  assert.equal(text('shop', 'tls'), 'one')
  assert.equal(flood.filter(({ name }) => named.standing('aaa', name) === 'absent').length, 2)
})
