import type { Socket } from 'node:net'
import { endianness } from 'node:os'
import koffi from 'koffi'
import { formatIpAddress, readIpAddress } from '../../model/match/ip-address.ts'
import type { Destination, OriginalDestination } from './destination.ts'

/** Levels and names of socket options, `linux/in.h`, `linux/netfilter_ipv4.h` and `linux/netfilter_ipv6/ip6_tables.h`. */
const SOL_IP = 0
const SOL_IPV6 = 41
const SO_ORIGINAL_DST = 80

/** `sizeof(struct sockaddr_in6)`, the longer of the two. */
const MAX_SOCKADDR_BYTES = 28

type Getsockopt = (fd: number, level: number, name: number, value: Buffer, length: number[]) => number

/**
 * Asks the kernel's connection tracking by `getsockopt(SO_ORIGINAL_DST)`, 4 us a connection. Call it in the listener of
 * `connection`: later the descriptor may be another's.
 *
 * Node has no getsockopt, and its sockets no public descriptor: this is the one place that reads `_handle.fd`. Throws where
 * the C library cannot be called. Linux only.
 */
export function openOriginalDestination(): OriginalDestination {
  if (process.platform !== 'linux') throw new Error('the original destination of a connection is known on Linux only')
  const getsockopt: Getsockopt = koffi
    .load(null)
    .func('int getsockopt(int fd, int level, int name, _Out_ uint8_t *value, _Inout_ uint32_t *length)')
  const value = Buffer.alloc(MAX_SOCKADDR_BYTES)
  return (socket) => {
    const fd = descriptorOf(socket)
    if (fd === undefined) return undefined
    // A socket of both families says IPv6 of an IPv4 connection too: its address tells.
    const isIpv4 = readIpAddress(socket.localAddress ?? '')?.version === 4
    const outcome = getsockopt(fd, isIpv4 ? SOL_IP : SOL_IPV6, SO_ORIGINAL_DST, value, [MAX_SOCKADDR_BYTES])
    if (outcome !== 0) return undefined
    return isIpv4 ? readIpv4(value) : readIpv6(value)
  }
}

function descriptorOf(socket: Socket): number | undefined {
  const { _handle: handle } = socket as unknown as { readonly _handle?: { readonly fd?: unknown } | null }
  const fd = handle?.fd
  return typeof fd === 'number' && fd >= 0 ? fd : undefined
}

/** `struct sockaddr_in`: family, port, address; the last two in network order. */
function readIpv4(value: Buffer): Destination | undefined {
  if (familyOf(value) !== AF_INET) return undefined
  return { address: formatIpAddress({ version: 4, words: [value.readUInt32BE(4)] }), port: value.readUInt16BE(2) }
}

/** `struct sockaddr_in6`: family, port, flow, address. */
function readIpv6(value: Buffer): Destination | undefined {
  if (familyOf(value) !== AF_INET6) return undefined
  const words = [8, 12, 16, 20].map((at) => value.readUInt32BE(at))
  return { address: formatIpAddress({ version: 6, words }), port: value.readUInt16BE(2) }
}

const AF_INET = 2
const AF_INET6 = 10

/** In the machine's own order. */
function familyOf(value: Buffer): number {
  return endianness() === 'LE' ? value.readUInt16LE(0) : value.readUInt16BE(0)
}
