import { isSame } from '../../model/same.ts'
import type { Clock } from '../../runtime/clock.ts'
import { sleep } from '../../runtime/clock.ts'
import type { Log } from '../../runtime/log.ts'
import type { KubernetesClient } from '../kubernetes/client.ts'
import { isNotFound } from '../kubernetes/errors.ts'
import { resourcePath } from '../kubernetes/path.ts'
import { OPERATOR_SERVICE_ACCOUNT, SYSTEM_NAMESPACE } from '../translate/gateways.ts'
import type { WebhookMetrics } from './metrics.ts'
import { type Webhook, webhookPath } from './secret-path.ts'

/** A webhook configuration of ours, which the chart made and the operator completes. */
export interface WebhookConfiguration {
  readonly plural: 'mutatingwebhookconfigurations' | 'validatingwebhookconfigurations'
  readonly name: string
  readonly webhooks: readonly {
    readonly name: string
    readonly leadsTo: Webhook
    /** A configuration without it is of a chart that has none. */
    readonly optional?: true
  }[]
}

export const WEBHOOK_CONFIGURATIONS: readonly WebhookConfiguration[] = [
  {
    plural: 'mutatingwebhookconfigurations',
    name: 'hauberk-inject',
    webhooks: [{ name: 'inject.hauberk.dev', leadsTo: 'inject' }],
  },
  {
    plural: 'validatingwebhookconfigurations',
    name: 'hauberk-pods',
    webhooks: [
      { name: 'pods.hauberk.dev', leadsTo: 'pods' },
      { name: 'changes.hauberk.dev', leadsTo: 'pods' },
    ],
  },
  {
    plural: 'validatingwebhookconfigurations',
    name: 'hauberk-admission',
    webhooks: [
      { name: 'policies.hauberk.dev', leadsTo: 'policies' },
      { name: 'mesh.hauberk.dev', leadsTo: 'policies', optional: true },
      { name: 'warnings.hauberk.dev', leadsTo: 'policies', optional: true },
    ],
  },
]

/** The Service that the API server calls. */
export interface WebhookService {
  readonly namespace: string
  readonly name: string
  readonly port: number
}

export const WEBHOOK_SERVICE: WebhookService = {
  namespace: SYSTEM_NAMESPACE,
  name: OPERATOR_SERVICE_ACCOUNT,
  port: 443,
}

export interface WebhookKeeperOptions {
  readonly client: KubernetesClient
  /** PEM certificates of the roots that the webhook server's certificate may lead to. */
  readonly trustBundle: () => readonly string[]
  /** Calls `listener` after each change of that; returns how to stop. */
  readonly onTrustChange: (listener: () => void) => () => void
  /** Of the paths. */
  readonly secret: string
  /** Only who leads changes anything; everybody looks. */
  readonly isLeading: () => boolean
  /** Called once, when `ready` begins to hold. */
  readonly onReady?: () => void
  /** Default: the three of the chart. */
  readonly configurations?: readonly WebhookConfiguration[]
  readonly service?: WebhookService
  readonly clock: Clock
  /** Uniform in [0, 1). */
  readonly random: () => number
  readonly log: Log
  readonly metrics: WebhookMetrics
  readonly signal: AbortSignal
}

export interface WebhookKeeper {
  /**
   * Whether the API server has had all of them with their path and the roots, once. It stays so: an operator that others
   * need for certificates does not become unready because somebody took a webhook away.
   */
  ready(): boolean
  /** Whether it has them, as last read. */
  isInPlace(): boolean
  /** The roots, PEM, that the API server believed all of them by when they were last seen in place. Empty: never. */
  trustBundle(): readonly string[]
  /** Resolves when the signal has ended it. */
  readonly done: Promise<void>
}

/** Milliseconds between two looks: what somebody else changed is put right within this time (F21), +- a tenth. */
const LOOK_MS = 20_000
/** Milliseconds between two looks while something is not as it should be. */
const HURRY_MS = 1_000
const REQUEST_MS = 5_000

/**
 * Keeps `clientConfig` of our webhook configurations what it has to be: our Service, the path with its secret, and the roots
 * of the mesh as they are now.
 */
export function keepWebhooks(options: WebhookKeeperOptions): WebhookKeeper {
  const { configurations = WEBHOOK_CONFIGURATIONS, clock, random, log, metrics, signal } = options
  let standing: ReadonlyMap<string, boolean> = new Map()
  let wasReady = false
  let inPlaceWith: readonly string[] = []
  let wake = new AbortController()
  const stop = options.onTrustChange(() => wake.abort())
  signal.addEventListener('abort', stop, { once: true })

  const isInPlace = () => configurations.every(({ name }) => standing.get(name) === true)
  const look = async () => {
    const bundle = options.trustBundle()
    const seen = new Map(standing)
    let hasSeenAll = true
    for (const configuration of configurations) {
      const { name } = configuration
      const before = standing.get(name)
      try {
        const now = await keepOne(configuration, options)
        seen.set(name, now)
        if (!now && before !== false) {
          log.warn('webhook configuration is not in place', { 'hauberk.webhook_configuration': name })
        }
      } catch (err) {
        hasSeenAll = false
        // What was read last stays: an API server that is away has forgotten nothing.
        if (!signal.aborted)
          log.warn('webhook configuration not looked at', { err, 'hauberk.webhook_configuration': name })
      }
    }
    standing = seen
    if (hasSeenAll && isInPlace()) inPlaceWith = bundle
    if (!wasReady && isInPlace()) {
      wasReady = true
      options.onReady?.()
    }
    metrics.inPlace.handle().set(isInPlace() ? 1 : 0)
  }

  const run = async () => {
    while (!signal.aborted) {
      wake = new AbortController()
      await look()
      const waitMs = isInPlace() ? LOOK_MS * (0.9 + 0.2 * random()) : HURRY_MS
      await sleep(clock, waitMs, { signal: AbortSignal.any([signal, wake.signal]), keepAlive: false }).catch(() => {})
    }
  }
  return { ready: () => wasReady, isInPlace, trustBundle: () => inPlaceWith, done: run() }
}

interface StoredConfiguration {
  readonly metadata: { readonly resourceVersion?: string }
  readonly webhooks?: readonly { readonly name: string; readonly clientConfig?: ClientConfig }[]
}

interface ClientConfig {
  readonly url?: string
  readonly service?: {
    readonly namespace: string
    readonly name: string
    readonly path?: string
    readonly port?: number
  }
  readonly caBundle?: string
}

/** Whether a configuration is as it should be now; it is put right before, by whoever may. */
async function keepOne(configuration: WebhookConfiguration, options: WebhookKeeperOptions): Promise<boolean> {
  const { client, isLeading, log, metrics, signal } = options
  const { plural, name } = configuration
  const request = {
    path: resourcePath({ apiVersion: 'admissionregistration.k8s.io/v1', plural, name }),
    timeoutMs: REQUEST_MS,
    signal,
  }
  let stored: StoredConfiguration
  try {
    stored = await client.request<StoredConfiguration>(request)
  } catch (error) {
    if (isNotFound(error)) return false
    throw error
  }
  const steps = stepsFor(stored, configuration, options)
  if (steps.length === 0 || !isLeading()) return steps.length === 0 && hasAll(stored, configuration)
  const patched = await client.request<StoredConfiguration>({
    ...request,
    method: 'PATCH',
    contentType: 'application/json-patch+json',
    query: { fieldManager: 'hauberk-operator' },
    // Of what was read, and of no other: the places of the list are counted in that.
    body: [{ op: 'test', path: '/metadata/resourceVersion', value: stored.metadata.resourceVersion }, ...steps],
  })
  metrics.healed.handle({ configuration: name }).add()
  log.info('webhook configuration put right', { 'hauberk.webhook_configuration': name })
  return stepsFor(patched, configuration, options).length === 0 && hasAll(patched, configuration)
}

function stepsFor(
  { webhooks = [] }: StoredConfiguration,
  configuration: WebhookConfiguration,
  { trustBundle, secret, service = WEBHOOK_SERVICE }: WebhookKeeperOptions,
) {
  const caBundle = Buffer.from([...trustBundle()].sort().join('')).toString('base64')
  return webhooks.flatMap((webhook, i) => {
    const leadsTo = configuration.webhooks.find(({ name }) => name === webhook.name)?.leadsTo
    if (leadsTo === undefined) return []
    const value: ClientConfig = { service: { ...service, path: webhookPath(leadsTo, secret) }, caBundle }
    return isSame(webhook.clientConfig, value) ? [] : [{ op: 'add', path: `/webhooks/${i}/clientConfig`, value }]
  })
}

function hasAll({ webhooks = [] }: StoredConfiguration, configuration: WebhookConfiguration): boolean {
  return configuration.webhooks.every(
    ({ name, optional }) => optional === true || webhooks.some((webhook) => webhook.name === name),
  )
}
