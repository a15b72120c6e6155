import type { JsonSchema, Section } from '../../model/section.ts'
import { tokenIssuerSchema } from '../../policies/jwt/token-issuer.ts'
import { DEPLOYMENT_SCHEMA } from './deployment.ts'
import { ENDPOINT_SLICE_SCHEMA } from './endpoint-slice.ts'
import { GATEWAY_CLASS_SCHEMA, GATEWAY_SCHEMA } from './gateway.ts'
import { GATEWAY_PARAMETERS_SPEC_SCHEMA } from './gateway-parameters.ts'
import { GRPC_ROUTE_SCHEMA } from './grpc-route.ts'
import { HTTP_ROUTE_SCHEMA } from './http-route.ts'
import { MESH_CONFIG_SPEC_SCHEMA, MESH_CONFIG_STATUS_PROPERTIES } from './mesh-config.ts'
import { meshSecurityPolicySpecSchema } from './mesh-security-policy.ts'
import { POD_SCHEMA } from './pod.ts'
import { REFERENCE_GRANT_SCHEMA } from './reference-grant.ts'
import { securityPolicySpecSchema } from './security-policy.ts'
import { SERVICE_SCHEMA } from './service.ts'
import { TCP_ROUTE_SCHEMA } from './tcp-route.ts'
import { TLS_ROUTE_SCHEMA } from './tls-route.ts'
import { TOKEN_REVOCATION_SPEC_SCHEMA } from './token-revocation.ts'
import { TRAFFIC_POLICY_SPEC_SCHEMA } from './traffic-policy.ts'

/** A kind of resource that the operator understands. Whatever is not in {@link KINDS} is none of its business. */
export interface KindDefinition {
  /** The versions that are taken, the preferred one first. */
  readonly apiVersions: readonly string[]
  readonly kind: string
  /** As in the path of the Kubernetes API. */
  readonly plural: string
  readonly namespaced: boolean
  /** Ours: the schema of `spec`, of which a CustomResourceDefinition is made and that knows every field. */
  readonly specSchema?: (sections: readonly Section[]) => JsonSchema
  /** Ours: what its `status` has besides what those of all our kinds have. */
  readonly statusProperties?: Readonly<Record<string, JsonSchema>>
  /** Others': the part of the resource that we read. It has more fields than these. */
  readonly partialSchema?: JsonSchema
}

const OURS = ['hauberk.dev/v1alpha1']
const GATEWAY_API = ['gateway.networking.k8s.io/v1', 'gateway.networking.k8s.io/v1beta1']

export const KINDS: readonly KindDefinition[] = [
  { apiVersions: ['v1'], kind: 'Namespace', plural: 'namespaces', namespaced: false },
  { apiVersions: ['v1'], kind: 'ServiceAccount', plural: 'serviceaccounts', namespaced: true },
  { apiVersions: ['v1'], kind: 'Service', plural: 'services', namespaced: true, partialSchema: SERVICE_SCHEMA },
  {
    apiVersions: ['apps/v1'],
    kind: 'Deployment',
    plural: 'deployments',
    namespaced: true,
    partialSchema: DEPLOYMENT_SCHEMA,
  },
  { apiVersions: ['v1'], kind: 'Pod', plural: 'pods', namespaced: true, partialSchema: POD_SCHEMA },
  {
    apiVersions: ['discovery.k8s.io/v1'],
    kind: 'EndpointSlice',
    plural: 'endpointslices',
    namespaced: true,
    partialSchema: ENDPOINT_SLICE_SCHEMA,
  },
  { apiVersions: ['v1'], kind: 'Secret', plural: 'secrets', namespaced: true },
  {
    apiVersions: GATEWAY_API,
    kind: 'GatewayClass',
    plural: 'gatewayclasses',
    namespaced: false,
    partialSchema: GATEWAY_CLASS_SCHEMA,
  },
  { apiVersions: GATEWAY_API, kind: 'Gateway', plural: 'gateways', namespaced: true, partialSchema: GATEWAY_SCHEMA },
  {
    apiVersions: GATEWAY_API,
    kind: 'HTTPRoute',
    plural: 'httproutes',
    namespaced: true,
    partialSchema: HTTP_ROUTE_SCHEMA,
  },
  {
    apiVersions: GATEWAY_API,
    kind: 'GRPCRoute',
    plural: 'grpcroutes',
    namespaced: true,
    partialSchema: GRPC_ROUTE_SCHEMA,
  },
  // Of the standard channel since v1.5 and v1.6; clusters with an earlier release have them in the experimental one.
  {
    apiVersions: ['gateway.networking.k8s.io/v1', 'gateway.networking.k8s.io/v1alpha3'],
    kind: 'TLSRoute',
    plural: 'tlsroutes',
    namespaced: true,
    partialSchema: TLS_ROUTE_SCHEMA,
  },
  {
    apiVersions: ['gateway.networking.k8s.io/v1', 'gateway.networking.k8s.io/v1alpha2'],
    kind: 'TCPRoute',
    plural: 'tcproutes',
    namespaced: true,
    partialSchema: TCP_ROUTE_SCHEMA,
  },
  {
    apiVersions: ['gateway.networking.k8s.io/v1beta1', 'gateway.networking.k8s.io/v1'],
    kind: 'ReferenceGrant',
    plural: 'referencegrants',
    namespaced: true,
    partialSchema: REFERENCE_GRANT_SCHEMA,
  },
  {
    apiVersions: OURS,
    kind: 'SecurityPolicy',
    plural: 'securitypolicies',
    namespaced: true,
    specSchema: securityPolicySpecSchema,
  },
  {
    apiVersions: OURS,
    kind: 'MeshSecurityPolicy',
    plural: 'meshsecuritypolicies',
    namespaced: false,
    specSchema: meshSecurityPolicySpecSchema,
  },
  {
    apiVersions: OURS,
    kind: 'TrafficPolicy',
    plural: 'trafficpolicies',
    namespaced: true,
    specSchema: () => TRAFFIC_POLICY_SPEC_SCHEMA,
  },
  {
    apiVersions: OURS,
    kind: 'TokenIssuer',
    plural: 'tokenissuers',
    namespaced: false,
    specSchema: () => tokenIssuerSchema,
  },
  {
    apiVersions: OURS,
    kind: 'TokenRevocation',
    plural: 'tokenrevocations',
    namespaced: false,
    specSchema: () => TOKEN_REVOCATION_SPEC_SCHEMA,
  },
  {
    apiVersions: OURS,
    kind: 'MeshConfig',
    plural: 'meshconfigs',
    namespaced: false,
    specSchema: () => MESH_CONFIG_SPEC_SCHEMA,
    statusProperties: MESH_CONFIG_STATUS_PROPERTIES,
  },
  {
    apiVersions: OURS,
    kind: 'GatewayParameters',
    plural: 'gatewayparameters',
    namespaced: true,
    specSchema: () => GATEWAY_PARAMETERS_SPEC_SCHEMA,
  },
]

/** The kind of a resource, by the `apiVersion` and `kind` that it says; undefined for what the operator does not know. */
export function kindOf(apiVersion: string, kind: string): KindDefinition | undefined {
  return KINDS.find((known) => known.kind === kind && known.apiVersions.includes(apiVersion))
}
