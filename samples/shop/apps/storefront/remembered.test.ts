import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Remembered } from './remembered.ts'

test('an entry ends when it was not used, and in any case in the end', () => {
  let now = 0
  const remembered = new Remembered<string>({ idleMs: 10, totalMs: 25 }, 100, () => now)
  const [used, idle] = [remembered.add('used'), remembered.add('idle')]
  now = 9
  assert.equal(remembered.find(used), 'used')
  now = 12
  assert.equal(remembered.find(idle), undefined)
  now = 18
  assert.equal(remembered.find(used), 'used')
  now = 25
  assert.equal(remembered.find(used), undefined)
})

test('a flood pushes out what was not used for longest, and nothing grows', () => {
  const remembered = new Remembered<number>({ idleMs: 1_000, totalMs: 1_000 }, 10, () => 0)
  const [busy, quiet] = [remembered.add(-1), remembered.add(-2)]
  for (let i = 0; i < 100; i++) {
    remembered.add(i)
    remembered.find(busy)
  }
  assert.equal(remembered.size, 10)
  assert.equal(remembered.find(busy), -1)
  assert.equal(remembered.find(quiet), undefined)
})

test('what is taken is gone', () => {
  const remembered = new Remembered<string>({ idleMs: 1_000, totalMs: 1_000 }, 10, () => 0)
  const name = remembered.add('once')
  assert.equal(remembered.take(name), 'once')
  assert.equal(remembered.take(name), undefined)
  assert.equal(remembered.take(undefined), undefined)
})
