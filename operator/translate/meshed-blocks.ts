import { MAX_MESHED_BLOCKS } from '../../contract/endpoints.ts'
import { formatIpAddress, type IpAddress, readIpAddress } from '../../model/match/ip-address.ts'

/** Prefix lengths that are tried, narrow to wide: `[IPv4, IPv6]`. */
const PREFIXES = [
  [32, 128],
  [28, 112],
  [24, 96],
  [20, 80],
  [16, 64],
  [12, 56],
  [8, 48],
  [4, 32],
  [0, 0],
] as const

/** 127.0.0.0/8 is every workload of a laptop, and other things besides. */
const LOOPBACK_NETWORK = 127

/**
 * Blocks that hold all of these addresses, {@link MAX_MESHED_BLOCKS} at most, sorted: each address by itself while there
 * are few, else the narrowest blocks of one size a family. Loopback is left out, and what is no address.
 *
 * So what a sidecar is told of where the mesh is does not grow with the cluster, and in a large cluster hardly ever changes.
 */
export function meshedBlocks(addresses: Iterable<string>): readonly string[] {
  let blocks = new Map<string, IpAddress>()
  for (const text of addresses) {
    const address = readIpAddress(text)
    if (address !== undefined && !isLoopback(address)) blocks.set(formatIpAddress(address), address)
  }
  for (const [ipv4, ipv6] of PREFIXES) {
    const wider = new Map<string, IpAddress>()
    for (const address of blocks.values()) {
      const prefix = address.version === 4 ? ipv4 : ipv6
      const network = networkOf(address, prefix)
      wider.set(`${formatIpAddress(network)}/${prefix}`, network)
    }
    blocks = wider
    if (blocks.size <= MAX_MESHED_BLOCKS) break
  }
  return [...blocks.keys()].sort()
}

function isLoopback({ version, words }: IpAddress): boolean {
  if (version === 4) return words[0]! >>> 24 === LOOPBACK_NETWORK
  return words.every((word, i) => word === (i === 3 ? 1 : 0))
}

function networkOf({ version, words }: IpAddress, prefix: number): IpAddress {
  return {
    version,
    words: words.map((word, i) => {
      const bits = Math.min(32, Math.max(0, prefix - i * 32))
      return bits === 0 ? 0 : (word & (0xffffffff << (32 - bits))) >>> 0
    }),
  }
}
