import assert from 'node:assert/strict'
import { BlockList, isIP, SocketAddress } from 'node:net'
import { describe, it } from 'node:test'
import fc from '#fast-check'
import { parseCidr } from './cidr.ts'
import { readIpAddress } from './ip-address.ts'

const anIpv4 = fc.ipV4()
const anIpv6 = fc.ipV6().filter((text) => !text.startsWith('::ffff:'))

describe('a block of addresses', () => {
  const cases: readonly [cidr: string, address: string, contains: boolean][] = [
    ['10.0.0.0/8', '10.255.0.1', true],
    ['10.0.0.0/8', '11.0.0.1', false],
    ['0.0.0.0/0', '255.1.2.3', true],
    ['128.0.0.0/1', '200.0.0.1', true],
    ['192.0.2.7', '192.0.2.7', true],
    ['192.0.2.7/32', '192.0.2.6', false],
    ['2001:db8::/32', '2001:db8:ffff::1', true],
    ['2001:db8::/33', '2001:db8:8000::', false],
    ['::/0', '2001:db8::1', true],
    ['::/0', '192.0.2.1', false],
    ['0.0.0.0/0', '2001:db8::1', false],
    ['::ffff:10.0.0.0/104', '10.1.1.1', true],
    ['10.0.0.0/8', '::ffff:10.1.1.1', true],
  ]
  for (const [text, sent, contains] of cases) {
    it(`${text} ${contains ? 'contains' : 'does not contain'} ${sent}`, () => {
      const cidr = parseCidr(text)
      const address = readIpAddress(sent)
      assert.ok(cidr.ok && address)
      assert.equal(cidr.value.contains(address), contains)
    })
  }

  for (const text of [
    '',
    '10.0.0.0/',
    '10.0.0.0/33',
    '10.0.0.0/08',
    '10.0.0.1/8',
    '::1/129',
    '::ffff:10.0.0.0/95',
    'a/8',
    '10/8',
  ]) {
    it(`is not ${JSON.stringify(text)}`, () => assert.ok(!parseCidr(text).ok))
  }

  it('contains what the operating system says that it does', () => {
    const block = fc.oneof(
      fc.tuple(anIpv4, fc.integer({ min: 1, max: 32 }), anIpv4),
      fc.tuple(anIpv6, fc.integer({ min: 1, max: 128 }), anIpv6),
    )
    fc.assert(
      fc.property(block, fc.boolean(), ([network, prefix, other], near) => {
        const parsed = parseCidr(`${network}/${prefix}`)
        const usable = parsed.ok ? parsed : parseCidr(parsed.issues[0]?.fix?.split(' ')[1] ?? '')
        assert.ok(usable.ok, `the fix for ${network}/${prefix} is right`)
        const list = new BlockList()
        list.addSubnet(network, prefix, isIP(network) === 4 ? 'ipv4' : 'ipv6')
        const sent = near ? network : other
        const address = readIpAddress(sent)
        assert.ok(address)
        assert.equal(
          usable.value.contains(address),
          list.check(new SocketAddress({ address: sent, family: isIP(sent) === 4 ? 'ipv4' : 'ipv6' })),
        )
      }),
    )
  })
})
