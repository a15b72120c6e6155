import { PORTS, type PodSidecar, SELF_ADDRESS, SIDECAR_UID } from '../../contract/pod.ts'
import { parseCidr } from '../../model/match/cidr.ts'
import { formatIpAddress, readIpAddress } from '../../model/match/ip-address.ts'

/** What is left alone: ports and blocks of addresses that whoever wrote the pod excluded, and was allowed to. */
export type Exclusions = PodSidecar['exclude']

/** The name of the one table that is ours. Of both families: `inet`. */
export const TABLE = 'hauberk'

/** nf_tables' name for the priority of destination NAT, which has no name at the output hook. */
export const DESTINATION_NAT = -100

/**
 * The rules that capture a pod's TCP, IPv4 and IPv6, as text for `nft -f`: one transaction, which replaces the table if it
 * is there, so that running it again changes nothing.
 *
 * - What comes in goes to the inbound port, whichever port it is for; not the sidecar's own probe and metrics ports.
 * - What goes out goes to the outbound port, unless the sidecar itself sends it.
 * - Loopback is left alone, the pod's own addresses included: it never leaves the pod, and inside one nothing separates its
 *   containers from one another. A call to the pod's own Service does leave, and is captured.
 * - The sidecar reaches its own inbound port at {@link SELF_ADDRESS}.
 * - Nobody dials the two ports: only what was captured has an original destination (T10).
 *
 * While nobody listens on the two ports, whatever is captured is refused (T09). What is not TCP is not captured (T11).
 */
export function captureRuleset({ inboundPorts, outboundPorts, outboundCidrs }: Exclusions): string {
  const inbound = [
    `tcp dport ${portSet([PORTS.probes, PORTS.metrics, ...inboundPorts])} return`,
    `meta l4proto tcp redirect to :${PORTS.inbound}`,
  ]
  const outbound = [
    `meta skuid ${SIDECAR_UID} ip daddr ${SELF_ADDRESS} meta l4proto tcp redirect to :${PORTS.inbound}`,
    `meta skuid ${SIDECAR_UID} return`,
    'oif "lo" return',
    ...(outboundPorts.length > 0 ? [`tcp dport ${portSet(outboundPorts)} return`] : []),
    ...outboundCidrs.map((block) => `${destinationIn(block)} return`),
    `meta l4proto tcp redirect to :${PORTS.outbound}`,
  ]
  const guard = [
    `oif "lo" tcp dport ${portSet([PORTS.outbound, PORTS.inbound])} ct status & dnat != dnat reject with tcp reset`,
  ]
  return [
    `table inet ${TABLE}`,
    `delete table inet ${TABLE}`,
    `table inet ${TABLE} {`,
    ...chain('inbound', `type nat hook prerouting priority ${DESTINATION_NAT}`, inbound),
    ...chain('outbound', `type nat hook output priority ${DESTINATION_NAT}`, outbound),
    ...chain('guard', 'type filter hook output priority 0', guard),
    '}',
    '',
  ].join('\n')
}

function chain(name: string, base: string, rules: readonly string[]): readonly string[] {
  return [`\tchain ${name} {`, `\t\t${base}; policy accept;`, ...rules.map((rule) => `\t\t${rule}`), '\t}']
}

/** Throws for what is no port: nothing but decimal digits gets into the text. */
function portSet(ports: readonly number[]): string {
  for (const port of ports) {
    if (!Number.isInteger(port) || port < 1 || port > 65_535) throw new RangeError(`${port} is not a port`)
  }
  return `{ ${[...new Set(ports)].sort((a, b) => a - b).join(', ')} }`
}

/** Written anew from the parsed address, so that nothing of the given text gets into the rules. */
function destinationIn(block: string): string {
  const [written = '', suffix] = block.split('/')
  const address = readIpAddress(written)
  if (!parseCidr(block).ok || address === undefined) throw new RangeError(`${block} is not a block of addresses`)
  const bits = address.words.length * 32
  const isMapped = address.version === 4 && written.includes(':')
  const prefix = suffix === undefined ? bits : Number(suffix) - (isMapped ? 96 : 0)
  return `${address.version === 4 ? 'ip' : 'ip6'} daddr ${formatIpAddress(address)}/${prefix}`
}
