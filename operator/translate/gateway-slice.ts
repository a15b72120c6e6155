import type { ListenerCertificate } from '../../contract/workload-config.ts'
import type { WorkloadId } from '../../model/workload-id.ts'
import type { ResolvedRule } from './backends.ts'
import type { Reach } from './levels.ts'
import type { RouteKind, StreamKind } from './listeners.ts'
import type { MeshSettings } from './mesh-settings.ts'
import type { MeshPolicy } from './policy.ts'
import type { StreamRule } from './stream-routes.ts'

/** All that a gateway's config depends on, besides the token issuers that policies look up; see `SidecarSlice`. */
export interface GatewaySlice {
  readonly role: 'gateway'
  readonly id: WorkloadId
  readonly namespace: string
  readonly serviceAccount: string
  readonly listeners: readonly ListenerSlice[]
  readonly routes: readonly RouteSlice[]
  readonly streams: readonly StreamListenerSlice[]
  readonly streamRoutes: readonly StreamRouteSlice[]
  readonly mesh: MeshSettings
  readonly roots: readonly string[]
  readonly distrustedRoots: readonly string[]
}

/** A listener that is served. */
interface ServedListener {
  readonly name: string
  readonly port: number
  readonly hostname?: string
  readonly certificates: readonly ListenerCertificate[]
  /** Of the Gateway and of the listener. */
  readonly reaches: readonly Reach[]
}

/** One whose requests are read. */
export interface ListenerSlice extends ServedListener {
  readonly protocol: 'http' | 'https'
}

/** One whose connections are carried as bytes. */
export interface StreamListenerSlice extends ServedListener {
  readonly protocol: 'tls' | 'tcp'
  readonly mode?: 'passthrough' | 'terminate'
}

interface AttachedRoute<Kind, Rule> {
  readonly kind: Kind
  readonly namespace: string
  readonly name: string
  readonly createdAt: string
  readonly attached: readonly { readonly listener: string; readonly hostnames: readonly string[] }[]
  readonly rules: readonly (Rule & {
    /** Of the route and of the rule. */
    readonly reaches: readonly Reach[]
  })[]
  /** The MeshSecurityPolicies that hold at gateways for the route's namespace. */
  readonly meshPolicies: readonly MeshPolicy[]
}

export type RouteSlice = AttachedRoute<RouteKind, ResolvedRule>

/** A TLSRoute or TCPRoute of a gateway. */
export interface StreamRouteSlice extends AttachedRoute<StreamKind, StreamRule> {
  readonly generation: number
}
