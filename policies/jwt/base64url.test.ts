import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from '#fast-check'
import { decodeBase64urlText, isBase64url } from './base64url.ts'

test('text is decoded as Buffer decodes it', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      const encoded = Buffer.from(text, 'utf8').toString('base64url')
      assert.equal(decodeBase64urlText(encoded), Buffer.from(text, 'utf8').toString('utf8'))
    }),
  )
})

test('T23: a byte string has one spelling: what is not its canonical base64url is refused', () => {
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom(...'ABQgwxyz019-_+/= \n'), maxLength: 8 }), (text) => {
      const isCanonical = Buffer.from(text, 'base64url').toString('base64url') === text
      assert.equal(isBase64url(text), isCanonical)
    }),
    { numRuns: 2_000 },
  )
})

test('T23: padding, white space, the other alphabet and loose bits are refused', () => {
  for (const text of ['YQ==', 'YR', 'YWJ', 'a+b/', ' YWJj', 'YWJj\n', 'A', 'YWJ=']) {
    assert.equal(isBase64url(text), false, JSON.stringify(text))
  }
  for (const text of ['', 'YQ', 'YWI', 'YWJj']) assert.equal(isBase64url(text), true, text)
})

test('octets that are not UTF-8 are no text, and a byte order mark stays where it is', () => {
  for (const octets of [[0xff], [0xc0, 0x80], [0xed, 0xa0, 0x80], [0xf4, 0x90, 0x80, 0x80], [0xe2, 0x82]]) {
    assert.equal(decodeBase64urlText(Buffer.from(octets).toString('base64url')), undefined)
  }
  assert.equal(decodeBase64urlText(Buffer.from('\ufeff{}').toString('base64url')), '\ufeff{}')
})
