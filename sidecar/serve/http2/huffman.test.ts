import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from '#fast-check'
import { decodeHuffman } from './huffman.ts'
import { encodeHuffman } from './testing/frames.ts'

function decoded(bytes: Uint8Array): string | undefined {
  const out = Buffer.alloc(Math.ceil((bytes.length * 8) / 5) + 1)
  const end = decodeHuffman(bytes, 0, bytes.length, out, 0)
  return end === -1 ? undefined : out.toString('latin1', 0, end)
}

test('strings of RFC 7541, Appendix C, are read', () => {
  assert.equal(decoded(Buffer.from('f1e3c2e5f23a6ba0ab90f4ff', 'hex')), 'www.example.com')
  assert.equal(decoded(Buffer.from('a8eb10649cbf', 'hex')), 'no-cache')
  assert.equal(decoded(Buffer.from('25a849e95ba97d7f', 'hex')), 'custom-key')
  assert.equal(
    decoded(Buffer.from('d07abe941054d444a8200595040b8166e082a62d1bff', 'hex')),
    'Mon, 21 Oct 2013 20:13:21 GMT',
  )
})

test('whatever is encoded is decoded to what it was', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
      assert.equal(decoded(encodeHuffman(bytes)), Buffer.from(bytes).toString('latin1'))
    }),
  )
})

test('each octet has one spelling: padding is the start of EOS, shorter than an octet, and EOS itself is refused', () => {
  // `0` is 00000; what follows it must be ones.
  assert.equal(decoded(Buffer.from([0b0000_0111])), '0')
  assert.equal(decoded(Buffer.from([0b0000_0110])), undefined)
  assert.equal(decoded(Buffer.from([0b0000_0000])), undefined)
  assert.equal(decoded(Buffer.from([0b0000_0111, 0xff])), undefined)
  assert.equal(decoded(Buffer.from([0xff])), undefined)
  assert.equal(decoded(Buffer.from([0xff, 0xff, 0xff, 0xff])), undefined)
  assert.equal(decoded(Buffer.from([0xff, 0xff, 0xff, 0xfc])), undefined)
  assert.equal(decoded(Buffer.alloc(0)), '')
})

test('any octets are read or refused, and what is read is encoded to the same octets', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
      const text = decoded(bytes)
      if (text !== undefined) assert.deepEqual(encodeHuffman(Buffer.from(text, 'latin1')), Buffer.from(bytes))
    }),
    { numRuns: 2_000 },
  )
})
