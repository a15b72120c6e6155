import type { Counter, Gauge, Histogram, Metrics } from '../../runtime/metrics.ts'

/** What the webhooks count. */
export interface AdmissionMetrics {
  readonly reviews: Counter<'webhook' | 'outcome'>
  readonly seconds: Histogram<'webhook'>
  readonly rejected: Counter<'reason'>
  readonly injections: Counter<'outcome'>
}

export function admissionMetrics(metrics: Metrics): AdmissionMetrics {
  return {
    reviews: metrics.counter({
      name: 'hauberk_admission_reviews_total',
      help: 'Questions of the API server that were answered, by webhook and outcome (allowed, refused, failed).',
      labels: ['webhook', 'outcome'],
    }),
    seconds: metrics.histogram({
      name: 'hauberk_admission_seconds',
      help: 'How long an answer took, in seconds, from the head of the request on.',
      labels: ['webhook'],
    }),
    rejected: metrics.counter({
      name: 'hauberk_admission_rejected_total',
      help: 'Requests to the webhook server that were no question of the API server, by reason (path, client, busy, size, slow, malformed).',
      labels: ['reason'],
    }),
    injections: metrics.counter({
      name: 'hauberk_injections_total',
      help: 'Pods that went through injection, by outcome (injected, left-alone, refused).',
      labels: ['outcome'],
    }),
  }
}

/** What keeping the webhook configurations counts. */
export interface WebhookMetrics {
  readonly inPlace: Gauge
  readonly healed: Counter<'configuration'>
}

export function webhookMetrics(metrics: Metrics): WebhookMetrics {
  return {
    inPlace: metrics.gauge({
      name: 'hauberk_webhooks_in_place',
      help: '1 when the API server has our webhooks with their path and certificate, as this operator last read them.',
    }),
    healed: metrics.counter({
      name: 'hauberk_webhook_configurations_healed_total',
      help: 'Webhook configurations that were put right by this operator.',
      labels: ['configuration'],
    }),
  }
}
