import { type LookupAddress, lookup } from 'node:dns'
import { isIP, type LookupFunction } from 'node:net'
import { type Cidr, parseCidr } from '../../model/match/cidr.ts'
import { readIpAddress } from '../../model/match/ip-address.ts'

/** A destination outside the mesh. The name is resolved when it is dialled, and the addresses are judged then. */
export interface OutsideTarget {
  readonly kind: 'outside'
  /** A host name, or an IP literal without brackets. */
  readonly host: string
  readonly port: number
  /** Whether this address may be called, whoever says that the name leads there. */
  allows(address: string): boolean
  /** What is there must show a certificate for `host` of an authority that this machine trusts. Default: it is called as it is. */
  readonly tls?: true
}

/** What `allows` refused. */
export class ForbiddenAddressError extends Error {
  override readonly name = 'ForbiddenAddressError'
}

/**
 * No rule opens these: link-local addresses and what clouds serve metadata under, addresses that are none of a host, and
 * those that hold an IPv4 address of any kind inside.
 */
const NEVER = cidrs(
  '0.0.0.0/8',
  '100.100.100.200',
  '169.254.0.0/16',
  '192.0.0.192',
  '224.0.0.0/4',
  '240.0.0.0/4',
  '::',
  '64:ff9b::/96',
  '64:ff9b:1::/48',
  '2002::/16',
  'fd00:ec2::/32',
  'fe80::/10',
  'fec0::/10',
  'ff00::/8',
)

/** This machine: only a rule that names the address opens it, never one that names a host. */
const LOOPBACK = cidrs('127.0.0.0/8', '::1')

export function isNeverOutside(address: string): boolean {
  return isIn(NEVER, address)
}

export function isLoopback(address: string): boolean {
  return isIn(LOOPBACK, address)
}

/** The look-up of `net.connect` that hands on only what the target allows. */
export function guardedLookup(target: OutsideTarget): LookupFunction {
  return (hostname, options, callback) => {
    lookup(hostname, { ...options, all: true }, (error, found: LookupAddress[]) => {
      if (error !== null) return callback(error, '')
      const allowed = found.filter(({ address }) => target.allows(address))
      const [first] = allowed
      if (first === undefined) return callback(forbidden(hostname), '')
      if (options.all === true) callback(null, allowed)
      else callback(null, first.address, first.family)
    })
  }
}

export function isForbiddenLiteral({ host, allows }: OutsideTarget): boolean {
  return isIP(host) !== 0 && !allows(host)
}

export function forbidden(host: string): ForbiddenAddressError {
  return new ForbiddenAddressError(`${host} leads to an address that may not be called`)
}

function isIn(blocks: readonly Cidr[], address: string): boolean {
  const parsed = readIpAddress(address)
  // What nobody can read is not an address that may be called.
  return parsed === undefined || blocks.some((block) => block.contains(parsed))
}

function cidrs(...texts: readonly string[]): readonly Cidr[] {
  return texts.map((text) => {
    const parsed = parseCidr(text)
    if (!parsed.ok) throw new Error(`malformed block ${text}`)
    return parsed.value
  })
}
