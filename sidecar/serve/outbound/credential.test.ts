import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createCredentialCheck } from './credential.ts'

function basic(text: string): string {
  return Buffer.from(text).toString('base64')
}

test('T35: only the very credential is taken, in any spelling of the scheme', () => {
  const isOurs = createCredentialCheck({ username: 'shop/orders', password: 'a:b' })
  for (const scheme of ['Basic', 'basic', 'BASIC']) assert.equal(isOurs(`${scheme} ${basic('shop/orders:a:b')}`), true)
  for (const header of [
    undefined,
    '',
    'Basic',
    'Basic ',
    `Basic ${basic('shop/orders:a:')}`,
    `Basic ${basic('shop/orders:a:b')}=`,
    `Basic ${basic('shop/orders:a:b')} x`,
    `Basic ${basic('shop/payments:a:b')}`,
    `Bearer ${basic('shop/orders:a:b')}`,
    basic('shop/orders:a:b'),
    'Basic shop/orders:a:b',
  ]) {
    assert.equal(isOurs(header), false, header)
  }
})
