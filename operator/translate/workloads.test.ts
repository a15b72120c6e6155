import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Resource } from '../../model/resource.ts'
import { ownerName } from './workloads.ts'

test('F22: a pod whose owner has no name that can be read goes by its own', () => {
  for (const name of [7, null, ['orders'], undefined]) {
    const owner = { apiVersion: 'apps/v1', kind: 'ReplicaSet', name }
    const metadata = { name: 'orders-0', labels: { 'pod-template-hash': '7d9f' }, ownerReferences: [owner] }
    assert.equal(ownerName({ metadata } as unknown as Resource), 'orders-0')
  }
})
