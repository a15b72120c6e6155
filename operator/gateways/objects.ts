import { gatewayBindPort, POD_CONTRACT_VERSION } from '../../contract/pod.ts'
import type { InjectorSettings, ResourceRequirements } from '../inject/context.ts'
import { sidecarContainer, sidecarVolumes } from '../inject/sidecar-containers.ts'
import type { ApplicableObject } from '../kubernetes/apply.ts'
import type { GatewayServiceParameters } from '../resources/gateway-parameters.ts'
import { type GatewayFacts, SYSTEM_NAMESPACE } from '../translate/gateways.ts'
import { gatewayLabels, gatewaySelector, podLabels } from './labels.ts'

/** How gateways are made where their parameters say nothing: as sidecars are, for the gateway is the same program. */
export type GatewaySettings = Omit<InjectorSettings, 'initResources' | 'preStopSeconds'>

/** An object that is kept for a Gateway. */
export interface GatewayObject {
  /** As in the path of the API. */
  readonly plural: 'serviceaccounts' | 'services' | 'deployments' | 'poddisruptionbudgets'
  readonly object: ApplicableObject
}

/** The part of a Gateway that its objects are made of. */
export type ObjectsOf = Pick<
  GatewayFacts,
  'id' | 'namespace' | 'name' | 'className' | 'serviceAccount' | 'labels' | 'annotations' | 'listeners'
> & { readonly parameters: NonNullable<GatewayFacts['parameters']> }

const DEFAULT_REPLICAS = 2

/**
 * Seconds that a pod goes on for after it was told to end. Load balancers outside ask a node every few seconds whether it
 * has a pod that serves; until they know, new connections come.
 */
const PRE_STOP_SECONDS = 10

/**
 * Seconds from the signal on, beside the drain: a gateway takes six to send clients away before it closes its ports, and
 * ends whatever happens two after the drain.
 */
const LEAVING_SECONDS = 12

/**
 * Everything that a Gateway needs on a cluster, in the namespace of the operator: a tenant has no rights there, so the
 * keys and the identity of the gateway are out of their reach.
 *
 * What a tenant says in `spec.infrastructure` goes to the Service and to nothing else: a label on a pod could put it
 * behind the Service of the operator. The ports of listeners are not part of the pods, which open them as they are told:
 * to add a listener restarts nothing.
 */
export function gatewayObjects(gateway: ObjectsOf, settings: GatewaySettings): readonly GatewayObject[] {
  const replicas = gateway.parameters.replicas ?? DEFAULT_REPLICAS
  return [
    { plural: 'serviceaccounts', object: serviceAccount(gateway) },
    { plural: 'services', object: service(gateway) },
    { plural: 'deployments', object: deployment(gateway, replicas, settings) },
    ...(replicas > 1 ? [{ plural: 'poddisruptionbudgets', object: podDisruptionBudget(gateway) } as const] : []),
  ]
}

function metadata(gateway: ObjectsOf): ApplicableObject['metadata'] & { readonly labels: Record<string, string> } {
  return { name: gateway.serviceAccount, namespace: SYSTEM_NAMESPACE, labels: gatewayLabels(gateway) }
}

function serviceAccount(gateway: ObjectsOf): ApplicableObject {
  return {
    apiVersion: 'v1',
    kind: 'ServiceAccount',
    metadata: metadata(gateway),
    // It is a name to be certified, and has no business with the API server.
    automountServiceAccountToken: false,
  }
}

function service(gateway: ObjectsOf): ApplicableObject {
  const { service: parameters = {} } = gateway.parameters
  const { type = 'LoadBalancer', externalTrafficPolicy = 'Local', loadBalancerClass } = parameters
  const annotations = { ...gateway.annotations, ...parameters.annotations }
  const own = metadata(gateway)
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: {
      ...own,
      labels: { ...gateway.labels, ...own.labels },
      ...(Object.keys(annotations).length > 0 && { annotations }),
    },
    spec: {
      type,
      selector: gatewaySelector(gateway),
      ports: servicePorts(gateway, type, parameters),
      ipFamilyPolicy: 'PreferDualStack',
      ...(type !== 'ClusterIP' && { externalTrafficPolicy }),
      ...(type === 'LoadBalancer' && {
        ...(loadBalancerClass !== undefined && { loadBalancerClass }),
        ...(parameters.loadBalancerSourceRanges && {
          loadBalancerSourceRanges: [...parameters.loadBalancerSourceRanges],
        }),
      }),
    },
  }
}

/** Those of listeners that are served, once each: hosts of one port share it. */
function servicePorts(
  { listeners }: ObjectsOf,
  type: NonNullable<GatewayServiceParameters['type']>,
  { nodePorts = [] }: GatewayServiceParameters,
) {
  const ports = new Set(listeners.filter(({ isValid }) => isValid).map(({ port }) => port))
  return [...ports]
    .sort((a, b) => a - b)
    .map((port) => {
      const nodePort = type === 'ClusterIP' ? undefined : nodePorts.find((each) => each.port === port)?.nodePort
      return {
        name: `port-${port}`,
        protocol: 'TCP',
        port,
        targetPort: gatewayBindPort(port),
        ...(nodePort !== undefined && { nodePort }),
      }
    })
}

function deployment(gateway: ObjectsOf, replicas: number, settings: GatewaySettings): ApplicableObject {
  const { annotations, workers, resources, nodeSelector, tolerations } = gateway.parameters.pod ?? {}
  const selector = gatewaySelector(gateway)
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: metadata(gateway),
    spec: {
      replicas,
      selector: { matchLabels: selector },
      // A new pod is ready before an old one is told to end.
      strategy: { type: 'RollingUpdate', rollingUpdate: { maxUnavailable: 0, maxSurge: 1 } },
      template: {
        metadata: { labels: podLabels(gateway), ...(annotations && { annotations }) },
        spec: {
          serviceAccountName: gateway.serviceAccount,
          automountServiceAccountToken: false,
          enableServiceLinks: false,
          terminationGracePeriodSeconds: PRE_STOP_SECONDS + LEAVING_SECONDS + Math.ceil(settings.drainSeconds),
          securityContext: { runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } },
          containers: [container(gateway, settings, workers, resources as ResourceRequirements | undefined)],
          volumes: sidecarVolumes(asInjector(settings)),
          topologySpreadConstraints: [
            {
              maxSkew: 1,
              topologyKey: 'kubernetes.io/hostname',
              whenUnsatisfiable: 'ScheduleAnyway',
              labelSelector: { matchLabels: selector },
              matchLabelKeys: ['pod-template-hash'],
            },
          ],
          ...(nodeSelector && { nodeSelector }),
          ...(tolerations && { tolerations }),
        },
      },
    },
  }
}

/** The container of a sidecar, but that it is the pod's own program: nothing is captured, and nothing outlives it. */
function container(
  gateway: ObjectsOf,
  settings: GatewaySettings,
  workers = 1,
  resources: ResourceRequirements = settings.resources,
): Record<string, unknown> {
  const { restartPolicy: _, ...rest } = sidecarContainer({
    settings: asInjector(settings),
    told: {
      contract: POD_CONTRACT_VERSION,
      workload: gateway.id,
      role: 'gateway',
      trustDomain: settings.trustDomain,
      serviceAccount: gateway.serviceAccount,
      operator: settings.operator,
      probes: [],
      exclude: { inboundPorts: [], outboundPorts: [], outboundCidrs: [] },
      metrics: settings.metrics,
      ...(workers > 1 && { workers }),
      drainSeconds: settings.drainSeconds,
      decisionLog: settings.decisionLog,
      logLevel: settings.logLevel,
    },
    resources,
  })
  return { ...rest, name: GATEWAY_CONTAINER, lifecycle: { preStop: { sleep: { seconds: PRE_STOP_SECONDS } } } }
}

/** What concerns capture and apps, which a gateway has none of. */
function asInjector(settings: GatewaySettings): InjectorSettings {
  return { ...settings, initResources: {}, preStopSeconds: 0 }
}

/** Not that of a sidecar: by its name pods are known to be meshed. */
export const GATEWAY_CONTAINER = 'gateway'

function podDisruptionBudget(gateway: ObjectsOf): ApplicableObject {
  return {
    apiVersion: 'policy/v1',
    kind: 'PodDisruptionBudget',
    metadata: metadata(gateway),
    spec: {
      maxUnavailable: 1,
      selector: { matchLabels: gatewaySelector(gateway) },
      // A pod that is not ready serves nobody: it keeps no node from being drained.
      unhealthyPodEvictionPolicy: 'AlwaysAllow',
    },
  }
}
