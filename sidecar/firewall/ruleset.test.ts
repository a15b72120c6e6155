import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { captureRuleset } from './ruleset.ts'

const NOTHING = { inboundPorts: [], outboundPorts: [], outboundCidrs: [] }

describe('the rules that capture a pod', () => {
  it('are one transaction that replaces the table whole', () => {
    assert.equal(
      captureRuleset(NOTHING),
      [
        'table inet hauberk',
        'delete table inet hauberk',
        'table inet hauberk {',
        '\tchain inbound {',
        '\t\ttype nat hook prerouting priority -100; policy accept;',
        '\t\ttcp dport { 15020, 15090 } return',
        '\t\tmeta l4proto tcp redirect to :15006',
        '\t}',
        '\tchain outbound {',
        '\t\ttype nat hook output priority -100; policy accept;',
        '\t\tmeta skuid 15013 ip daddr 127.0.0.6 meta l4proto tcp redirect to :15006',
        '\t\tmeta skuid 15013 return',
        '\t\toif "lo" return',
        '\t\tmeta l4proto tcp redirect to :15001',
        '\t}',
        '\tchain guard {',
        '\t\ttype filter hook output priority 0; policy accept;',
        '\t\toif "lo" tcp dport { 15001, 15006 } ct status & dnat != dnat reject with tcp reset',
        '\t}',
        '}',
        '',
      ].join('\n'),
    )
  })

  it('leave alone what is excluded, of both families', () => {
    const rules = captureRuleset({
      inboundPorts: [9_000, 22],
      outboundPorts: [5_432, 5_432],
      outboundCidrs: ['10.0.0.0/8', '192.0.2.7', '2001:db8::/32', '::ffff:172.16.0.0/108', '0.0.0.0/0'],
    })
    const lines = rules.split('\n').map((line) => line.trim())
    assert.ok(lines.includes('tcp dport { 22, 9000, 15020, 15090 } return'))
    assert.deepEqual(
      lines.slice(lines.indexOf('oif "lo" return') + 1, lines.indexOf('meta l4proto tcp redirect to :15001')),
      [
        'tcp dport { 5432 } return',
        'ip daddr 10.0.0.0/8 return',
        'ip daddr 192.0.2.7/32 return',
        'ip6 daddr 2001:db8:0:0:0:0:0:0/32 return',
        'ip daddr 172.16.0.0/12 return',
        'ip daddr 0.0.0.0/0 return',
      ],
    )
  })

  const texts = ['22 accept', '22 }', '', '1e3', '22\n'] as unknown as number[]
  for (const port of [0, -1, 65_536, 1.5, Number.NaN, ...texts]) {
    it(`T08: take no port ${JSON.stringify(port)}`, () => {
      assert.throws(() => captureRuleset({ ...NOTHING, inboundPorts: [port] }), RangeError)
      assert.throws(() => captureRuleset({ ...NOTHING, outboundPorts: [port] }), RangeError)
    })
  }
  for (const block of [
    '',
    'any',
    '10.0.0.0/33',
    '10.0.0.0/',
    '10.0.0.0/8 accept',
    '10.0.0.0/8\n',
    '10.0.0.0/-1',
    '::/129',
    '@set',
  ]) {
    it(`T08: take no block ${JSON.stringify(block)}`, () => {
      assert.throws(() => captureRuleset({ ...NOTHING, outboundCidrs: [block] }), RangeError)
    })
  }
})
