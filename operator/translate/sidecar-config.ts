import type { InboundListener, RouteMatch, WorkloadConfig } from '../../contract/workload-config.ts'
import { CONTRACT_VERSION } from '../../contract/workload-config.ts'
import { fail, issue, type Result } from '../../model/result.ts'
import type { SectionContext } from '../../model/section.ts'
import type { FoundUpstream } from './backend-references.ts'
import { type Finding, mtlsModeOf, type Reach, type Rooms, slotsAt, slotsOfCalls } from './levels.ts'
import type { MeshSettings } from './mesh-settings.ts'
import type { InboundFacts, WorkloadFacts } from './namespace.ts'
import { egressOf, outboundOf } from './outbound.ts'
import type { MeshPolicy } from './policy.ts'
import type { References } from './references.ts'
import { type RoutedPort, withRouting } from './service-routing.ts'
import type { ForeignService, ServiceFacts } from './services.ts'
import { traceOf } from './tracing.ts'

/**
 * All that one workload's config depends on, besides what its policies refer to. It is the key under
 * which the config is remembered: what is not in here cannot have an influence, because `translateSidecar` gets nothing else.
 */
export interface SidecarSlice {
  readonly role: 'sidecar'
  readonly workload: WorkloadFacts
  /** The MeshSecurityPolicies that hold for the workload's namespace. */
  readonly meshPolicies: readonly MeshPolicy[]
  readonly mesh: MeshSettings
  readonly roots: readonly string[]
  readonly distrustedRoots: readonly string[]
  /** Services that it may call: those of its namespace, and those that its annotations and the egress list name. */
  readonly outbound: readonly (readonly ServiceFacts[])[]
  /** The routes at them that are for callers of the workload's namespace. */
  readonly routed: readonly RoutedPort[]
  /** Services without a selector that the egress list names. */
  readonly foreign: readonly ForeignService[]
}

/** A config without its version, and what its policies came to. */
export interface Translated {
  readonly config: WorkloadConfig
  readonly findings: readonly Finding[]
}

const ANY_REQUEST: RouteMatch = { hostnames: [], path: { type: 'prefix', value: '/' }, headers: [], query: [] }

/** The config of a workload's sidecar; its `version` is yet to be filled in. */
export function translateSidecar(slice: SidecarSlice, rooms: Rooms, references: References): Translated {
  const { workload, mesh } = slice
  const findings: Finding[] = []
  const outbound = withRouting(outboundOf(slice.outbound.flat(), workload.namespace, mesh), slice.routed, mesh)
  const trace = traceOf(mesh, references)
  const config: WorkloadConfig = {
    contract: CONTRACT_VERSION,
    version: '',
    workload: workload.id,
    role: 'sidecar',
    identity: {
      spiffeId: `spiffe://${mesh.trustDomain}/ns/${workload.namespace}/sa/${workload.serviceAccount}`,
      trustDomain: mesh.trustDomain,
    },
    trustBundle: [...slice.roots],
    ...(slice.distrustedRoots.length > 0 && { distrustedRoots: [...slice.distrustedRoots] }),
    trustedHops: mesh.trustedHops,
    listeners: workload.ports.map((port) => inboundListener(port, slice, rooms, references, findings)),
    outbound: {
      services: outbound.services,
      egress: egressOf(mesh, slice.foreign),
      ...filtersOfCalls(slice, rooms, references, findings),
    },
    ...(trace !== undefined && { trace }),
    upstreams: outbound.upstreams,
  }
  return { config, findings }
}

/** Who would have to ask itself about each question would ask for ever. */
function notOfItself(found: Result<FoundUpstream>, { ports }: WorkloadFacts): Result<FoundUpstream> {
  if (!found.ok || !ports.some(({ label }) => label === `Service/${found.value.upstream}`)) return found
  const message = `names ${found.value.upstream}, which this workload serves itself`
  return fail(
    issue('backend-not-resolved', '', message, 'leave the service that is asked out of what the policy is for'),
  )
}

/** Of the policies at any of its ports. */
function filtersOfCalls(
  { workload, mesh, meshPolicies }: SidecarSlice,
  rooms: Rooms,
  references: References,
  findings: Finding[],
): Pick<WorkloadConfig['outbound'], 'filters'> {
  const reaches = new Map<string, Reach>()
  for (const reach of workload.ports.flatMap((port) => port.reaches)) {
    const { policy, specificity } = reach
    const before = reaches.get(policy.key)
    if (before === undefined || before.specificity < specificity) reaches.set(policy.key, reach)
  }
  const context = contextAt({ port: 0, protocol: 'http' }, workload, mesh, references)
  const settled = slotsOfCalls({ context, reaches: [...reaches.values()], meshPolicies }, rooms)
  findings.push(...settled.findings)
  return Object.keys(settled.slots).length === 0 ? {} : { filters: settled.slots }
}

function contextAt(
  { port, protocol, database }: Pick<InboundFacts, 'port' | 'protocol' | 'database'>,
  workload: WorkloadFacts,
  mesh: MeshSettings,
  references: References,
): SectionContext {
  return {
    namespace: workload.namespace,
    workload: workload.id,
    port,
    protocol,
    ...(database !== undefined && { database }),
    role: 'sidecar',
    trustDomain: mesh.trustDomain,
    authorizationDefault: mesh.authorizationDefault,
    ...(mesh.maxTokenLifetimeSeconds !== undefined && { maxTokenLifetimeSeconds: mesh.maxTokenLifetimeSeconds }),
    tokenIssuer: (name) => references.tokenIssuer(workload.namespace, name),
    secret: references.secret,
    upstream: (reference, by) => notOfItself(references.upstream(reference, by), workload),
  }
}

function inboundListener(
  { port, protocol, appProtocol, database, label, reaches }: InboundFacts,
  { workload, mesh, meshPolicies }: SidecarSlice,
  rooms: Rooms,
  references: References,
  findings: Finding[],
): InboundListener {
  const context = contextAt({ port, protocol, ...(database !== undefined && { database }) }, workload, mesh, references)
  const place = { context, reaches, meshPolicies }
  const httpFilters = rooms.filters.filter(({ http }) => http !== false)
  const settled = slotsAt(place, rooms)
  findings.push(...settled.findings)
  const common = {
    kind: 'inbound' as const,
    port,
    protocol,
    ...(appProtocol !== undefined && { appProtocol }),
    mtls: mtlsModeOf(settled.slots),
  }
  if (protocol === 'tcp') return { ...common, routes: [], filters: settled.slots }
  return {
    ...common,
    routes: [
      {
        id: label,
        match: ANY_REQUEST,
        filters: settled.slots,
        // The caller's side bounds the request; a second limit here would only cut its answers short.
        action: { kind: 'app', port, requestTimeoutMs: 0 },
      },
    ],
    // Sidecars that do not read HTTP/2 yet carry it, and judge its connections.
    filters:
      appProtocol === undefined
        ? {}
        : slotsAt({ ...place, context: { ...context, protocol: 'tcp' } }, { ...rooms, filters: httpFilters }).slots,
  }
}
