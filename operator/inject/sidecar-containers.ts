import {
  DRAIN_PATH,
  INIT_CONTAINER,
  LIVE_PATH,
  PATHS,
  POD_ENV,
  PORTS,
  type PodSidecar,
  READY_PATH,
  SIDECAR_CONTAINER,
  SIDECAR_UID,
  TOKEN_AUDIENCE,
  TRUST_ANCHORS_CONFIG_MAP,
  TRUST_ANCHORS_KEY,
} from '../../contract/pod.ts'
import type { InjectorSettings, ResourceRequirements } from './context.ts'
import type { ContainerObject, VolumeObject } from './pod-object.ts'
import { askSidecar } from './probes.ts'

/**
 * Stands for the name of a pod whose name nobody knows yet, in a variable: the kubelet puts it in. Only with
 * {@link sidecarVariable}, which lets no other `$` through.
 */
export const OWN_POD_NAME = `$(${POD_ENV.podName})`

/** Names of the volumes that only the sidecar mounts. */
export const STATE_VOLUME = 'hauberk-state'
export const CREDENTIALS_VOLUME = 'hauberk-credentials'

/** Seconds; the kubelet renews the token when 80 % of it have passed. */
const TOKEN_LIFETIME_SECONDS = 3_600

/** Seconds that a sidecar may take for its first certificate and configuration before it is started anew. */
const START_SECONDS = 120

/** What a sidecar is told. The name of its workload may end in {@link OWN_POD_NAME}. */
export type Told = Omit<PodSidecar, 'workload'> & { readonly workload: string }

export interface ContainerParts {
  readonly settings: InjectorSettings
  readonly told: Told
  /** Of a pod that was injected before and whose resources somebody changed since. */
  readonly resources?: ResourceRequirements
  /** The volume of the pod that keystores are written to. */
  readonly keystores?: string
}

/**
 * The container that writes the rules of capture and ends. The only one with a capability: NET_ADMIN, which the nftables of
 * the pod's own network namespace want, of user 0, because only that one keeps what `capabilities.add` gives.
 */
export function initContainer({ settings, told, resources = settings.initResources }: ContainerParts): ContainerObject {
  return {
    name: INIT_CONTAINER,
    image: settings.image,
    imagePullPolicy: settings.imagePullPolicy,
    args: ['capture'],
    env: variables(told),
    resources: { ...resources },
    securityContext: {
      allowPrivilegeEscalation: false,
      capabilities: { add: ['NET_ADMIN'], drop: ['ALL'] },
      privileged: false,
      readOnlyRootFilesystem: true,
      runAsGroup: 0,
      runAsNonRoot: false,
      runAsUser: 0,
      seccompProfile: { type: 'RuntimeDefault' },
    },
    ...AS_DEFAULTED,
  }
}

/** A native sidecar: it runs before everything after it in `initContainers`, and after all `containers` have ended. */
export function sidecarContainer(parts: ContainerParts): ContainerObject {
  const { settings, told, resources = settings.resources, keystores } = parts
  const timing = { timeoutSeconds: 2, successThreshold: 1 }
  return {
    name: SIDECAR_CONTAINER,
    image: settings.image,
    imagePullPolicy: settings.imagePullPolicy,
    args: ['run'],
    restartPolicy: 'Always',
    env: variables(told),
    ports: [
      { name: 'hauberk-probes', containerPort: PORTS.probes, protocol: 'TCP' },
      { name: 'hauberk-metrics', containerPort: PORTS.metrics, protocol: 'TCP' },
    ],
    resources: { ...resources },
    securityContext: {
      allowPrivilegeEscalation: false,
      capabilities: { drop: ['ALL'] },
      privileged: false,
      readOnlyRootFilesystem: true,
      runAsGroup: SIDECAR_UID,
      runAsNonRoot: true,
      runAsUser: SIDECAR_UID,
      seccompProfile: { type: 'RuntimeDefault' },
    },
    startupProbe: { httpGet: askSidecar(READY_PATH), ...timing, periodSeconds: 1, failureThreshold: START_SECONDS },
    readinessProbe: { httpGet: askSidecar(READY_PATH), ...timing, periodSeconds: 5, failureThreshold: 2 },
    livenessProbe: { httpGet: askSidecar(LIVE_PATH), ...timing, periodSeconds: 10, failureThreshold: 6 },
    lifecycle: { preStop: { httpGet: askSidecar(DRAIN_PATH, told.probeKey) } },
    volumeMounts: [
      { name: STATE_VOLUME, mountPath: PATHS.state },
      { name: CREDENTIALS_VOLUME, mountPath: PATHS.credentials, readOnly: true },
      ...(keystores === undefined ? [] : [{ name: keystores, mountPath: PATHS.keystores }]),
    ],
    ...AS_DEFAULTED,
  }
}

export function sidecarVolumes({ stateSizeLimit }: InjectorSettings): readonly VolumeObject[] {
  return [
    { name: STATE_VOLUME, emptyDir: { medium: 'Memory', sizeLimit: stateSizeLimit } },
    {
      name: CREDENTIALS_VOLUME,
      projected: {
        defaultMode: 0o444,
        sources: [
          {
            serviceAccountToken: {
              audience: TOKEN_AUDIENCE,
              expirationSeconds: TOKEN_LIFETIME_SECONDS,
              path: fileOf(PATHS.token),
            },
          },
          {
            configMap: {
              name: TRUST_ANCHORS_CONFIG_MAP,
              items: [{ key: TRUST_ANCHORS_KEY, path: fileOf(PATHS.trustAnchors) }],
            },
          },
        ],
      },
    },
  ]
}

/** What a sidecar is told, as the value of its variable. */
export function sidecarVariable({ workload, ...told }: Told): string {
  // The kubelet expands `$(NAME)` in variables. Whatever `$` the pod's author wrote in a probe is none of that.
  const rest = JSON.stringify(told).replaceAll('$', '\\u0024')
  return `{"workload":${JSON.stringify(workload)},${rest.slice(1)}`
}

/** What the API server would put in, so that what comes back from it is what was sent. */
const AS_DEFAULTED = { terminationMessagePath: '/dev/termination-log', terminationMessagePolicy: 'File' } as const

function variables(told: Told): NonNullable<ContainerObject['env']> {
  const field = (name: string, fieldPath: string) => ({
    name,
    valueFrom: { fieldRef: { apiVersion: 'v1', fieldPath } },
  })
  return [
    field(POD_ENV.podName, 'metadata.name'),
    field(POD_ENV.podNamespace, 'metadata.namespace'),
    field(POD_ENV.podUid, 'metadata.uid'),
    field(POD_ENV.podIps, 'status.podIPs'),
    field(POD_ENV.nodeName, 'spec.nodeName'),
    { name: POD_ENV.sidecar, value: sidecarVariable(told) },
  ]
}

/** Both files are at the top of the volume. */
function fileOf(path: string): string {
  return path.slice(PATHS.credentials.length + 1)
}
