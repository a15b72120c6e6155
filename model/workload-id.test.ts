import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { nameOf, namespaceOf, parseWorkloadId, workloadIdFor } from './workload-id.ts'

describe('a workload id', () => {
  it('is a namespace and a name', () => {
    const id = parseWorkloadId('shop/orders.v2')
    assert.ok(id.ok)
    assert.equal(namespaceOf(id.value), 'shop')
    assert.equal(nameOf(id.value), 'orders.v2')
    assert.deepEqual(workloadIdFor('shop', 'orders.v2'), id)
  })

  for (const text of [
    '',
    'orders',
    '/orders',
    'shop/',
    'shop/a/b',
    'Shop/orders',
    'shop/Orders',
    'a.b/c',
    '-a/b',
    'a/b-',
    'a/..',
    'a/b\n',
    `${'a'.repeat(64)}/b`,
    `a/${'b'.repeat(254)}`,
  ]) {
    it(`is refused as ${JSON.stringify(text).slice(0, 40)}`, () => assert.equal(parseWorkloadId(text).ok, false))
  }
})
