import { canonicalJson } from '../../contract/codec.ts'
import type { EgressRule, OutboundService, Upstream } from '../../contract/workload-config.ts'
import { type Issue, issue } from '../../model/result.ts'
import { isSame } from '../../model/same.ts'
import { egressNames, type MeshSettings } from './mesh-settings.ts'
import { type ForeignService, type ServiceFacts, type ServicePortFacts, upstreamName } from './services.ts'

/** On a pod template or a Namespace: Services of other namespaces that its workloads call, such as `identity/auth, other/*`. */
export const OUTBOUND_ANNOTATION = 'hauberk.dev/outbound'

/** A Service of another namespace, or every one of it. */
export interface OutboundRef {
  readonly namespace: string
  /** Undefined: all of the namespace. */
  readonly service?: string
}

const ENTRY = /^([a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?)\/(\*|[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?)$/

/** The Service that a name in the cluster's own domain is of: `orders.shop.svc` or `orders.shop.svc.cluster.local`. */
export function serviceNamed(host: string): Required<OutboundRef> | undefined {
  const [, service, namespace] = IN_CLUSTER.exec(host) ?? []
  return service === undefined || namespace === undefined ? undefined : { namespace, service }
}

const IN_CLUSTER = /^([a-z0-9][-a-z0-9]*)\.([a-z0-9][-a-z0-9]*)\.svc(?:\.cluster\.local)?$/

/** Reads the annotation. What cannot be read of it names nothing. */
export function parseOutbound(text: string): {
  readonly refs: readonly OutboundRef[]
  readonly issues: readonly Issue[]
} {
  const refs: OutboundRef[] = []
  const issues: Issue[] = []
  for (const entry of text.split(',').map((part) => part.trim())) {
    if (entry === '') continue
    const [, namespace, service] = ENTRY.exec(entry) ?? []
    if (namespace === undefined) {
      issues.push(
        issue(
          'malformed-annotation',
          `annotations["${OUTBOUND_ANNOTATION}"]`,
          `'${entry}' is not a Service`,
          'write namespace/service, or namespace/* for all of its Services, with commas between',
        ),
      )
    } else refs.push(service === '*' || service === undefined ? { namespace } : { namespace, service })
  }
  return { refs, issues }
}

/** The part of a config that says where a workload may go within the mesh. */
export interface Outbound {
  readonly services: OutboundService[]
  readonly upstreams: Record<string, Upstream>
}

/** What a workload of `callerNamespace` may call, and how. Its parts are those of others too: nobody changes them. */
export function outboundOf(services: readonly ServiceFacts[], callerNamespace: string, mesh: MeshSettings): Outbound {
  const outbound: Outbound = { services: [], upstreams: {} }
  for (const service of services) {
    const part = partOf(service, callerNamespace, mesh)
    outbound.services.push(...part.services)
    for (const [name, upstream] of part.upstreams) outbound.upstreams[name] = upstream
  }
  return outbound
}

/** What canonical JSON says of the parts of {@link outboundOf}: most of every config, and the same in many. */
export const outboundTexts = new WeakMap<object, string>()

/** One Service's part of what a workload may call. */
interface OutboundPart {
  readonly mesh: MeshSettings
  readonly services: readonly OutboundService[]
  readonly upstreams: readonly (readonly [name: string, upstream: Upstream])[]
}

/** For callers of the Service's own namespace, and for others. */
const parts = new WeakMap<ServiceFacts, { own?: OutboundPart; foreign?: OutboundPart }>()

function partOf(service: ServiceFacts, callerNamespace: string, mesh: MeshSettings): OutboundPart {
  const known = parts.get(service) ?? {}
  parts.set(service, known)
  const caller = callerNamespace === service.namespace ? 'own' : 'foreign'
  const before = known[caller]
  if (before?.mesh === mesh) return before
  const part =
    before !== undefined && isSame(before.mesh, mesh) ? { ...before, mesh } : makePart(service, callerNamespace, mesh)
  known[caller] = part
  return part
}

function makePart(service: ServiceFacts, callerNamespace: string, mesh: MeshSettings): OutboundPart {
  const hosts = hostsOf(service, callerNamespace)
  const made = service.ports.map((port) => {
    const upstream = upstreamName(service.namespace, service.name, port.port)
    return {
      upstream: [upstream, upstreamOf(service, port, mesh)] as const,
      service: {
        service: `${service.namespace}/${service.name}`,
        hosts,
        ...(service.addresses.length > 0 && { addresses: [...service.addresses] }),
        port: port.port,
        protocol: port.protocol,
        ...(port.appProtocol !== undefined && { appProtocol: port.appProtocol }),
        upstream,
        requestTimeoutMs: port.traffic?.delivery?.requestTimeoutMs ?? mesh.requestTimeoutMs,
      },
    }
  })
  for (const { service: its, upstream } of made) {
    outboundTexts.set(its, canonicalJson(its))
    outboundTexts.set(upstream[1], canonicalJson(upstream[1]))
  }
  return { mesh, services: made.map((each) => each.service), upstreams: made.map(({ upstream }) => upstream) }
}

/** The egress rules of a workload: those of the mesh, and where they name a Service that nobody of the mesh serves, its addresses. */
export function egressOf({ egress }: MeshSettings, foreign: readonly ForeignService[]): EgressRule[] {
  const byAddress = egress.flatMap((rule) => {
    const named = rule.host === undefined ? undefined : serviceNamed(rule.host)
    const service = foreign.find(({ namespace, name }) => namespace === named?.namespace && name === named.service)
    const ports = rule.ports.filter((port) => service?.ports.includes(port))
    if (service === undefined || ports.length === 0) return []
    return service.addresses.map((address) => ({ name: rule.name, address, ports: [...ports] }))
  })
  return [...egress, ...byAddress]
}

/** T33: plaintext only where no pod has a sidecar and the egress list names the Service like any host outside of the mesh. */
export function upstreamOf(service: ServiceFacts, port: ServicePortFacts, mesh: MeshSettings): Upstream {
  // Only names that end as a Service's do: `*.dev` is a domain of the internet and no namespace.
  const names = hostsOf(service, service.namespace).filter((host) => host.includes('.svc'))
  const isOutside = port.unmeshed && names.some((host) => egressNames(mesh, host, port.port))
  return {
    service: `${service.namespace}/${service.name}`,
    port: port.port,
    protocol: port.protocol,
    ...(port.appProtocol !== undefined && { appProtocol: port.appProtocol }),
    tls: isOutside ? 'plaintext' : 'mesh',
    spiffeIds: isOutside ? [] : [...port.spiffeIds],
    ...(port.traffic !== undefined && { traffic: port.traffic }),
  }
}

/** The names that the DNS of a pod resolves to the Service. Only its own namespace calls it by its bare name. */
function hostsOf({ namespace, name }: ServiceFacts, callerNamespace: string): string[] {
  const qualified = [`${name}.${namespace}`, `${name}.${namespace}.svc`, `${name}.${namespace}.svc.cluster.local`]
  return callerNamespace === namespace ? [name, ...qualified] : qualified
}
