import { connect, createServer, type Server, type Socket } from 'node:net'
import { PORTS } from '../../contract/pod.ts'
import { parseCidr } from '../../model/match/cidr.ts'
import { formatIpAddress, type IpAddress, readIpAddress } from '../../model/match/ip-address.ts'
import { type Destination, describeDestination, type OriginalDestination, oneSpelling } from '../capture/destination.ts'
import type { Exclusions } from './ruleset.ts'

export interface VerifyOptions {
  /** The pod's addresses, one of each family that it has. */
  readonly podIps: readonly string[]
  readonly exclude: Exclusions
  /** Where a captured connection was going; undefined when the kernel does not know. */
  readonly originalDestination: OriginalDestination
}

/** Milliseconds that a connection within the pod may take. */
const CONNECT_MS = 1_000

/** Addresses that nobody has (RFC 5737, RFC 3849, RFC 9637): a call to one that is not captured reaches nobody. */
const NOBODY: Readonly<Record<4 | 6, readonly string[]>> = {
  4: ['192.0.2.1', '198.51.100.1', '203.0.113.1'],
  6: ['2001:db8::1', '3fff::1'],
}
const TEST_PORTS = [80, 443, 8_080, 9, 65_000] as const

/**
 * What does not work of the capture, a sentence each: stands in for the sidecar for a moment, as a user that is captured,
 * and calls out. Nobody else runs in the pod yet. Rejects when the sidecar's port is taken.
 */
export async function verifyCapture(options: VerifyOptions): Promise<readonly string[]> {
  const families = [...new Set(options.podIps.map((ip) => readIpAddress(ip)?.version ?? 4))]
  const faults = await Promise.all(families.map((family) => verifyFamily(family, options)))
  return faults.flat()
}

async function verifyFamily(family: 4 | 6, options: VerifyOptions): Promise<readonly string[]> {
  const { podIps, exclude, originalDestination } = options
  const loopback = family === 4 ? '127.0.0.1' : '::1'
  const arrived: (Destination | undefined)[] = []
  const server = await listen(loopback, PORTS.outbound, (socket) => {
    arrived.push(originalDestination(socket))
    socket.end()
  })
  try {
    const direct = await attempt({ address: loopback, port: PORTS.outbound })
    if (direct !== 'ECONNREFUSED') return [`IPv${family}: the outbound port can be dialled directly (${direct})`]
    const candidates = testDestinations(family, podIps, exclude)
    // All of it excluded: there is nothing to capture.
    if (candidates.length === 0) return []
    let outcome = 'ENETUNREACH'
    for (const destination of candidates) {
      outcome = await attempt(destination)
      if (outcome === 'ENETUNREACH' || outcome === 'EHOSTUNREACH') continue
      if (outcome !== 'connected') break
      const [found] = arrived
      if (found === undefined) return [`IPv${family}: the original destination of a captured connection cannot be read`]
      const same = found.port === destination.port && found.address === oneSpelling(destination.address)
      return same
        ? []
        : [
            `IPv${family}: a captured connection to ${describeDestination(destination)} says it was going to ${describeDestination(found)}`,
          ]
    }
    return [`IPv${family}: an outgoing connection is not captured (${outcome})`]
  } finally {
    server.close()
  }
}

/** First addresses that nobody has; a pod without a route to those calls the address next to its own. */
function testDestinations(family: 4 | 6, podIps: readonly string[], exclude: Exclusions): readonly Destination[] {
  const port = TEST_PORTS.find((candidate) => !exclude.outboundPorts.includes(candidate))
  const blocks = exclude.outboundCidrs.flatMap((text) => {
    const block = parseCidr(text)
    return block.ok ? [block.value] : []
  })
  const own = podIps.map((ip) => readIpAddress(ip)).find((ip) => ip?.version === family)
  const addresses = [
    ...NOBODY[family].flatMap((text) => readIpAddress(text) ?? []),
    ...(own === undefined ? [] : [neighbourOf(own)]),
  ].filter((address) => !blocks.some((block) => block.contains(address)))
  return port === undefined ? [] : addresses.map((address) => ({ address: formatIpAddress(address), port }))
}

function neighbourOf({ version, words }: IpAddress): IpAddress {
  return { version, words: words.map((word, i) => (i === words.length - 1 ? (word ^ 1) >>> 0 : word)) }
}

/** `connected`, or the error's code. */
function attempt({ address, port }: Destination): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect({ host: address, port, timeout: CONNECT_MS })
    const settle = (outcome: string) => {
      socket.destroy()
      resolve(outcome)
    }
    socket.once('timeout', () => settle('ETIMEDOUT'))
    socket.on('error', (error: NodeJS.ErrnoException) => settle(error.code ?? error.message))
    // What the other side found out is there once it has ended.
    socket.once('end', () => settle('connected'))
    socket.resume()
  })
}

function listen(host: string, port: number, onConnection: (socket: Socket) => void): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => {
      socket.on('error', () => {})
      onConnection(socket)
    })
    server.once('error', (cause) => reject(new Error(`cannot listen on ${host} port ${port}`, { cause })))
    server.listen({ host, port }, () => resolve(server))
  })
}
