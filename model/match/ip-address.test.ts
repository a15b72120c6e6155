import assert from 'node:assert/strict'
import { isIP } from 'node:net'
import { describe, it } from 'node:test'
import fc from '#fast-check'
import { formatIpAddress, parseIpAddress, readIpAddress } from './ip-address.ts'

function canonical(text: string): string {
  const address = readIpAddress(text)
  assert.ok(address, `${text} is read`)
  return formatIpAddress(address)
}

describe('an IP address', () => {
  it('is read in the spellings of RFC 4291, and has one of its own', () => {
    assert.equal(canonical('192.0.2.1'), '192.0.2.1')
    assert.equal(canonical('255.255.255.255'), '255.255.255.255')
    assert.equal(canonical('2001:DB8::1'), '2001:db8:0:0:0:0:0:1')
    assert.equal(canonical('::'), '0:0:0:0:0:0:0:0')
    assert.equal(canonical('64:ff9b::192.0.2.1'), '64:ff9b:0:0:0:0:c000:201')
  })

  it('T13: is the IPv4 address when it is an IPv4-mapped one', () => {
    assert.equal(canonical('::ffff:192.0.2.1'), '192.0.2.1')
    assert.equal(canonical('::FFFF:c000:201'), '192.0.2.1')
  })

  for (const text of [
    '',
    '1.2.3',
    '1.2.3.4.5',
    '01.2.3.4',
    '1.2.3.256',
    '0x1.2.3.4',
    '1.2.3.4 ',
    ' 1.2.3.4',
    '16909060',
    ':',
    ':::',
    '1::2::3',
    '1:2:3:4:5:6:7',
    '1:2:3:4:5:6:7:8:9',
    '1:2:3:4:5:6:7::8',
    '::12345',
    '::g',
    '1.2.3.4::',
    '::1.2.3.4:5',
    'fe80::1%eth0',
    '[::1]',
    'localhost',
  ]) {
    it(`is not ${JSON.stringify(text)}`, () => {
      assert.equal(readIpAddress(text), undefined)
      assert.ok(!parseIpAddress(text).ok)
    })
  }

  it('is one exactly where the operating system reads one', () => {
    const odd = fc.string({ unit: fc.constantFrom('1', '0', 'f', 'g', ':', '.', '::', '255', '256'), maxLength: 16 })
    fc.assert(
      fc.property(fc.oneof(fc.ipV4(), fc.ipV6(), odd), (text) => {
        assert.equal(readIpAddress(text) !== undefined, isIP(text) !== 0, text)
      }),
    )
  })
})
