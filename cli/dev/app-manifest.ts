import type { Resource } from '../../model/resource.ts'
import { fail, type Issue, issue, ok, type Result, under } from '../../model/result.ts'
import type { JsonSchema } from '../../model/section.ts'
import { readKeystores } from '../../operator/inject/keystores.ts'
import { structuralReader } from '../../operator/resources/structural.ts'

/** On a Deployment: the command that stands for its image on this machine. */
export const LOCAL_COMMAND_ANNOTATION = 'hauberk.dev/local-command'

/** What of a Deployment says how its app is run on this machine. */
export interface AppManifest {
  readonly namespace: string
  readonly name: string
  /** Split at white space; no shell sees it. `postgres`: the one that comes with us. */
  readonly command: readonly [string, ...string[]] | 'postgres'
  readonly ports: readonly AppPort[]
  readonly env: Readonly<Record<string, string>>
  readonly mounts: readonly SecretMount[]
  /** The volume that the identity is wanted in as PKCS#12 files, and where the container mounts it. */
  readonly keystores?: { readonly volume: string; readonly mountPath: string }
  /** Absent: ready once its port accepts. */
  readonly readinessProbe?: HttpProbe
  /** Things that are not made here; they keep nobody from starting. */
  readonly warnings: readonly Issue[]
}

export interface AppPort {
  readonly containerPort: number
  readonly name?: string
}

/** A directory of files, each with the value of a key of a Secret of the same namespace. */
export interface SecretMount {
  readonly volume: string
  /** Without a slash at its end. */
  readonly mountPath: string
  /** Only this file of the volume is mounted, at `mountPath`. */
  readonly subPath?: string
  readonly secret: string
  /** Absent: every key, under its own name. */
  readonly items?: readonly { readonly key: string; readonly path: string }[]
  /** A Secret or key that is not there is left out instead of keeping the app from starting. */
  readonly optional: boolean
}

export interface HttpProbe {
  readonly path: string
  /** Of the container: a number, or a port's name. */
  readonly port: number | string
}

/** Undefined for a Deployment that is not run on this machine: without the annotation, or with 0 replicas. */
export function readAppManifest(resource: Resource): Result<AppManifest> | undefined {
  const { name, namespace = 'default', annotations = {} } = resource.metadata
  const written = annotations[LOCAL_COMMAND_ANNOTATION]
  if (written === undefined) return undefined
  const read = readDeployment(resource)
  if (!read.ok) return read
  const { replicas = 1, template } = read.value.spec
  if (replicas === 0) return undefined

  const issues: Issue[] = []
  const words = written.split(/\s+/).filter((word) => word !== '')
  const [first, ...rest] = words
  if (first === undefined) {
    issues.push(
      issue('malformed-annotation', `metadata.annotations["${LOCAL_COMMAND_ANNOTATION}"]`, 'names no command'),
    )
  }
  const { containers, volumes = [] } = template.spec
  const [container] = containers
  if (container === undefined) return fail(issue('schema', 'spec.template.spec.containers', 'has no container'))

  const warnings: Issue[] = []
  const at = 'spec.template.spec.containers[0]'
  const env: Record<string, string> = {}
  for (const [i, { name: variable, value, valueFrom }] of (container.env ?? []).entries()) {
    if (valueFrom === undefined) env[variable] = value ?? ''
    else warnings.push(unmade(`${at}.env[${i}].valueFrom`, `${variable} is not set on this machine`))
  }
  if ((container.envFrom ?? []).length > 0) warnings.push(unmade(`${at}.envFrom`, 'is not read on this machine'))
  const mounts = (container.volumeMounts ?? []).flatMap(({ name: volume, mountPath, subPath }): SecretMount[] => {
    const secret = volumes.find((known) => known.name === volume)?.secret
    if (secret?.secretName === undefined) return []
    const { secretName, items, optional = false } = secret
    return [
      {
        volume,
        mountPath: mountPath.replace(/(?<=.)\/+$/, ''),
        ...(subPath !== undefined && { subPath }),
        secret: secretName,
        ...(items !== undefined && { items }),
        optional,
      },
    ]
  })
  for (const { volume, items = [], subPath } of mounts) {
    for (const path of [...items.map((item) => item.path), ...(subPath === undefined ? [] : [subPath])]) {
      if (isInside(path)) continue
      issues.push(issue('schema', 'spec.template.spec.volumes', `${path} is no path inside of the volume ${volume}`))
    }
  }
  const keystores = readKeystores(template.metadata?.annotations ?? {}, volumes)
  if (!keystores.ok) issues.push(...keystores.issues.map((found) => under('spec.template', found)))
  const keystoreMount = container.volumeMounts?.find((mount) => keystores.ok && mount.name === keystores.value)
  if (issues.length > 0 || first === undefined) return fail(...issues)
  const httpGet = container.readinessProbe?.httpGet
  return ok({
    namespace,
    name,
    command: first === 'postgres' && rest.length === 0 ? 'postgres' : [first, ...rest],
    ports: (container.ports ?? [])
      .filter(({ protocol = 'TCP' }) => protocol === 'TCP')
      .map(({ containerPort, name: portName }) =>
        portName === undefined ? { containerPort } : { containerPort, name: portName },
      ),
    env,
    mounts,
    ...(keystoreMount !== undefined && {
      keystores: { volume: keystoreMount.name, mountPath: keystoreMount.mountPath.replace(/(?<=.)\/+$/, '') },
    }),
    ...(httpGet !== undefined && { readinessProbe: { path: httpGet.path ?? '/', port: httpGet.port } }),
    warnings,
  })
}

function unmade(path: string, message: string): Issue {
  return { ...issue('not-made-locally', path, message, 'write the value itself'), severity: 'warning' }
}

/** A relative path that stays below where it begins. */
function isInside(path: string): boolean {
  return path !== '' && !path.startsWith('/') && !path.split('/').some((part) => part === '..' || part === '')
}

interface WrittenDeployment {
  readonly spec: {
    readonly replicas?: number
    readonly template: {
      readonly metadata?: { readonly annotations?: Readonly<Record<string, string>> }
      readonly spec: {
        readonly containers: readonly {
          readonly env?: readonly { readonly name: string; readonly value?: string; readonly valueFrom?: unknown }[]
          readonly envFrom?: readonly unknown[]
          readonly ports?: readonly {
            readonly containerPort: number
            readonly name?: string
            readonly protocol?: string
          }[]
          readonly volumeMounts?: readonly {
            readonly name: string
            readonly mountPath: string
            readonly subPath?: string
          }[]
          readonly readinessProbe?: { readonly httpGet?: { readonly path?: string; readonly port: number | string } }
        }[]
        readonly volumes?: readonly {
          readonly name: string
          readonly emptyDir?: { readonly medium?: string }
          readonly secret?: {
            readonly secretName?: string
            readonly optional?: boolean
            readonly items?: readonly { readonly key: string; readonly path: string }[]
          }
        }[]
      }
    }
  }
}

const text: JsonSchema = { type: 'string' }
const object = (properties: Readonly<Record<string, JsonSchema>>, ...required: readonly string[]): JsonSchema => ({
  type: 'object',
  required,
  properties,
})
const list = (items: JsonSchema): JsonSchema => ({ type: 'array', items })

const readDeployment = structuralReader<WrittenDeployment>(
  object(
    {
      spec: object(
        {
          replicas: { type: 'integer' },
          template: object(
            {
              metadata: object({ annotations: { type: 'object', additionalProperties: text } }),
              spec: object(
                {
                  containers: list(
                    object({
                      env: list(object({ name: { ...text, minLength: 1 }, value: text }, 'name')),
                      envFrom: { type: 'array' },
                      ports: list(
                        object(
                          {
                            containerPort: { type: 'integer', minimum: 1, maximum: 65535 },
                            name: text,
                            protocol: text,
                          },
                          'containerPort',
                        ),
                      ),
                      volumeMounts: list(
                        object(
                          { name: text, mountPath: { ...text, pattern: '^/' }, subPath: text },
                          'name',
                          'mountPath',
                        ),
                      ),
                      readinessProbe: object({
                        httpGet: object(
                          { path: { ...text, pattern: '^/' }, port: { 'x-kubernetes-int-or-string': true } },
                          'port',
                        ),
                      }),
                    }),
                  ),
                  volumes: list(
                    object(
                      {
                        name: text,
                        emptyDir: object({ medium: text }),
                        secret: object({
                          secretName: text,
                          optional: { type: 'boolean' },
                          items: list(object({ key: text, path: text }, 'key', 'path')),
                        }),
                      },
                      'name',
                    ),
                  ),
                },
                'containers',
              ),
            },
            'spec',
          ),
        },
        'template',
      ),
    },
    'spec',
  ),
)
