import assert from 'node:assert/strict'
import { test } from 'node:test'
import { formatAddress, parseAddress } from './election.ts'

test('the address of a leader is read as it is written, in both families', () => {
  for (const host of ['10.0.0.1', 'fd00::1', '::1']) {
    assert.deepEqual(parseAddress(formatAddress({ host, port: 15_012 })), { host, port: 15_012 })
  }
})

test('what is no address with a port is nobody', () => {
  for (const text of [
    '',
    'x',
    '10.0.0.1',
    '10.0.0:1',
    '10.0.0.1:0',
    '10.0.0.1:65536',
    '[::1]',
    'host:1',
    '10.0.0.1:1 ',
  ]) {
    assert.equal(parseAddress(text), undefined, text)
  }
})
