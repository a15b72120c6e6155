import type { Filter } from '../model/filter.ts'
import { FILTERS } from '../policies/filters.ts'
import type { Endpoint, EndpointsDocument } from './endpoints.ts'
import type { KeysDocument } from './keys.ts'
import type { RevocationsDocument } from './revocations.ts'
import type { DocumentKind } from './session.ts'
import {
  CONTRACT_VERSION,
  CONTRACT_VERSIONS,
  type ContractVersion,
  type EgressRule,
  type FilterSlot,
  type FilterSlots,
  type OutboundService,
  type RouteAction,
  type RouteConfig,
  type WorkloadConfig,
} from './workload-config.ts'

export type AnyDocument = WorkloadConfig | EndpointsDocument | KeysDocument | RevocationsDocument

/** A document as a sidecar of some version knows it. */
export interface Encoded {
  readonly document: AnyDocument
  /**
   * Origins (`namespace/name@generation`) of the policies that say what this sidecar has no words for. What they enforce
   * refuses instead, what they would dry-run is left out. TrafficPolicies, routes at Services, and routes of streams, with their kind before: they are left out.
   */
  readonly unsupported: readonly string[]
}

/** The version that both sides speak; undefined when a sidecar is older than what can still be encoded for. */
export function spokenWith(sidecar: number): ContractVersion | undefined {
  if (sidecar >= CONTRACT_VERSION) return CONTRACT_VERSION
  return CONTRACT_VERSIONS.find((version) => version === sidecar)
}

/** A document for a sidecar that speaks `contract`: without the words that came later, with a version of its own (F20). */
export function encodeFor(
  contract: ContractVersion,
  kind: DocumentKind,
  document: AnyDocument,
  filters: readonly Filter[] = FILTERS,
): Encoded {
  if (contract === CONTRACT_VERSION) return { document, unsupported: [] }
  const version = wireVersion(contract, document.version)
  const common = { contract, version }
  switch (kind) {
    case 'config':
      return encodeConfig(document as WorkloadConfig, common, filters)
    case 'endpoints': {
      const { endpoints, meshed } = document as EndpointsDocument
      const known = Object.entries(endpoints).map(([name, list]) => [
        name,
        list.map(({ zone: _, ...endpoint }) => (contract === 1 ? withoutOtherAddresses(endpoint) : endpoint)),
      ])
      const told = contract > 1 && meshed !== undefined ? { meshed } : {}
      return { document: { ...common, endpoints: Object.fromEntries(known), ...told }, unsupported: [] }
    }
    case 'keys':
      return { document: { ...(document as KeysDocument), ...common }, unsupported: [] }
    case 'revocations':
      // Never sent: a sidecar that is older has no word for it.
      return { document: { ...common, revocations: [] }, unsupported: [] }
  }
}

/**
 * The version under which a document is sent to a sidecar that speaks `contract`. Not the document's own where it is
 * encoded for an older one: the same sidecar, upgraded, must not believe that it has all of it.
 */
export function wireVersion(contract: ContractVersion, version: string): string {
  return contract === CONTRACT_VERSION ? version : `${version}${ENCODED}${contract}`
}

/** The document's own version, by the one that a sidecar acknowledges. */
export function documentVersion(wire: string): string {
  const at = wire.indexOf(ENCODED)
  return at === -1 ? wire : wire.slice(0, at)
}

/** No hash has it: they are base64url. */
const ENCODED = '.'

/** A filter that sidecars of every version have, for HTTP and TCP: where a refusal is put that none of the others can say. */
const EVERYWHERE = 'mtls'

function encodeConfig(
  config: WorkloadConfig,
  common: { readonly contract: ContractVersion; readonly version: string },
  filters: readonly Filter[],
): Encoded {
  const unsupported = new Set<string>()
  const slotsFor = (slots: FilterSlots) => encodeSlots(slots, common.contract, filters, unsupported)
  const { contract } = common
  // Gateways before version 3 carry no bytes: what they have no words for is not served, and its port not open.
  const { distrustedRoots, streams = [], trace: _, limitStore: __, ...known } = config
  for (const { origin } of streams.flatMap(({ routes }) => routes)) unsupported.add(origin)
  const { services, egress, filters: ofCalls = {} } = config.outbound
  for (const { origins } of Object.values(ofCalls).flat()) for (const origin of origins) unsupported.add(origin)
  for (const { traffic } of Object.values(config.upstreams)) {
    for (const origin of traffic?.origins ?? []) unsupported.add(origin)
  }
  for (const { routing } of services) for (const origin of routing?.origins ?? []) unsupported.add(origin)
  const document: WorkloadConfig = {
    ...known,
    ...common,
    ...(contract > 1 && distrustedRoots !== undefined && { distrustedRoots }),
    listeners: config.listeners.map((listener) => {
      if (listener.kind === 'inbound' && listener.appProtocol !== undefined) {
        return { ...asOpaque(listener), routes: [], filters: slotsFor(listener.filters) }
      }
      const routes = listener.routes.map((route) => ({
        ...route,
        ...encodeMatch(route),
        filters: slotsFor(route.filters),
      }))
      return listener.kind === 'inbound'
        ? { ...listener, routes, filters: slotsFor(listener.filters) }
        : { ...listener, routes }
    }),
    outbound:
      contract > 1
        ? { services: services.map(withoutRouting).map(asOpaque), egress }
        : {
            services: services.map(withoutRouting).map(withoutAddresses).map(asOpaque),
            egress: egress.map(encodeEgress),
          },
    upstreams: Object.fromEntries(
      Object.entries(config.upstreams).flatMap(([name, { traffic: _, ...upstream }]) =>
        // Whom policies ask outside of the mesh, older sidecars do not: those policies refuse there.
        upstream.tls === 'https' ? [] : [[name, asOpaque(upstream)]],
      ),
    ),
  }
  return { document, unsupported: [...unsupported].sort() }
}

interface Spoken {
  readonly protocol: 'http' | 'tcp'
  readonly appProtocol?: 'http2' | undefined
}

/** Version 3 is the first that reads HTTP/2: whoever is older carries it, as he always has. */
function asOpaque<T extends Spoken>(spoken: T): Omit<T, 'appProtocol'> {
  const { appProtocol, ...known } = spoken
  return appProtocol === undefined ? known : { ...known, protocol: 'tcp' }
}

function withoutRouting({ routing: _, ...service }: OutboundService): OutboundService {
  return service
}

function withoutAddresses({ addresses: _, ...service }: OutboundService): OutboundService {
  return service
}

function withoutOtherAddresses({ otherAddresses: _, ...endpoint }: Endpoint): Endpoint {
  return endpoint
}

/**
 * Whoever does not know what a route says of traffic sends its requests all the same. Without retries the time of a request
 * and that of its one try are the same: the shorter one holds.
 */
function encodeAction(action: RouteAction): RouteAction {
  if (action.kind !== 'forward') return action
  const { delivery = {}, mirrors: _, session: __, ...known } = action
  const { requestTimeoutMs = known.requestTimeoutMs, tryTimeoutMs = 0 } = delivery
  const limits = [requestTimeoutMs, tryTimeoutMs].filter((limit) => limit > 0)
  return { ...known, requestTimeoutMs: limits.length === 0 ? 0 : Math.min(...limits) }
}

/**
 * A method of whatever service has no word in older versions. To leave such a route out would hand its calls to a wider one,
 * with the policies of that: all that may be for it is refused.
 */
function encodeMatch({ match, action }: RouteConfig): Pick<RouteConfig, 'match' | 'action'> {
  if (match.path.type !== 'grpc-method') return { match, action: encodeAction(action) }
  return { match: { ...match, path: { type: 'prefix', value: '/' } }, action: { kind: 'respond', status: 503 } }
}

function encodeEgress({ address, ...rule }: EgressRule): EgressRule {
  return address === undefined ? rule : { ...rule, cidr: `${address}/${address.includes(':') ? 128 : 32}` }
}

function encodeSlots(
  slots: FilterSlots,
  contract: ContractVersion,
  filters: readonly Filter[],
  unsupported: Set<string>,
): FilterSlots {
  const lost: FilterSlot[] = []
  const encoded: FilterSlots = {}
  for (const [name, list] of Object.entries(slots)) {
    const filter = filters.find((one) => one.name === name)
    const known = list.filter((slot) => filter === undefined || since(filter, slot) <= contract)
    lost.push(...list.filter((slot) => !known.includes(slot)))
    if (known.length > 0) encoded[name] = known
  }
  for (const { origins } of lost) for (const origin of origins) unsupported.add(origin)
  const enforced = lost.filter(({ mode }) => mode === 'enforce')
  if (enforced.length === 0) return encoded
  const refusal: FilterSlot = {
    state: 'unresolved',
    mode: 'enforce',
    origins: [...new Set(enforced.flatMap(({ origins }) => origins))].sort(),
    reason: `the sidecar speaks version ${contract} of the contract, which cannot say this`,
  }
  const others = (encoded[EVERYWHERE] ?? []).filter(({ mode }) => mode === 'dry-run')
  return { ...encoded, [EVERYWHERE]: [refusal, ...others] }
}

/** The version that a sidecar must speak to obey this slot. */
function since(filter: Filter, slot: FilterSlot): number {
  if (filter.since === undefined) return 1
  const config = slot.state === 'resolved' ? filter.decode(slot.config) : undefined
  return filter.since(config?.ok === true ? config.value : undefined)
}
