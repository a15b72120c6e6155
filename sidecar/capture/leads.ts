import type { EndpointsDocument } from '../../contract/endpoints.ts'
import type { EgressRule, WorkloadConfig } from '../../contract/workload-config.ts'
import { type Cidr, parseCidr } from '../../model/match/cidr.ts'
import { type HostPattern, parseHostPattern } from '../../model/match/host.ts'
import { type IpAddress, readIpAddress } from '../../model/match/ip-address.ts'
import type { Denial } from '../../model/verdict.ts'
import type { Chain } from '../compile/pipeline.ts'
import { OUTBOUND_FORBIDDEN_ADDRESS, OUTBOUND_UNKNOWN_ADDRESS } from '../serve/denials.ts'
import { type ServiceDestination, serviceDestination } from '../serve/outbound/destinations.ts'
import { isLoopback, isNeverOutside } from '../upstream/outside.ts'
import { type Destination, oneSpelling } from './destination.ts'

/** Where an original destination leads. */
export type Lead =
  /** A Service of the mesh, or one that the egress list lets be called in plaintext. */
  | { readonly kind: 'service'; readonly destination: ServiceDestination; readonly endpoint?: Destination }
  /** Outside, by an address or a block of the egress list. */
  | { readonly kind: 'outside'; readonly rule: string }
  /** Outside, if one of these names leads there: {@link NamedRule}. */
  | { readonly kind: 'named'; readonly exact: readonly NamedRule[]; readonly wildcards: readonly NamedRule[] }
  | { readonly kind: 'refused'; readonly denial: Denial }

/** A rule of the egress list about a host, for one port. */
export interface NamedRule {
  /** `EgressRule.name`. */
  readonly rule: string
  readonly host: HostPattern
}

/** Of DNS, over TCP as over UDP. */
const DNS_PORT = 53

/** The name that calls to the pod's resolver go by. */
const RESOLVER = 'resolver'

/** What a config and its endpoints say of original destinations (ADR 31). Nothing but the address and the port decides (T33). */
export interface Leads {
  find(destination: Destination): Lead
}

const UNKNOWN: Lead = Object.freeze({ kind: 'refused', denial: OUTBOUND_UNKNOWN_ADDRESS })
const FORBIDDEN: Lead = Object.freeze({ kind: 'refused', denial: OUTBOUND_FORBIDDEN_ADDRESS })

/**
 * `resolvers` are the servers that the kubelet had the pod ask for names: over UDP they are not captured, and what does not
 * fit there is asked again over TCP.
 */
export function compileLeads(
  config: Pick<WorkloadConfig, 'outbound' | 'upstreams'>,
  { endpoints, meshed = [] }: Pick<EndpointsDocument, 'endpoints' | 'meshed'>,
  resolvers: ReadonlySet<string> = NOBODY,
  calls: Chain = { enforced: [] },
): Leads {
  const { outbound, upstreams } = config
  const known = new Map<string, Lead>()
  /** Of the mesh, whatever the port. */
  const ours = new Set<string>()
  const add = (address: string, port: number, lead: Lead) => {
    const key = keyOf(oneSpelling(address), port)
    if (!known.has(key)) known.set(key, lead)
  }

  const destinations = outbound.services.map((service) => serviceDestination(service, config, calls))
  for (const destination of destinations) {
    const { addresses = [], port, upstream } = destination.service
    for (const address of addresses) {
      add(address, port, { kind: 'service', destination })
      if (upstreams[upstream]?.tls !== 'plaintext') ours.add(oneSpelling(address))
    }
  }
  // Mutual TLS first: where two Services disagree about a pod, it is not called in plaintext.
  for (const tls of ['mesh', 'plaintext'] as const) {
    for (const destination of destinations) {
      const { upstream } = destination.service
      if (upstreams[upstream]?.tls !== tls || !Object.hasOwn(endpoints, upstream)) continue
      for (const { address, port, otherAddresses = [] } of endpoints[upstream] ?? []) {
        const lead: Lead = { kind: 'service', destination, endpoint: { address, port } }
        for (const each of [address, ...otherAddresses]) {
          if (tls === 'plaintext' && ours.has(oneSpelling(each))) continue
          add(each, port, lead)
          if (tls === 'mesh') ours.add(oneSpelling(each))
        }
      }
    }
  }

  const blocks = meshed.flatMap((text) => {
    const block = parseCidr(text)
    return block.ok ? [block.value] : []
  })
  // A block that nobody can read might be anywhere.
  const isBlind = blocks.length < meshed.length
  const egress = outbound.egress.flatMap(compileRule)
  const isMeshed = (parsed: IpAddress | undefined): boolean =>
    isBlind || parsed === undefined || blocks.some((block) => block.contains(parsed))

  return {
    find({ address, port }) {
      const lead = known.get(keyOf(address, port))
      if (lead !== undefined) return lead
      const parsed = readIpAddress(address)
      const isResolver = port === DNS_PORT && resolvers.has(address) && !ours.has(address)
      if (isResolver && !isMeshed(parsed)) return { kind: 'outside', rule: RESOLVER }
      if (ours.has(address) || isNeverOutside(address) || isLoopback(address)) return FORBIDDEN
      const byAddress = egress.find((rule) => rule.isAddress(address) && rule.ports.includes(port))
      if (byAddress !== undefined) return { kind: 'outside', rule: byAddress.name }
      const ofPort = egress.filter((rule) => rule.ports.includes(port))
      const byBlock = ofPort.find(({ block }) => parsed !== undefined && block?.contains(parsed))
      const named = ofPort.flatMap(({ name, host }) => (host === undefined ? [] : [{ rule: name, host }]))
      if (byBlock === undefined && named.length === 0) return UNKNOWN
      if (isMeshed(parsed)) return FORBIDDEN
      if (byBlock !== undefined) return { kind: 'outside', rule: byBlock.name }
      const isWildcard = ({ host }: NamedRule) => host.text.startsWith('*.')
      return { kind: 'named', exact: named.filter((rule) => !isWildcard(rule)), wildcards: named.filter(isWildcard) }
    },
  }
}

const NOBODY: ReadonlySet<string> = new Set()

interface CompiledRule {
  readonly name: string
  readonly ports: readonly number[]
  isAddress(address: string): boolean
  readonly block?: Cidr
  readonly host?: HostPattern
}

/** A rule that cannot be read opens nothing, and neither does one for a name that DNS is not asked for. */
function compileRule({ name, host, cidr, address, ports }: EgressRule): readonly CompiledRule[] {
  const common = { name, ports, isAddress: () => false }
  if (address !== undefined) {
    const own = oneSpelling(address)
    return [{ ...common, isAddress: (other) => other === own }]
  }
  if (cidr !== undefined) {
    const block = parseCidr(cidr)
    return block.ok ? [{ ...common, block: block.value }] : []
  }
  const pattern = parseHostPattern(host ?? '')
  return pattern.ok && !isOfCluster(pattern.value.text) ? [{ ...common, host: pattern.value }] : []
}

/** Whether a name is of the cluster's own domain: what it leads to the operator says, never DNS. */
export function isOfCluster(host: string): boolean {
  return OF_CLUSTER.test(host)
}

const OF_CLUSTER = /(?:^|\.)(?:svc|cluster\.local)$/

function keyOf(address: string, port: number): string {
  return `${address} ${port}`
}
