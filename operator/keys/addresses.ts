import { BlockList, isIP } from 'node:net'

/**
 * Addresses that no JWKS outside the mesh may be fetched from, whatever a name resolves to: this machine, link-local
 * (cloud metadata lives there), multicast, reserved and documentation ranges (RFC 6890), and the metadata addresses that
 * clouds keep elsewhere. RFC 1918 is allowed: that is where a company's own issuer is; the egress list names it.
 */
export function isBlockedAddress(address: string): boolean {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1]
  if (mapped !== undefined) return isBlockedAddress(mapped)
  const family = isIP(address)
  if (family === 0) return true
  return blocked.check(address, family === 4 ? 'ipv4' : 'ipv6')
}

const blocked = new BlockList()
for (const [network, prefix] of [
  ['0.0.0.0', 8],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['192.0.0.0', 24],
  ['192.0.2.0', 24],
  ['198.18.0.0', 15],
  ['198.51.100.0', 24],
  ['203.0.113.0', 24],
  ['224.0.0.0', 4],
  ['240.0.0.0', 4],
] as const) {
  blocked.addSubnet(network, prefix, 'ipv4')
}
for (const [network, prefix] of [
  ['::', 127],
  ['64:ff9b::', 96],
  ['100::', 64],
  ['2001:db8::', 32],
  ['2002::', 16],
  ['fe80::', 10],
  ['ff00::', 8],
] as const) {
  blocked.addSubnet(network, prefix, 'ipv6')
}
blocked.addAddress('100.100.100.200', 'ipv4')
blocked.addAddress('fd00:ec2::254', 'ipv6')
