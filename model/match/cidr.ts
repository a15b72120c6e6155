import { fail, issue, ok, type Result } from '../result.ts'
import { formatIpAddress, type IpAddress, readIpAddress } from './ip-address.ts'

/** A block of addresses (RFC 4632, RFC 4291): `10.0.0.0/8`, `2001:db8::/32`. */
export interface Cidr {
  /** As its author wrote it. */
  readonly text: string
  readonly version: 4 | 6
  contains(address: IpAddress): boolean
}

const PREFIX_LENGTH = /^(?:0|[1-9][0-9]{0,2})$/

/**
 * A bare address is the block of it alone. IPv4 and IPv6 never contain one another: `::/0` is every IPv6 address, and
 * no IPv4 one. Bits behind the prefix are refused: who wrote `10.1.2.3/8` meant either more or less than it says.
 */
export function parseCidr(text: string): Result<Cidr> {
  const slash = text.indexOf('/')
  const written = slash === -1 ? text : text.slice(0, slash)
  const address = readIpAddress(written)
  if (address === undefined) return malformed('is not a block of IP addresses')
  const bits = address.words.length * 32
  if (slash === -1) return ok(cidrOf(text, address, bits))

  const suffix = text.slice(slash + 1)
  if (!PREFIX_LENGTH.test(suffix)) return malformed(`has a prefix length '${suffix}' that is no number`)
  // `::ffff:10.0.0.0/104` is `10.0.0.0/8`, as the address before it is.
  const prefix = Number(suffix) - (address.version === 4 && written.includes(':') ? 96 : 0)
  if (prefix < 0 || prefix > bits)
    return malformed(`has a prefix length that an IPv${address.version} block cannot have`)

  const network: IpAddress = { ...address, words: address.words.map((word, i) => (word & maskOf(prefix, i)) >>> 0) }
  if (network.words.some((word, i) => word !== address.words[i])) {
    return malformed('has bits behind its prefix', `write ${formatIpAddress(network)}/${prefix} or ${written}`)
  }
  return ok(cidrOf(text, network, prefix))
}

function cidrOf(text: string, network: IpAddress, prefix: number): Cidr {
  const masks = network.words.map((_, i) => maskOf(prefix, i))
  return {
    text,
    version: network.version,
    contains(address) {
      if (address.version !== network.version) return false
      for (let i = 0; i < masks.length; i++) {
        if (((address.words[i] as number) & (masks[i] as number)) >>> 0 !== network.words[i]) return false
      }
      return true
    },
  }
}

/** The part of a prefix of `prefix` bits that falls into the word at `index`. */
function maskOf(prefix: number, index: number): number {
  const bits = Math.min(32, Math.max(0, prefix - index * 32))
  return bits === 0 ? 0 : (0xffffffff << (32 - bits)) >>> 0
}

function malformed(what: string, fix = 'write 10.0.0.0/8, 2001:db8::/32 or one address') {
  return fail(issue('malformed-cidr', '', what, fix))
}
