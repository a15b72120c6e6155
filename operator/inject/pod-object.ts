import { fail, ok, type Result } from '../../model/result.ts'
import type { JsonSchema } from '../../model/section.ts'
import { checkStructure } from '../resources/structural.ts'

/**
 * A pod as a whole, or the template of one: what the injector reads of it is typed, and everything else is kept as it is.
 */
export interface PodObject {
  readonly metadata?: PodMetadata
  readonly spec: PodObjectSpec
  readonly [field: string]: unknown
}

export interface PodMetadata {
  /** Absent where the API server is to make one of `generateName`, and in templates. */
  readonly name?: string
  readonly namespace?: string
  readonly generateName?: string
  readonly labels?: Readonly<Record<string, string>>
  readonly annotations?: Readonly<Record<string, string>>
  readonly ownerReferences?: readonly {
    readonly apiVersion: string
    readonly kind: string
    readonly name: string
    readonly [field: string]: unknown
  }[]
  readonly [field: string]: unknown
}

export interface PodObjectSpec {
  readonly containers: readonly ContainerObject[]
  readonly initContainers?: readonly ContainerObject[]
  /** `kubectl debug`; only a pod that runs has any. */
  readonly ephemeralContainers?: readonly ContainerObject[]
  readonly volumes?: readonly VolumeObject[]
  readonly serviceAccountName?: string
  /** What it was called before. The API server fills in both; a file may have this one alone. */
  readonly serviceAccount?: string
  readonly restartPolicy?: string
  readonly terminationGracePeriodSeconds?: number
  readonly hostNetwork?: boolean
  readonly hostPID?: boolean
  readonly shareProcessNamespace?: boolean
  readonly securityContext?: SecurityContext
  readonly os?: { readonly name: string }
  readonly [field: string]: unknown
}

export interface ContainerObject {
  readonly name: string
  readonly image?: string
  /** `Always` makes an init container a native sidecar. */
  readonly restartPolicy?: string
  readonly ports?: readonly {
    readonly name?: string
    readonly containerPort: number
    readonly protocol?: string
    readonly [field: string]: unknown
  }[]
  readonly env?: readonly { readonly name: string; readonly value?: string; readonly [field: string]: unknown }[]
  readonly volumeMounts?: readonly {
    readonly name: string
    readonly mountPath: string
    readonly [field: string]: unknown
  }[]
  readonly volumeDevices?: readonly { readonly name: string; readonly [field: string]: unknown }[]
  readonly securityContext?: SecurityContext
  readonly startupProbe?: Probe
  readonly readinessProbe?: Probe
  readonly livenessProbe?: Probe
  readonly lifecycle?: {
    readonly postStart?: ProbeHandler
    readonly preStop?: ProbeHandler
    readonly [field: string]: unknown
  }
  /** Of an ephemeral container: whose processes it sees. */
  readonly targetContainerName?: string
  readonly resources?: Readonly<Record<string, unknown>>
  readonly [field: string]: unknown
}

/** Of a pod or of a container. */
export interface SecurityContext {
  readonly runAsUser?: number
  readonly runAsGroup?: number
  readonly fsGroup?: number
  readonly supplementalGroups?: readonly number[]
  readonly privileged?: boolean
  readonly capabilities?: { readonly add?: readonly string[]; readonly [field: string]: unknown }
  readonly windowsOptions?: { readonly hostProcess?: boolean; readonly [field: string]: unknown }
  readonly [field: string]: unknown
}

/** What a probe or a lifecycle hook does: one of these. */
export interface ProbeHandler {
  readonly httpGet?: HttpGet
  readonly tcpSocket?: { readonly port: number | string; readonly host?: string; readonly [field: string]: unknown }
  readonly grpc?: { readonly port: number; readonly service?: string | null; readonly [field: string]: unknown }
  readonly [field: string]: unknown
}

export interface Probe extends ProbeHandler {
  readonly timeoutSeconds?: number
}

export interface HttpGet {
  readonly path?: string
  readonly port: number | string
  readonly host?: string
  readonly scheme?: string
  readonly httpHeaders?: readonly { readonly name: string; readonly value: string }[]
  readonly [field: string]: unknown
}

export interface VolumeObject {
  readonly name: string
  /** A file or directory of the node. */
  readonly hostPath?: unknown
  readonly projected?: {
    readonly sources?: readonly {
      readonly serviceAccountToken?: { readonly audience?: string; readonly [field: string]: unknown }
      readonly [field: string]: unknown
    }[]
    readonly [field: string]: unknown
  }
  readonly [field: string]: unknown
}

/** Reads a pod, or the template of one. */
export function readPodObject(value: unknown): Result<PodObject> {
  const pod = withoutNulls(value)
  const issues = checkStructure(POD_OBJECT_SCHEMA, pod, 'ignore')
  return issues.length > 0 ? fail(...issues) : ok(pod as PodObject)
}

/**
 * YAML says `ports:` with nothing behind it where Go's encoder leaves the field out, and the API server takes `null` for
 * absent. So does this, for members of objects at any depth.
 */
function withoutNulls(value: unknown): unknown {
  if (Array.isArray(value)) {
    const items = value.map(withoutNulls)
    return items.every((item, i) => item === value[i]) ? value : items
  }
  if (typeof value !== 'object' || value === null) return value
  const members = Object.entries(value)
  const kept = members.flatMap(([name, member]) => (member === null ? [] : [[name, withoutNulls(member)] as const]))
  const isSame = kept.length === members.length && kept.every(([, member], i) => member === members[i]?.[1])
  return isSame ? value : Object.fromEntries(kept)
}

const string: JsonSchema = { type: 'string' }
const strings: JsonSchema = { type: 'object', additionalProperties: string }
const integer: JsonSchema = { type: 'integer' }
const boolean: JsonSchema = { type: 'boolean' }
const portNumber: JsonSchema = { type: 'integer', minimum: 1, maximum: 65_535 }
const portOrName: JsonSchema = { 'x-kubernetes-int-or-string': true }

function object(properties: Readonly<Record<string, JsonSchema>>, required: readonly string[] = []): JsonSchema {
  return { type: 'object', properties, required }
}

function listOf(items: JsonSchema, maxItems = 512): JsonSchema {
  return { type: 'array', maxItems, items }
}

const securityContext = object({
  runAsUser: integer,
  runAsGroup: integer,
  fsGroup: integer,
  supplementalGroups: listOf(integer),
  privileged: boolean,
  capabilities: object({ add: listOf(string) }),
  windowsOptions: object({ hostProcess: boolean }),
})

const handler = {
  httpGet: object(
    {
      path: string,
      port: portOrName,
      host: string,
      scheme: { type: 'string', enum: ['HTTP', 'HTTPS'] },
      httpHeaders: listOf(object({ name: string, value: string }, ['name', 'value'])),
    },
    ['port'],
  ),
  tcpSocket: object({ port: portOrName, host: string }, ['port']),
  grpc: object({ port: portNumber, service: string }, ['port']),
}

const probe = object({ ...handler, timeoutSeconds: { type: 'integer', minimum: 1, maximum: 86_400 } })

const containers = listOf(
  object(
    {
      name: { type: 'string', maxLength: 63, pattern: '^[a-z0-9]([-a-z0-9]*[a-z0-9])?$' },
      image: string,
      restartPolicy: string,
      ports: listOf(object({ name: string, containerPort: portNumber, protocol: string }, ['containerPort'])),
      env: listOf(object({ name: string, value: string }, ['name']), 4_096),
      volumeMounts: listOf(object({ name: string, mountPath: string }, ['name', 'mountPath'])),
      volumeDevices: listOf(object({ name: string }, ['name'])),
      securityContext,
      startupProbe: probe,
      readinessProbe: probe,
      livenessProbe: probe,
      lifecycle: object({ postStart: object(handler), preStop: object(handler) }),
      targetContainerName: string,
      resources: { type: 'object' },
    },
    ['name'],
  ),
)

const POD_OBJECT_SCHEMA: JsonSchema = object(
  {
    metadata: object({
      name: string,
      namespace: string,
      generateName: string,
      labels: strings,
      annotations: strings,
      ownerReferences: listOf(
        object({ apiVersion: string, kind: string, name: string }, ['apiVersion', 'kind', 'name']),
      ),
    }),
    spec: object(
      {
        containers,
        initContainers: containers,
        ephemeralContainers: containers,
        volumes: listOf(
          object(
            {
              name: string,
              projected: object({ sources: listOf(object({ serviceAccountToken: object({ audience: string }) })) }),
            },
            ['name'],
          ),
        ),
        serviceAccountName: string,
        serviceAccount: string,
        restartPolicy: string,
        terminationGracePeriodSeconds: { type: 'integer', minimum: 0 },
        hostNetwork: boolean,
        hostPID: boolean,
        shareProcessNamespace: boolean,
        securityContext,
        os: object({ name: string }, ['name']),
      },
      ['containers'],
    ),
  },
  ['spec'],
)
