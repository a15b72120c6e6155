import assert from 'node:assert/strict'
import { test } from 'node:test'
import { buildStreamRouter } from './stream-router.ts'

function router(...hostnames: readonly (readonly string[])[]) {
  return buildStreamRouter(hostnames.map((names) => ({ hostnames: [...names], route: names.join() || 'any' })))
}

test('the exact name comes before a wildcard, the longer wildcard before a shorter one, and both before every name', () => {
  const find = router([], ['*.example'], ['*.shop.example'], ['db.shop.example'])
  assert.equal(find('db.shop.example'), 'db.shop.example')
  assert.equal(find('a.db.shop.example'), '*.shop.example')
  assert.equal(find('other.shop.example'), '*.shop.example')
  assert.equal(find('shop.example'), '*.example')
  assert.equal(find('a.b.c.example'), '*.example')
  assert.equal(find('example'), 'any')
  assert.equal(find('shop.test'), 'any')
})

test('of two routes with one hostname the first counts', () => {
  const find = buildStreamRouter([
    { hostnames: ['a.example', '*.b.example'], route: 1 },
    { hostnames: ['a.example', '*.b.example', 'c.example'], route: 2 },
  ])
  assert.equal(find('a.example'), 1)
  assert.equal(find('x.b.example'), 1)
  assert.equal(find('c.example'), 2)
})

test('a client that names nobody is for a route of every name, and for no other', () => {
  assert.equal(router(['a.example'], ['*.example'])(undefined), undefined)
  assert.equal(router(['a.example'], [])(undefined), 'any')
})

test('a name that is a member of every object is a name like others', () => {
  for (const name of ['constructor', '__proto__', 'tostring']) {
    assert.equal(router(['a.example'])(name), undefined)
    assert.equal(router([name])(name), name)
  }
})
