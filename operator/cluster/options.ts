import { readFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import * as v from 'valibot'
import { decode } from '../../contract/codec.ts'
import { parseDuration } from '../../model/duration.ts'
import { readIpAddress } from '../../model/match/ip-address.ts'
import type { Resource } from '../../model/resource.ts'
import { describeIssue, type Result } from '../../model/result.ts'
import { LOG_LEVELS, type LogLevel } from '../../runtime/log.ts'
import type { ClientCertificates } from '../admission/client-certificates.ts'
import type { InjectorSettings, ResourceRequirements } from '../inject/context.ts'
import type { ClientConfig } from '../kubernetes/client.ts'
import { kindOf } from '../resources/kinds.ts'
import { SYSTEM_NAMESPACE } from '../translate/gateways.ts'

/** Everything that an operator on a cluster is told at its start. */
export interface ClusterOptions {
  /** Its own pod. */
  readonly pod: { readonly name: string; readonly uid: string; readonly ip: string }
  /** The address that servers listen on; undefined: every one of the pod. */
  readonly host?: string
  readonly ports: {
    readonly mesh: number
    readonly webhook: number
    readonly metrics: number
    readonly probes: number
    /** Loopback. */
    readonly admin: number
  }
  readonly client: ClientConfig
  readonly logLevel: LogLevel
  /** Where the audit log is written, as POD.log; undefined: it is printed alone. */
  readonly auditDirectory?: string
  /** Milliseconds that a replica which was told to end goes on answering, so that nobody is sent to it any more. */
  readonly drainDelayMs: number
  /** Resources that are made where they are not there, and left alone from then on. */
  readonly defaultResources: readonly Resource[]
  readonly sidecar: SidecarDefaults
  readonly metrics: {
    /** Anybody may read them, without TLS. */
    readonly plaintext: boolean
    /** Who may read them, and is given a certificate for it. */
    readonly client?: { readonly namespace: string; readonly serviceAccount: string }
  }
  /** Demanded of the API server. */
  readonly webhookClients?: ClientCertificates
}

/** How sidecars and gateways are to be; what is not said is as `defaultSettings` has it. */
export type SidecarDefaults = Pick<InjectorSettings, 'image'> &
  Partial<Omit<InjectorSettings, 'trustDomain' | 'operator' | 'metrics'>>

export const USAGE = `usage: hauberk-operator --sidecar-image=IMAGE [--option=value ...]
       hauberk-operator ask PATH    what the operator in this container says on its admin port: /status, /metrics, ...

The operator of a mesh on Kubernetes. Runs in a pod of the namespace hauberk-system until SIGTERM.

  --sidecar-image              image of sidecars, of their init containers and of gateways; needed
  --sidecar-pull-policy        Always, IfNotPresent or Never [IfNotPresent]
  --sidecar-resources          requests and limits of a sidecar, as JSON [10m and 64Mi, at most 256Mi]
  --sidecar-init-resources     requests and limits of its init container, as JSON [10m and 64Mi, at most 128Mi]
  --sidecar-log-level          debug, info, warn, error or silent [info]
  --sidecar-decision-log       all, denied or off [all]
  --sidecar-drain              what a sidecar gives requests in flight at its end [5s]
  --sidecar-pre-stop           what an app goes on for when its pod is to end, so that its endpoints leave first [3s]
  --sidecar-state-size         of the volume in memory for a sidecar's key and configuration [16Mi]
  --default-resources          resources to make where they are not there, as a JSON array [[]]
  --metrics                    mtls or plaintext [mtls]
  --metrics-client             namespace/serviceaccount of who may read metrics; its certificate is kept in the Secret
                               hauberk-metrics-client
  --webhook-client-ca          file with PEM certificates of who signs the client certificate of the API server
  --webhook-client-names       its names, with commas between
  --log-level                  debug, info, warn, error or silent [info]
  --audit-directory            where the audit log is kept, as POD.log; it is printed as well [printed alone]
  --drain-delay                how long to go on answering after SIGTERM [5s]
  --host                       address to listen on [every one]
  --mesh-port                  sessions and certificates, TLS [15012]
  --webhook-port               questions of the API server, TLS [15017]
  --metrics-port               [15014]
  --probe-port                 /livez and /readyz, HTTP [15020]
  --admin-port                 on 127.0.0.1, with the token of the Secret hauberk-admin [15000]
  --kubeconfig                 file to reach the API server by [the pod's service account]
  --help, --version

Variables: POD_NAME, POD_NAMESPACE (hauberk-system), POD_UID, POD_IP.
Exit codes: 0 ended as it was told, 1 something failed, 2 the command line is wrong.
`

/** A command line that cannot be obeyed. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}

/** What was asked for instead of running. */
export type Asked = 'help' | 'version'

const TEXT = { type: 'string' } as const
const OPTIONS = {
  'sidecar-image': TEXT,
  'sidecar-pull-policy': TEXT,
  'sidecar-resources': TEXT,
  'sidecar-init-resources': TEXT,
  'sidecar-log-level': TEXT,
  'sidecar-decision-log': TEXT,
  'sidecar-drain': TEXT,
  'sidecar-pre-stop': TEXT,
  'sidecar-state-size': TEXT,
  'default-resources': { ...TEXT, default: '[]' },
  metrics: { ...TEXT, default: 'mtls' },
  'metrics-client': TEXT,
  'webhook-client-ca': TEXT,
  'webhook-client-names': TEXT,
  'log-level': { ...TEXT, default: 'info' },
  'audit-directory': TEXT,
  'drain-delay': { ...TEXT, default: '5s' },
  host: TEXT,
  'mesh-port': { ...TEXT, default: '15012' },
  'webhook-port': { ...TEXT, default: '15017' },
  'metrics-port': { ...TEXT, default: '15014' },
  'probe-port': { ...TEXT, default: '15020' },
  'admin-port': { ...TEXT, default: '15000' },
  kubeconfig: TEXT,
  help: { type: 'boolean' },
  version: { type: 'boolean' },
} as const

/**
 * Reads the command line and the variables of the pod.
 *
 * @throws UsageError with every mistake in them
 */
export function readClusterOptions(
  args: readonly string[],
  env: Readonly<Record<string, string | undefined>> = process.env,
): ClusterOptions | Asked {
  const values = parse(args)
  if (values.help === true) return 'help'
  if (values.version === true) return 'version'
  const reader = createReader(values)
  const { mistakes, refuse, port, oneOf, duration } = reader
  const variable = (name: string): string => {
    const value = env[name] ?? ''
    if (value === '') refuse(`the variable ${name} is not set`)
    return value
  }

  const namespace = variable('POD_NAMESPACE')
  if (namespace !== '' && namespace !== SYSTEM_NAMESPACE) {
    refuse(`POD_NAMESPACE: is ${namespace}, and the operator runs in ${SYSTEM_NAMESPACE} only`)
  }
  const ip = variable('POD_IP')
  if (ip !== '' && readIpAddress(ip) === undefined) refuse(`POD_IP: ${ip} is not an IP address`)
  const client = clientOf(values['metrics-client'], refuse)
  const webhookClients = webhookClientsOf(values['webhook-client-ca'], values['webhook-client-names'], refuse)
  const options: ClusterOptions = {
    pod: { name: variable('POD_NAME'), uid: variable('POD_UID'), ip },
    ...(values.host !== undefined && { host: values.host }),
    ports: {
      mesh: port('mesh-port'),
      webhook: port('webhook-port'),
      metrics: port('metrics-port'),
      probes: port('probe-port'),
      admin: port('admin-port'),
    },
    client: values.kubeconfig === undefined ? { from: 'in-cluster' } : { from: 'kubeconfig', path: values.kubeconfig },
    logLevel: oneOf('log-level', LOG_LEVELS),
    ...(values['audit-directory'] !== undefined && { auditDirectory: values['audit-directory'] }),
    drainDelayMs: duration('drain-delay'),
    defaultResources: defaultResourcesOf(reader),
    sidecar: sidecarOf(values, reader),
    metrics: { plaintext: oneOf('metrics', ['mtls', 'plaintext']) === 'plaintext', ...(client && { client }) },
    ...(webhookClients && { webhookClients }),
  }
  if (mistakes.length > 0) throw new UsageError(mistakes.join('\n'))
  return options
}

type Values = ReturnType<typeof parse>

/** Reads options one by one, and gathers what is wrong with them. What it gives for such a one is of no account. */
interface Reader {
  readonly mistakes: readonly string[]
  refuse(message: string): void
  json<T>(name: keyof Values, schema: v.GenericSchema<unknown, T>, fallback: T): T
  oneOf<const T extends string>(name: keyof Values, choices: readonly T[]): T
  port(name: keyof Values): number
  /** Milliseconds. */
  duration(name: keyof Values): number
}

function createReader(values: Values): Reader {
  const mistakes: string[] = []
  const refuse = (message: string) => {
    mistakes.push(message)
  }
  const read = <T>(name: string, found: Result<T>, fallback: T): T => {
    if (found.ok) return found.value
    for (const each of found.issues) refuse(`--${name}: ${describeIssue(each)}`)
    return fallback
  }
  return {
    mistakes,
    refuse,
    json: (name, schema, fallback) => read(name, decode(schema, String(values[name])), fallback),
    oneOf(name, choices) {
      const found = choices.find((choice) => choice === values[name])
      if (found === undefined) refuse(`--${name}: is none of ${choices.join(', ')}`)
      return found ?? choices[0]!
    },
    port(name) {
      const text = String(values[name])
      const number = /^\d{1,5}$/.test(text) ? Number(text) : Number.NaN
      if (!(number <= 65_535)) refuse(`--${name}: is not a port`)
      return number
    },
    duration: (name) => read(name, parseDuration(String(values[name])), 0),
  }
}

function sidecarOf(values: Values, { refuse, json, oneOf, duration }: Reader): SidecarDefaults {
  const image = values['sidecar-image'] ?? ''
  if (image === '') refuse('--sidecar-image: is needed')
  const said = <T>(name: keyof Values, field: string, read: () => T) =>
    values[name] === undefined ? {} : { [field]: read() }
  return {
    image,
    ...said('sidecar-pull-policy', 'imagePullPolicy', () => {
      return oneOf('sidecar-pull-policy', ['IfNotPresent', 'Always', 'Never'])
    }),
    ...said('sidecar-resources', 'resources', () => json('sidecar-resources', Requirements, {})),
    ...said('sidecar-init-resources', 'initResources', () => json('sidecar-init-resources', Requirements, {})),
    ...said('sidecar-state-size', 'stateSizeLimit', () => {
      const size = String(values['sidecar-state-size'])
      if (!/^\d{1,6}(Ki|Mi|Gi)$/.test(size)) refuse('--sidecar-state-size: is not a size such as 16Mi')
      return size
    }),
    ...said('sidecar-pre-stop', 'preStopSeconds', () => Math.ceil(duration('sidecar-pre-stop') / 1_000)),
    ...said('sidecar-drain', 'drainSeconds', () => duration('sidecar-drain') / 1_000),
    ...said('sidecar-decision-log', 'decisionLog', () => oneOf('sidecar-decision-log', ['all', 'denied', 'off'])),
    ...said('sidecar-log-level', 'logLevel', () => oneOf('sidecar-log-level', LOG_LEVELS)),
  }
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({ args: [...args], options: OPTIONS, strict: true, allowPositionals: false }).values
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error))
  }
}

const quantities = v.record(v.string(), v.union([v.string(), v.pipe(v.number(), v.transform(String))]))

const Requirements: v.GenericSchema<unknown, ResourceRequirements> = v.strictObject({
  requests: v.exactOptional(quantities),
  limits: v.exactOptional(quantities),
})

const DefaultResources = v.array(
  v.looseObject({
    apiVersion: v.string(),
    kind: v.string(),
    metadata: v.looseObject({ name: v.string(), namespace: v.exactOptional(v.string()) }),
  }),
)

function defaultResourcesOf({ json, refuse }: Reader): readonly Resource[] {
  const resources = json('default-resources', DefaultResources, []) as unknown as readonly Resource[]
  for (const { apiVersion, kind } of resources) {
    if (kindOf(apiVersion, kind) === undefined)
      refuse(`--default-resources: ${apiVersion} ${kind} is no kind of the mesh`)
  }
  return resources
}

const LABEL = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/
const NAME = /^(?=.{1,253}$)[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?$/

function clientOf(text: string | undefined, refuse: (message: string) => void): ClusterOptions['metrics']['client'] {
  if (text === undefined) return undefined
  const [namespace = '', serviceAccount = '', ...rest] = text.split('/')
  if (LABEL.test(namespace) && NAME.test(serviceAccount) && rest.length === 0) return { namespace, serviceAccount }
  refuse('--metrics-client: is not namespace/serviceaccount')
  return undefined
}

function webhookClientsOf(
  file: string | undefined,
  names: string | undefined,
  refuse: (message: string) => void,
): ClientCertificates | undefined {
  if (file === undefined && names === undefined) return undefined
  const listed = (names ?? '').split(',').filter((name) => name !== '')
  if (file === undefined || listed.length === 0) {
    refuse('--webhook-client-ca and --webhook-client-names: either both or none')
    return undefined
  }
  try {
    return { authorities: readFileSync(file, 'utf8'), names: listed }
  } catch (error) {
    refuse(`--webhook-client-ca: ${error instanceof Error ? error.message : error}`)
    return undefined
  }
}
