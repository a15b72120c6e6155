import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ForwardedLines, type Provenance } from './forwarded.ts'

const PROVENANCE: Provenance = { clientIp: '192.0.2.1', proto: 'https', host: 'shop.example', requestId: 'r1' }

test('the next hop is told of a request what is true of it, whatever the one before it on the connection was', () => {
  const forwarded = new ForwardedLines('URI=spiffe://a/b')
  const told = (provenance: Provenance, tellsAddress: boolean) =>
    forwarded.for(provenance, tellsAddress)?.toString('latin1')
  const first =
    'x-forwarded-proto: https\r\nx-forwarded-for: 192.0.2.1\r\nx-forwarded-host: shop.example\r\nx-forwarded-client-cert: URI=spiffe://a/b\r\n'
  assert.equal(told(PROVENANCE, true), first)
  assert.equal(told({ ...PROVENANCE, requestId: 'r2' }, true), first)
  assert.equal(told({ ...PROVENANCE, clientIp: '192.0.2.2' }, true), first.replace('192.0.2.1', '192.0.2.2'))
  assert.equal(told({ ...PROVENANCE, host: 'a.example' }, true), first.replace('shop.example', 'a.example'))
  assert.equal(told({ ...PROVENANCE, proto: 'http' }, true), first.replace('https', 'http'))
  assert.equal(told(PROVENANCE, false), first.replace('x-forwarded-for: 192.0.2.1\r\n', ''))
  assert.equal(told(PROVENANCE, true), first)
})

test('T12: a peer that has proven nothing is said nothing of, and what would split a head is not told at all', () => {
  const forwarded = new ForwardedLines(undefined)
  assert.equal(
    forwarded.for({ ...PROVENANCE, host: '' }, true)?.toString('latin1'),
    'x-forwarded-proto: https\r\nx-forwarded-for: 192.0.2.1\r\n',
  )
  assert.equal(forwarded.for({ ...PROVENANCE, host: 'a\r\nx-evil: 1' }, true), undefined)
})
