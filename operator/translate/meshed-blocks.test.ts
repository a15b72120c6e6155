import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from '#fast-check'
import { MAX_MESHED_BLOCKS } from '../../contract/endpoints.ts'
import { parseCidr } from '../../model/match/cidr.ts'
import { readIpAddress } from '../../model/match/ip-address.ts'
import { meshedBlocks } from './meshed-blocks.ts'

const octet = fc.integer({ min: 0, max: 255 })
const ipv4 = fc.tuple(fc.constantFrom(10, 172, 192, 100), octet, octet, octet).map((octets) => octets.join('.'))
const ipv6 = fc
  .tuple(octet, octet, octet)
  .map(([a, b, c]) => `fd00:${a.toString(16)}::${b.toString(16)}:${c.toString(16)}`)

function isIn(blocks: readonly string[], address: string): boolean {
  const parsed = readIpAddress(address)
  assert.ok(parsed)
  return blocks.some((text) => {
    const block = parseCidr(text)
    assert.ok(block.ok, text)
    return block.value.contains(parsed)
  })
}

test('few addresses are told one by one, in whatever order they come', () => {
  const blocks = meshedBlocks(['10.244.1.7', '10.96.0.12', 'fd00::7', '10.244.1.7'])
  assert.deepEqual(blocks, ['10.244.1.7/32', '10.96.0.12/32', 'fd00:0:0:0:0:0:0:7/128'])
  assert.deepEqual(meshedBlocks(['fd00::7', '10.96.0.12', '10.244.1.7']), blocks)
  assert.equal(isIn(blocks, '10.244.1.8'), false)
})

test('many addresses are told in blocks, never more than there may be, and none is left out', () => {
  fc.assert(
    fc.property(fc.array(fc.oneof(ipv4, ipv6), { minLength: 0, maxLength: 1_500 }), (addresses) => {
      const blocks = meshedBlocks(addresses)
      assert.ok(blocks.length <= MAX_MESHED_BLOCKS)
      for (const address of addresses) assert.ok(isIn(blocks, address), address)
    }),
    { numRuns: 30 },
  )
})

test('pods of a large cluster whose nodes have a block each are told in blocks that hold nothing else', () => {
  const pods = Array.from(
    { length: 10_000 },
    (_, i) => `10.${244 + Math.floor(i / 25_600)}.${Math.floor(i / 100)}.${i % 100}`,
  )
  const blocks = meshedBlocks(pods)
  assert.deepEqual(blocks, Array.from({ length: 100 }, (_, i) => `10.244.${i}.0/24`).sort())
  assert.deepEqual(meshedBlocks(pods.slice(1)), blocks, 'a pod that comes or goes changes nothing')
})

test('loopback, where all workloads of a laptop are, and what is no address are left out', () => {
  assert.deepEqual(meshedBlocks(['127.0.0.1', '::1', '', 'nonsense', '::ffff:10.0.0.1']), ['10.0.0.1/32'])
})
