import type { ResourceReport } from '../translate/report.ts'
import type { StatusCondition } from './gateway-status.ts'

/** `status` of a gateway.networking.k8s.io GatewayClass, without the times of transitions. */
export interface GatewayClassStatus {
  readonly conditions: readonly StatusCondition[]
  readonly supportedFeatures: readonly { readonly name: string }[]
}

/** The CustomResourceDefinitions of Gateway API that are read. */
export const GATEWAY_API_CRDS = [
  'gatewayclasses.gateway.networking.k8s.io',
  'gateways.gateway.networking.k8s.io',
  'grpcroutes.gateway.networking.k8s.io',
  'httproutes.gateway.networking.k8s.io',
  'referencegrants.gateway.networking.k8s.io',
  'tcproutes.gateway.networking.k8s.io',
  'tlsroutes.gateway.networking.k8s.io',
] as const

/** Those that a cluster can do without: then there are no such routes. */
export const OPTIONAL_CRDS: ReadonlySet<string> = new Set([
  'grpcroutes.gateway.networking.k8s.io',
  'tcproutes.gateway.networking.k8s.io',
  'tlsroutes.gateway.networking.k8s.io',
])

/** On each of them: the release of Gateway API that it is of. */
export const BUNDLE_VERSION_ANNOTATION = 'gateway.networking.k8s.io/bundle-version'

/** Releases that this program is tested with. */
const SUPPORTED = /^v1\.6\.\d+$/

/** By name of the CRD: its release; undefined where it says none. */
export type BundleVersions = ReadonlyMap<string, string | undefined>

/**
 * The status of a GatewayClass of ours. Under another release of Gateway API it goes on to be served, as well as may be:
 * SupportedVersion is then False, and Accepted is not.
 *
 * `versions` is undefined while nobody could read them.
 */
export function gatewayClassStatus(report: ResourceReport, versions: BundleVersions | undefined): GatewayClassStatus {
  const { generation: observedGeneration, accepted } = report
  return {
    conditions: [
      ...(accepted === undefined ? [] : [{ type: 'Accepted', ...accepted, observedGeneration }]),
      { type: 'SupportedVersion', ...supportedVersion(versions), observedGeneration },
    ],
    supportedFeatures: SUPPORTED_FEATURES.map((name) => ({ name })),
  }
}

function supportedVersion(
  versions: BundleVersions | undefined,
): Pick<StatusCondition, 'status' | 'reason' | 'message'> {
  if (versions === undefined) {
    const message = 'The CustomResourceDefinitions of Gateway API could not be read.'
    return { status: 'Unknown', reason: 'Pending', message }
  }
  const others = [...versions].filter(([, version]) => version === undefined || !SUPPORTED.test(version))
  if (others.length === 0) {
    return {
      status: 'True',
      reason: 'SupportedVersion',
      message: 'Gateway API is of a release that is supported, v1.6.',
    }
  }
  const found = others.map(([name, version]) => `${name} is of ${version ?? 'no known release'}`)
  const message = `${found.join(', ')}. Supported is v1.6; others are served as well as may be.`
  return { status: 'False', reason: 'UnsupportedVersion', message }
}

/**
 * Features of Gateway API (its pkg/features) that gateways have, in the order of the alphabet.
 *
 * Not among them: what `spec.infrastructure` says is put on the Service alone (GatewayInfrastructurePropagation wants it on
 * everything). What meshes have, routes with a Service as parent, is no feature of a GatewayClass.
 */
export const SUPPORTED_FEATURES = [
  'GRPCRoute',
  'Gateway',
  'GatewayHTTPListenerIsolation',
  'GatewayHTTPSListenerDetectMisdirectedRequests',
  'GatewayPort8080',
  'HTTPRoute',
  'HTTPRoute303RedirectStatusCode',
  'HTTPRoute307RedirectStatusCode',
  'HTTPRoute308RedirectStatusCode',
  'HTTPRouteBackendProtocolH2C',
  'HTTPRouteBackendProtocolWebSocket',
  'HTTPRouteBackendTimeout',
  'HTTPRouteHostRewrite',
  'HTTPRouteMethodMatching',
  'HTTPRouteNamedRouteRule',
  'HTTPRouteParentRefPort',
  'HTTPRoutePathRedirect',
  'HTTPRoutePathRewrite',
  'HTTPRoutePortRedirect',
  'HTTPRouteQueryParamMatching',
  'HTTPRouteRequestMirror',
  'HTTPRouteRequestMultipleMirrors',
  'HTTPRouteRequestPercentageMirror',
  'HTTPRouteRequestTimeout',
  'HTTPRouteResponseHeaderModification',
  'HTTPRouteSchemeRedirect',
  'ReferenceGrant',
  'TLSRoute',
  'TLSRouteModeMixed',
  'TLSRouteModeTerminate',
] as const
