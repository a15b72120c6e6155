import assert from 'node:assert/strict'
import { test } from 'node:test'
import { maxConnectionsByDescriptors } from './descriptor-limit.ts'

test('F17: clients get a share of the descriptors that there are, so that some are left to serve them by', () => {
  const limits = (soft: string) => `Limit                     Soft Limit           Hard Limit           Units
Max processes             96000                96000                processes
Max open files            ${soft.padEnd(20)} 1048576              files
Max locked memory         8388608              8388608              bytes
`
  assert.equal(maxConnectionsByDescriptors(limits('1064')), 600)
  assert.equal(maxConnectionsByDescriptors(limits('10')), 1)
  assert.equal(maxConnectionsByDescriptors(limits('unlimited')), undefined)
  assert.equal(maxConnectionsByDescriptors(''), undefined)
})
