import { versionOf } from '../../contract/codec.ts'
import type { Endpoint, EndpointsDocument } from '../../contract/endpoints.ts'
import type { Revocation } from '../../contract/revocations.ts'
import { CONTRACT_VERSION, type WorkloadConfig } from '../../contract/workload-config.ts'
import type { Filter } from '../../model/filter.ts'
import { INTERNAL_TOKENS } from '../../model/internal-tokens.ts'
import { isSame, keepSame } from '../../model/same.ts'
import type { Section } from '../../model/section.ts'
import type { WorkloadId } from '../../model/workload-id.ts'
import { FILTERS } from '../../policies/filters.ts'
import { internalToken } from '../../policies/internal-token/filter.ts'
import { SECTIONS } from '../../policies/sections.ts'
import { MESH_CONFIG_NAME } from '../resources/mesh-config.ts'
import type { Snapshot } from '../store/snapshot.ts'
import { attachToGateways } from './attach-gateways.ts'
import { findUpstream } from './backend-references.ts'
import { translateGateway } from './gateway-config.ts'
import { type GatewayFacts, gatewaysOf } from './gateways.ts'
import { createIssuerReview, issuerBook, type ReviewIssuer } from './issuers.ts'
import type { Finding, Rooms } from './levels.ts'
import { limitStoreIssues, limitStoreOf } from './limit-store.ts'
import type { JudgeKeyPair } from './listener-certificates.ts'
import { readMeshSettings } from './mesh-settings.ts'
import { meshedBlocks } from './meshed-blocks.ts'
import { indexNamespaces, type NamespaceFacts, type NamespaceIndex } from './namespace.ts'
import { outboundTexts } from './outbound.ts'
import { createPolicyReader, type PolicyReader } from './policy.ts'
import { findSecret, finds, type Lookups, type References, recorded } from './references.ts'
import { replicasOf, sharesLimits } from './replicas.ts'
import type { ResourceReport } from './report.ts'
import { reportsOf } from './reports.ts'
import { revocationsOf } from './revocations.ts'
import { type RouteFacts, routesOf } from './routes.ts'
import { translateSidecar } from './sidecar-config.ts'
import { type Slice, slicesOf } from './slice.ts'
import { streamRoutesOf } from './stream-routes.ts'
import { collectorIssues } from './tracing.ts'

/** What translation is handed besides the resources. */
export interface TranslateDeps {
  /** SHA-256 of the UTF-8 bytes of `text`, base64url without padding: the versions of documents. */
  sha256(text: string): string
  readonly mesh: {
    /** PEM certificates of the roots that every sidecar is to trust. */
    readonly roots: readonly string[]
    /** Fingerprints of roots that nobody may trust any more. Default: none. */
    readonly distrustedRoots?: readonly string[]
  }
  /** Whether TLS can be served with what a Secret holds. Absent, only its form is looked at. */
  readonly judgeKeyPair?: JudgeKeyPair
  /** Default: every section there is. */
  readonly sections?: readonly Section[]
  /** Default: every filter there is. */
  readonly filters?: readonly Filter[]
  /** The key of the only resource whose report is wanted: whoever asks about one of a thousand. Configs have no version then. */
  readonly only?: string
}

/** What a snapshot comes to. */
export interface Translation {
  /** One for each workload and each gateway. */
  readonly configs: ReadonlyMap<WorkloadId, WorkloadConfig>
  /** For each config, where its upstreams are reached now. */
  readonly endpoints: ReadonlyMap<WorkloadId, EndpointsDocument>
  /** Names of the TokenIssuers whose keys a workload needs, `INTERNAL_TOKENS` among them; sorted. */
  readonly issuers: ReadonlyMap<WorkloadId, readonly string[]>
  /** Every TokenRevocation that can be read, by name. The same object as before where nothing about them has changed. */
  readonly revocations: readonly Revocation[]
  /** By key of the resource. The same object as before where nothing about it has changed. */
  readonly reports: ReadonlyMap<string, ResourceReport>
  /** The Gateways of our classes, whatever became of them, by namespace and name. */
  readonly gateways: readonly GatewayFacts[]
  /** The pods of each workload that have not completed. */
  readonly pods: ReadonlyMap<
    WorkloadId,
    readonly { readonly key: string; readonly meshed: boolean; readonly leaving: boolean }[]
  >
  /** How many configs were made, rather than kept from `previous`. */
  readonly translated: number
  /** What the next translation may keep; nobody else's. */
  readonly memory: TranslationMemory
}

export interface TranslationMemory {
  readonly rooms: Rooms
  readonly reader: PolicyReader
  readonly reviewIssuer: ReviewIssuer
  readonly namespaces: NamespaceIndex
  readonly results: ReadonlyMap<WorkloadId, RememberedConfig>
  readonly endpoints: ReadonlyMap<
    WorkloadId,
    { readonly parts: readonly unknown[]; readonly zones: Zones; readonly document: EndpointsDocument }
  >
  readonly meshed: Meshed | undefined
}

/** Where the mesh is, and the lists by namespace that it was made of. */
interface Meshed {
  readonly parts: readonly (readonly string[])[]
  readonly blocks: readonly string[]
}

interface RememberedConfig {
  readonly slice: Slice
  /** What its policies refer to. */
  readonly lookups: Lookups
  readonly config: WorkloadConfig
  readonly findings: readonly Finding[]
}

/**
 * Makes of all resources the config of every workload, and what each resource's status says. Pure: equal snapshots,
 * whatever the order of their resources, give equal translations.
 *
 * What one workload's config depends on is its slice, and nothing else reaches the code that makes it. `previous` is a
 * memory and no input: a config whose slice is the same is kept instead of made again.
 */
export function translate(snapshot: Snapshot, deps: TranslateDeps, previous?: Translation): Translation {
  const memory = memoryFor(deps, previous)
  const { reader, reviewIssuer, rooms } = memory
  const meshConfig = readMeshSettings(snapshot.get('MeshConfig', undefined, MESH_CONFIG_NAME))
  const mesh = meshConfig.settings
  const namespaces = indexNamespaces(snapshot, mesh.trustDomain, reader, memory.namespaces)
  const book = issuerBook(snapshot, reviewIssuer)
  const meshPolicies = snapshot.ofKind('MeshSecurityPolicy').map((resource) => ({
    resource,
    policy: reader.readMeshPolicy(resource),
  }))
  const gateways = gatewaysOf(snapshot, deps.judgeKeyPair)
  const routes = routesOf(snapshot, gateways.gateways, namespaces.facts)
  const streamRoutes = streamRoutesOf(snapshot, gateways.gateways, namespaces.facts)
  const policies = [...namespaces.facts.values()].flatMap((facts) => facts.policies)
  const atGateways = attachToGateways(
    policies.map(({ policy }) => policy),
    gateways.gateways,
    [...routes.routes, ...streamRoutes.routes],
    snapshot,
  )
  const slices = slicesOf({
    namespaces: namespaces.facts,
    meshPolicies: meshPolicies.map(({ policy }) => policy),
    gateways: gateways.gateways,
    routes: routes.routes,
    streamRoutes: streamRoutes.routes,
    atGateways,
    mesh,
    roots: deps.mesh.roots,
    distrustedRoots: deps.mesh.distrustedRoots ?? [],
  })

  const references: References = {
    tokenIssuer: (namespace, name) => book.find(namespace, namespaces.facts.get(namespace)?.labels ?? {}, name),
    secret: (reference, by) => findSecret(snapshot, reference, by),
    upstream: (reference, by) => findUpstream({ snapshot, namespaces: namespaces.facts, mesh }, reference, by),
  }
  const results = new Map<WorkloadId, RememberedConfig>()
  let translated = 0
  for (const [id, slice] of slices) {
    const known = memory.results.get(id)
    if (known !== undefined && isSame(known.slice, slice) && finds(references, known.lookups)) {
      results.set(id, known)
      continue
    }
    results.set(id, translateSlice(slice, rooms, references, deps))
    translated += 1
  }

  const meshed = meshedOf(namespaces.facts, memory.meshed)
  const endpoints = new Map(
    [...results].map(([id, { config }]) => [
      id,
      endpointsOf(config, namespaces.facts, meshed.blocks, memory.endpoints.get(id), deps),
    ]),
  )
  const issuers = new Map(
    [...results].map(([id, { lookups, config }]) => [
      id,
      [
        ...new Set([
          ...[...lookups.issuers.values()].flatMap(({ name, found }) => (found === undefined ? [] : name)),
          ...(takesInternalTokens(config) ? [INTERNAL_TOKENS] : []),
        ]),
      ].sort(),
    ]),
  )
  const revocations = revocationsOf(snapshot, mesh)
  const reports = reportsOf({
    snapshot,
    revocations,
    policies,
    meshPolicies,
    namespaces: namespaces.facts,
    callers: callersOf(results, namespaces.facts),
    routedCallers: routedCallersOf(results, routes.routes),
    gateways,
    routes,
    streamRoutes,
    atGateways,
    book,
    issuers,
    meshConfigs: snapshot.ofKind('MeshConfig'),
    meshConfigIssues: meshConfig.issues,
    unresolvedByMeshConfig: [...collectorIssues(mesh, references), ...limitStoreIssues(mesh, references)],
    parameters: snapshot.ofKind('GatewayParameters'),
    findings: [...results.values()].flatMap(({ findings }) => findings),
    ...(deps.only !== undefined && { only: deps.only }),
  })
  return {
    configs: new Map([...results].map(([id, { config }]) => [id, config])),
    endpoints: new Map([...endpoints].map(([id, { document }]) => [id, document])),
    issuers,
    revocations: keepSame(previous?.revocations, revocations.revocations),
    gateways: gateways.gateways,
    reports: new Map([...reports].map(([key, report]) => [key, keepSame(previous?.reports.get(key), report)])),
    pods: new Map(
      [...namespaces.facts.values()].flatMap(({ pods }) =>
        [...pods].map(
          ([id, list]) => [id, list.map(({ key, meshed, leaving }) => ({ key, meshed, leaving }))] as const,
        ),
      ),
    ),
    translated,
    memory: { rooms, reader, reviewIssuer, namespaces, results, endpoints, meshed },
  }
}

/** What is remembered under other rooms says nothing here. */
function memoryFor(deps: TranslateDeps, previous: Translation | undefined) {
  const rooms: Rooms = { sections: deps.sections ?? SECTIONS, filters: deps.filters ?? FILTERS }
  const known = previous?.memory
  if (known !== undefined && known.rooms.sections === rooms.sections && known.rooms.filters === rooms.filters) {
    return known
  }
  return {
    rooms,
    reader: createPolicyReader(rooms.sections),
    reviewIssuer: createIssuerReview(),
    namespaces: undefined,
    results: new Map<WorkloadId, RememberedConfig>(),
    endpoints: new Map<WorkloadId, { parts: readonly unknown[]; zones: Zones; document: EndpointsDocument }>(),
    meshed: undefined,
  }
}

function translateSlice(slice: Slice, rooms: Rooms, references: References, deps: TranslateDeps): RememberedConfig {
  const recording = recorded(references)
  const { lookups } = recording
  const translated =
    slice.role === 'sidecar' ? translateSidecar(slice, rooms, recording) : translateGateway(slice, rooms, recording)
  const { findings } = translated
  const limitStore = limitStoreOf(translated.config, slice.mesh, recording)
  const config: WorkloadConfig = {
    ...translated.config,
    ...(limitStore !== undefined && { limitStore }),
    upstreams: withAsked(translated.config.upstreams, lookups),
  }
  const version = deps.only !== undefined ? '' : versionOf(config, deps.sha256, outboundTexts)
  return { slice, lookups, config: { ...config, version }, findings }
}

/** With those that policies have asked. */
function withAsked(upstreams: WorkloadConfig['upstreams'], { upstreams: asked }: Lookups): WorkloadConfig['upstreams'] {
  if (asked.size === 0) return upstreams
  const found = [...asked.values()].flatMap(({ found }) => (found.ok ? found.value : []))
  return { ...Object.fromEntries(found.map(({ upstream, config }) => [upstream, config])), ...upstreams }
}

function meshedOf(namespaces: ReadonlyMap<string, NamespaceFacts>, known: Meshed | undefined): Meshed {
  const parts = [...namespaces.values()].map(({ meshed }) => meshed)
  if (known?.parts.length === parts.length && parts.every((part, i) => part === known.parts[i])) return known
  return { parts, blocks: keepSame(known?.blocks, meshedBlocks(parts.flat())) }
}

/** By origin of a TrafficPolicy: the workloads and gateways that call what it is about. */
function callersOf(
  results: ReadonlyMap<WorkloadId, RememberedConfig>,
  namespaces: ReadonlyMap<string, NamespaceFacts>,
): ReadonlyMap<string, readonly WorkloadId[]> {
  const callers = new Map<string, WorkloadId[]>()
  if (![...namespaces.values()].some(({ traffic }) => traffic.length > 0)) return callers
  for (const [id, { config }] of results) {
    const origins = new Set(Object.values(config.upstreams).flatMap(({ traffic }) => traffic?.origins ?? []))
    for (const origin of origins) {
      const list = callers.get(origin) ?? []
      callers.set(origin, list)
      list.push(id)
    }
  }
  for (const list of callers.values()) list.sort()
  return callers
}

/** By origin of a route and the Service that it is at: the workloads that are told of it. */
function routedCallersOf(
  results: ReadonlyMap<WorkloadId, RememberedConfig>,
  routes: readonly RouteFacts[],
): ReadonlyMap<string, readonly WorkloadId[]> {
  const callers = new Map<string, Set<WorkloadId>>()
  if (!routes.some(({ atServices }) => atServices.length > 0)) return new Map()
  for (const [id, { config }] of results) {
    for (const { service, routing } of config.outbound.services) {
      for (const origin of routing?.origins ?? []) {
        const key = `${origin} ${service}`
        callers.set(key, (callers.get(key) ?? new Set()).add(id))
      }
    }
  }
  return new Map([...callers].map(([key, ids]) => [key, [...ids].sort()]))
}

/** Zone of each pod that says one, by `namespace/pod`. */
type Zones = Readonly<Record<string, string>>

const NO_ZONES: Zones = Object.freeze({})

/** Where a workload's own pods are, if it calls anything that prefers zones. */
function zonesOfPods(config: WorkloadConfig, namespaces: ReadonlyMap<string, NamespaceFacts>): Zones {
  if (!Object.values(config.upstreams).some(({ traffic }) => traffic?.zone !== undefined)) return NO_ZONES
  const zoned = podsOf(config, namespaces).flatMap(({ key, zone }) =>
    zone === undefined ? [] : [[key, zone] as const],
  )
  return zoned.length === 0 ? NO_ZONES : Object.fromEntries(zoned)
}

/** A workload's own pods. */
function podsOf({ workload }: WorkloadConfig, namespaces: ReadonlyMap<string, NamespaceFacts>) {
  return namespaces.get(workload.slice(0, workload.indexOf('/')))?.pods.get(workload as WorkloadId) ?? []
}

const NO_ENDPOINTS: readonly Endpoint[] = Object.freeze([])

function endpointsOf(
  config: WorkloadConfig,
  namespaces: ReadonlyMap<string, NamespaceFacts>,
  meshed: readonly string[],
  known:
    | { readonly parts: readonly unknown[]; readonly zones: Zones; readonly document: EndpointsDocument }
    | undefined,
  deps: TranslateDeps,
) {
  const { upstreams, role } = config
  const found = Object.entries(upstreams).map(([upstream, { tls }]) => {
    const namespace = upstream.slice(0, upstream.indexOf('/'))
    const endpoints = namespaces.get(namespace)?.endpoints.get(upstream)
    return [upstream, (tls === 'mesh' ? endpoints?.meshed : endpoints?.unmeshed) ?? NO_ENDPOINTS] as const
  })
  // A gateway calls what its routes name, and nobody else.
  const isTold = role === 'sidecar' && meshed.length > 0
  const zones = keepSame(known?.zones, zonesOfPods(config, namespaces))
  const replicas = sharesLimits(config) ? replicasOf(podsOf(config, namespaces)) : undefined
  const parts = isTold ? [...found.flat(), zones, replicas, meshed] : [...found.flat(), zones, replicas]
  if (known?.parts.length === parts.length && parts.every((part, i) => part === known.parts[i])) return known
  const document: EndpointsDocument = {
    contract: CONTRACT_VERSION,
    version: '',
    endpoints: Object.fromEntries(found.filter(([, list]) => list.length > 0).map(([name, list]) => [name, [...list]])),
    ...(isTold && { meshed: [...meshed] }),
    ...(zones !== NO_ZONES && { zones: { ...zones } }),
    ...(replicas !== undefined && { replicas }),
  }
  return { parts, zones, document: { ...document, version: versionOf(document, deps.sha256) } }
}

/** Then it has their keys as well. */
function takesInternalTokens({ listeners }: WorkloadConfig): boolean {
  return listeners.some(({ routes }) => routes.some(({ filters }) => Object.hasOwn(filters, internalToken.name)))
}
