import { type HostnamePattern, parseHostnamePattern } from '../../model/hostname.ts'
import { describeIssue } from '../../model/result.ts'
import { pemsOf } from '../../model/x509/bundle.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { Log } from '../../runtime/log.ts'
import type { Metrics } from '../../runtime/metrics.ts'
import type { Authority } from '../identity/authority.ts'
import type { InjectorSettings } from '../inject/context.ts'
import type { KubernetesClient } from '../kubernetes/client.ts'
import type { Snapshot } from '../store/snapshot.ts'
import type { Translation } from '../translate/translate.ts'
import { keepWebhooks, WEBHOOK_SERVICE, type WebhookConfiguration, type WebhookService } from './ca-bundle.ts'
import type { ClientCertificates } from './client-certificates.ts'
import { admissionMetrics, webhookMetrics } from './metrics.ts'
import { createInjectHandler, createPodReviewHandler } from './pod-handlers.ts'
import { createPolicyHandler } from './policy-handler.ts'
import { type AdmissionServerOptions, startAdmissionServer } from './server.ts'
import { openWebhookSecret } from './webhook-secret.ts'

/** The part of an operator that the API server asks before it stores something. */
export interface Admission {
  readonly port: number
  /** Whether the API server has had our webhooks with their path and the roots, once. */
  ready(): boolean
  /** Whether it has them, as last read. */
  isInPlace(): boolean
  /** The roots, PEM, that the API server believed them by when they were last seen in place. Empty: never. */
  trustBundle(): readonly string[]
  /** This operator is to end: the API server is to ask another one, as soon as it may. */
  retire(): void
  close(): Promise<void>
}

export interface AdmissionOptions {
  readonly client: KubernetesClient
  readonly authority: Authority
  /** Of a store that is synced: what is not known would not be refused. */
  readonly snapshot: () => Snapshot
  readonly translation: () => Translation | undefined
  readonly settings: InjectorSettings
  /** Default port: 15017. */
  readonly listen: { readonly host?: string; readonly port: number }
  readonly clientCertificates?: ClientCertificates
  readonly isLeading: () => boolean
  readonly onPolicyReview?: AdmissionServerOptions['onPolicyReview']
  /** Called once, when `ready` begins to hold. */
  readonly onReady?: () => void
  /** Default: what the chart installs. */
  readonly service?: WebhookService
  readonly configurations?: readonly WebhookConfiguration[]
  readonly clock: Clock
  /** Uniform in [0, 1). */
  readonly random: () => number
  readonly log: Log
  readonly metrics: Metrics
}

/**
 * Opens the secret of the paths, serves the webhooks, and keeps the API server's configurations of them. Rejects when the
 * port is taken or the secret cannot be had.
 */
export async function startAdmission(options: AdmissionOptions): Promise<Admission> {
  const { client, authority, snapshot, translation, settings, listen, clientCertificates, clock, log, metrics } =
    options
  const { service = WEBHOOK_SERVICE, configurations, isLeading, random } = options
  const secret = await openWebhookSecret(client, { namespace: service.namespace })
  const counted = admissionMetrics(metrics)
  const roots = () => pemsOf(authority.trustBundle())
  const pods = { snapshot, settings, metrics: counted }
  const server = await startAdmissionServer({
    ...listen,
    authority,
    dnsNames: [dnsNameOf(service)],
    secret,
    ...(clientCertificates && { clientCertificates }),
    handlers: {
      inject: createInjectHandler(pods),
      pods: createPodReviewHandler(pods),
      policies: createPolicyHandler({ snapshot, translation, roots: () => roots().toSorted(), clock }),
    },
    ...(options.onPolicyReview && { onPolicyReview: options.onPolicyReview }),
    clock,
    log,
    metrics: counted,
  })
  const end = new AbortController()
  const keeper = keepWebhooks({
    client,
    trustBundle: roots,
    onTrustChange: (listener) => authority.onChange(listener),
    secret,
    isLeading,
    ...(options.onReady && { onReady: options.onReady }),
    service,
    ...(configurations && { configurations }),
    clock,
    random,
    log,
    metrics: webhookMetrics(metrics),
    signal: end.signal,
  })
  return {
    port: server.port,
    ready: () => keeper.ready(),
    isInPlace: () => keeper.isInPlace(),
    trustBundle: () => keeper.trustBundle(),
    retire: () => server.retire(),
    async close() {
      end.abort(new Error('the operator ends'))
      await Promise.all([keeper.done, server.close()])
    },
  }
}

/** How the API server calls a Service, and what it wants the certificate to say. */
function dnsNameOf({ name, namespace }: WebhookService): HostnamePattern {
  const parsed = parseHostnamePattern(`${name}.${namespace}.svc`)
  if (!parsed.ok) throw new Error(parsed.issues.map(describeIssue).join('; '))
  return parsed.value
}
