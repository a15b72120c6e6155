import assert from 'node:assert/strict'
import { test } from 'node:test'
import { silentLog } from '../../runtime/log.ts'
import { createManualClock } from '../../runtime/manual-clock.ts'
import type { FetchedJwks } from './fetch-jwks.ts'
import { createIssuerKeysStore, MAX_STALE_MS, UNKNOWN_KEY_INTERVAL_MS } from './issuer-keys.ts'

function world(answers: (() => Promise<FetchedJwks>)[]) {
  const clock = createManualClock()
  const changes: string[] = []
  let fetches = 0
  const store = createIssuerKeysStore({
    clock,
    random: () => 0.5,
    log: silentLog,
    onChange: (name) => changes.push(name),
  })
  const source = {
    key: 'u',
    refreshes: true,
    fetch: () => (answers[Math.min(fetches++, answers.length - 1)] as () => Promise<FetchedJwks>)(),
  }
  return { clock, changes, store, source, fetches: () => fetches, settle: () => new Promise(setImmediate) }
}

const set = (kid: string) => async (): Promise<FetchedJwks> => ({ keys: [{ kty: 'EC', kid }] })
const broken = async (): Promise<FetchedJwks> => {
  throw new Error('down')
}

test('T25: a flood of unknown keys makes one fetch in 30 seconds', async () => {
  const { clock, store, source, fetches, settle } = world([set('a')])
  store.follow(new Map([['corp', source]]))
  await settle()
  await Promise.all(Array.from({ length: 1_000 }, () => store.refresh('corp')))
  for (let i = 0; i < 100; i++) await store.refresh('corp')
  assert.equal(fetches(), 2, 'the first and one for the flood')
  await clock.advance(UNKNOWN_KEY_INTERVAL_MS)
  await store.refresh('corp')
  assert.equal(fetches(), 3)
  store.close()
})

test('F08: a key published after the last fetch is there after one refresh', async () => {
  const { store, source, changes, settle } = world([set('old'), set('new')])
  store.follow(new Map([['corp', source]]))
  await settle()
  await store.refresh('corp')
  assert.deepEqual(store.keysOf('corp')?.keys, [{ kty: 'EC', kid: 'new' }])
  assert.deepEqual(changes, ['corp', 'corp'])
  store.close()
})

test('F07: a failure never replaces good keys, until they are a day old', async () => {
  const { clock, store, source, settle } = world([set('a'), broken])
  store.follow(new Map([['corp', source]]))
  await settle()
  await store.refresh('corp')
  assert.equal(store.keysOf('corp')?.keys.length, 1)
  assert.equal(store.states()[0]?.failure, 'down')
  for (let passed = 0; passed <= MAX_STALE_MS; passed += 600_000) {
    await clock.advance(600_000)
    await settle()
  }
  assert.equal(store.keysOf('corp'), undefined)
  store.close()
})

test('an issuer that was down is asked again within seconds', async () => {
  const { clock, store, source, changes, settle } = world([broken, set('a')])
  store.follow(new Map([['corp', source]]))
  await settle()
  assert.equal(store.keysOf('corp'), undefined)
  await clock.advance(10_000)
  await settle()
  assert.equal(store.keysOf('corp')?.keys.length, 1)
  assert.deepEqual(changes, ['corp'])
  store.close()
})

test('an issuer that starts with the mesh is asked again soon, then less often', async () => {
  const { clock, store, source, fetches, settle } = world(Array.from({ length: 32 }, () => broken))
  store.follow(new Map([['corp', source]]))
  await settle()
  const after: number[] = []
  for (let second = 1; second <= 30; second++) {
    for (let tenth = 0; tenth < 10; tenth++) {
      await clock.advance(100)
      await settle()
    }
    if ([1, 10, 30].includes(second)) after.push(fetches())
  }
  const [soon = 0, later = 0, end = 0] = after
  assert.ok(soon >= 3 && later <= 7 && end - later <= 5, `${after}`)
  store.close()
})

test('an issuer that is gone is no longer asked, and a changed one starts anew', async () => {
  const { clock, store, source, fetches, settle } = world([set('a')])
  store.follow(new Map([['corp', source]]))
  await settle()
  store.follow(new Map([['corp', { ...source, key: 'other' }]]))
  assert.equal(store.keysOf('corp'), undefined)
  await settle()
  assert.equal(fetches(), 2)
  store.follow(new Map())
  await clock.advance(3_600_000)
  await settle()
  assert.equal(fetches(), 2)
  assert.deepEqual(store.states(), [])
})
