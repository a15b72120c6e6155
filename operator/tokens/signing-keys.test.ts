import assert from 'node:assert/strict'
import { createPublicKey } from 'node:crypto'
import { test } from 'node:test'
import { silentLog } from '../../runtime/log.ts'
import { createManualClock } from '../../runtime/manual-clock.ts'
import type { CaStore } from '../identity/ca-store.ts'
import { openSigningKeys, PUBLISHED_AHEAD_MS, SIGNING_PERIOD_MS } from './signing-keys.ts'
import { memoryStore } from './testing/memory-store.ts'

/** In the middle of a period. */
const MIDDLE_MS = 700 * SIGNING_PERIOD_MS + SIGNING_PERIOD_MS / 2

function world(store: CaStore = memoryStore(), nowMs = MIDDLE_MS) {
  const clock = createManualClock(nowMs)
  let changes = 0
  const open = () => openSigningKeys({ store, clock, log: silentLog, onChange: () => changes++ })
  return { clock, store, open, changes: () => changes }
}

const kidsOf = (keys: { published(): { readonly keys: readonly object[] } }) =>
  keys.published().keys.map((key) => (key as { readonly kid: string }).kid)

test('operators that share a store sign with one key, and publish its public half alone', async (t) => {
  const { open, store } = world()
  const [first, second] = await Promise.all([open(), open()])
  t.after(() => {
    for (const keys of [first, second]) keys.close()
  })
  assert.equal(first.current().kid, second.current().kid)
  assert.deepEqual(first.published().keys, second.published().keys)
  const [jwk] = first.published().keys
  assert.deepEqual(Object.keys(jwk ?? {}).sort(), ['alg', 'crv', 'kid', 'kty', 'use', 'x', 'y'])
  const own = createPublicKey(first.current().privateKey).export({ format: 'jwk' })
  assert.deepEqual([jwk?.['x'], jwk?.['y']], [own.x, own.y])
  assert.equal(await store.read('token-key-701.pem'), undefined)
  assert.match((await store.read('token-key-700.pem')) ?? '', /^-----BEGIN PRIVATE KEY-----/)
})

test('a key is published a day before it signs, and until a whole period after it did', async (t) => {
  const { open, clock, changes } = world()
  const keys = await open()
  t.after(() => keys.close())
  const first = keys.current().kid
  assert.deepEqual(kidsOf(keys), [first])

  const end = 701 * SIGNING_PERIOD_MS
  await clock.advance(end - PUBLISHED_AHEAD_MS + 1 - clock.now())
  await keys.refresh()
  const [, second] = kidsOf(keys)
  assert.deepEqual(kidsOf(keys), [first, second])
  assert.equal(keys.current().kid, first)
  assert.equal(changes(), 1)

  await clock.advance(end - clock.now())
  assert.equal(keys.current().kid, second)
  await keys.refresh()
  assert.deepEqual(kidsOf(keys), [first, second])

  await clock.advance(SIGNING_PERIOD_MS / 2)
  await keys.refresh()
  assert.equal(kidsOf(keys).includes(first), true, 'tokens of a moment before are good still')
  await clock.advance(SIGNING_PERIOD_MS)
  await keys.refresh()
  assert.equal(kidsOf(keys).includes(first), false)
})

test('a store that fails later leaves what there is', async (t) => {
  const entries = memoryStore()
  let isBroken = false
  const store: CaStore = {
    read: async (name) => (isBroken ? Promise.reject(new Error('away')) : entries.read(name)),
    create: entries.create,
  }
  const { open, clock } = world(store, 701 * SIGNING_PERIOD_MS - PUBLISHED_AHEAD_MS - 1_000)
  const keys = await open()
  t.after(() => keys.close())
  const first = keys.current().kid
  isBroken = true
  await clock.advance(PUBLISHED_AHEAD_MS + 2_000)
  await keys.refresh()
  assert.equal(keys.current().kid, first)
  // Asking for the key has begun another look, which fails as well.
  await keys.refresh()
  isBroken = false
  await keys.refresh()
  assert.notEqual(keys.current().kid, first)
})

test('an entry that is no P-256 key is refused when the operator starts', async () => {
  const store = memoryStore()
  await store.create('token-key-700.pem', 'nonsense')
  await assert.rejects(world(store).open())
})
