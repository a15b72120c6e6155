import { fail, issue, ok, type Result } from '../result.ts'

/** An address as 32-bit words, most significant first: one for IPv4, four for IPv6. */
export interface IpAddress {
  readonly version: 4 | 6
  readonly words: readonly number[]
}

const DECIMAL_OCTET = /^(?:0|[1-9][0-9]{0,2})$/
const HEX_GROUP = /^[0-9A-Fa-f]{1,4}$/
/** The longest spelling: eight groups, the last two as a dotted quad. */
const MAX_LENGTH = 45

/**
 * Reads an IPv4 address in four decimal octets, or an IPv6 address (RFC 4291, 2.2) without a zone. No octal, no
 * hexadecimal, no short form. An IPv4-mapped address (`::ffff:192.0.2.1`) is the IPv4 address: a dual-stack socket
 * names the same client either way.
 */
export function parseIpAddress(text: string): Result<IpAddress> {
  const address = readIpAddress(text)
  return address === undefined
    ? fail(issue('malformed-ip-address', '', 'is not an IP address', 'write 192.0.2.1 or 2001:db8::1'))
    : ok(address)
}

/** {@link parseIpAddress} for the request path, where nobody reads the issue. */
export function readIpAddress(text: string): IpAddress | undefined {
  if (text.length > MAX_LENGTH) return undefined
  if (!text.includes(':')) {
    const word = readQuad(text)
    return word === undefined ? undefined : { version: 4, words: [word] }
  }
  const groups = readGroups(text)
  if (groups === undefined) return undefined
  const words = [0, 2, 4, 6].map((i) => (groups[i] as number) * 65_536 + (groups[i + 1] as number))
  const isMapped = words[0] === 0 && words[1] === 0 && words[2] === 0xffff
  return isMapped ? { version: 4, words: words.slice(3) } : { version: 6, words }
}

/** IPv4 as four decimals, IPv6 as eight groups without shortening: one spelling for each address, meant as a key. */
export function formatIpAddress({ version, words }: IpAddress): string {
  if (version === 4) {
    const word = words[0] as number
    return `${word >>> 24}.${(word >>> 16) & 255}.${(word >>> 8) & 255}.${word & 255}`
  }
  return words.map((word) => `${(word >>> 16).toString(16)}:${(word & 0xffff).toString(16)}`).join(':')
}

function readQuad(text: string): number | undefined {
  const octets = text.split('.')
  if (octets.length !== 4) return undefined
  let word = 0
  for (const octet of octets) {
    if (!DECIMAL_OCTET.test(octet)) return undefined
    const value = Number(octet)
    if (value > 255) return undefined
    word = word * 256 + value
  }
  return word
}

function readGroups(text: string): readonly number[] | undefined {
  const [head = '', tail, more] = text.split('::')
  if (more !== undefined) return undefined
  const before = readGroupList(head, tail === undefined)
  if (before === undefined) return undefined
  if (tail === undefined) return before.length === 8 ? before : undefined
  const after = readGroupList(tail, true)
  if (after === undefined || before.length + after.length > 7) return undefined
  return [...before, ...Array<number>(8 - before.length - after.length).fill(0), ...after]
}

function readGroupList(text: string, isLast: boolean): readonly number[] | undefined {
  if (text === '') return []
  const groups: number[] = []
  const parts = text.split(':')
  for (const [i, part] of parts.entries()) {
    if (HEX_GROUP.test(part)) {
      groups.push(Number.parseInt(part, 16))
      continue
    }
    const quad = isLast && i === parts.length - 1 ? readQuad(part) : undefined
    if (quad === undefined) return undefined
    groups.push(Math.floor(quad / 65_536), quad % 65_536)
  }
  return groups
}
