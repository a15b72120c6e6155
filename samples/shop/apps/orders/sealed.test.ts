import assert from 'node:assert/strict'
import { test } from 'node:test'
import { makeAesKey, publishKey } from '../service/key-rotation.ts'
import type { KeySet } from '../service/key-set.ts'
import { open, type Place, seal } from './sealed.ts'

function keySet(): KeySet {
  const key = makeAesKey()
  return { active: key.kid, keys: [key] }
}

const PLACE: Place = { orderId: 'o1', userId: 'alice', field: 'cardTail' }

test('what was sealed is opened, and does not show its text', () => {
  const keys = keySet()
  const sealed = seal(keys, 'Große Straße 1', PLACE)
  assert.equal(sealed.data.includes('Stra'), false)
  assert.equal(open(keys, sealed, PLACE), 'Große Straße 1')
  assert.notDeepEqual(seal(keys, 'Große Straße 1', PLACE).nonce, sealed.nonce)
})

test('sealed text that was moved to another order, user or field is not opened', () => {
  const keys = keySet()
  const sealed = seal(keys, '4242', PLACE)
  for (const change of [{ orderId: 'o2' }, { userId: 'bob' }, { field: 'shippingAddress' as const }]) {
    assert.throws(() => open(keys, sealed, { ...PLACE, ...change }))
  }
})

test('one changed bit, anywhere, and it is not opened', () => {
  const keys = keySet()
  const sealed = seal(keys, '4242', PLACE)
  for (const part of ['nonce', 'data'] as const) {
    for (let i = 0; i < sealed[part].length; i++) {
      const bytes = Buffer.from(sealed[part])
      bytes[i] = (bytes[i] ?? 0) ^ 1
      assert.throws(() => open(keys, { ...sealed, [part]: bytes }, PLACE))
    }
  }
  assert.throws(() => open(keys, { ...sealed, data: sealed.data.subarray(0, 10) }, PLACE))
})

test('a new key opens what the old one sealed, as long as the old one is kept', async () => {
  const before = keySet()
  const sealed = seal(before, '4242', PLACE)
  const published = await publishKey(before)
  const after = { active: published.keys[1]?.kid ?? '', keys: published.keys }
  assert.equal(open(after, sealed, PLACE), '4242')
  assert.equal(seal(after, '4242', PLACE).kid, after.active)
  assert.throws(
    () => open({ active: after.active, keys: published.keys.slice(1) }, sealed, PLACE),
    /is not in the key set/,
  )
})
