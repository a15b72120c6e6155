import { createPublicKey, type KeyObject } from 'node:crypto'
import { describeIssue } from '../../model/result.ts'
import { type SpiffeId, spiffeIdFor, type TrustDomain } from '../../model/spiffe-id.ts'
import { parseCertificates } from '../../model/x509/certificate.ts'
import { judgeSvid } from '../../model/x509/svid.ts'
import { type Clock, sleep } from '../../runtime/clock.ts'
import type { Log } from '../../runtime/log.ts'
import type { Authority } from '../identity/authority.ts'
import { makeSigningKeyPair } from '../identity/signing.ts'
import { trustAnchorsOf } from '../identity/trust-anchors.ts'
import { applyObject } from '../kubernetes/apply.ts'
import type { KubernetesClient } from '../kubernetes/client.ts'
import { isNotFound } from '../kubernetes/errors.ts'
import { type KubernetesObject, recordOf } from '../kubernetes/object.ts'
import { resourcePath } from '../kubernetes/path.ts'
import { SYSTEM_NAMESPACE } from '../translate/gateways.ts'

/** The Secret (`kubernetes.io/tls`, with `ca.crt`) that whoever reads metrics proves itself by. */
export const METRICS_CLIENT_SECRET = 'hauberk-metrics-client'

export interface MetricsClientOptions {
  readonly client: KubernetesClient
  readonly authority: Authority
  /** Whose certificate it is. */
  readonly spiffeId: SpiffeId
  readonly namespace?: string
  readonly clock: Clock
  readonly log: Log
  /** Ends the work: this operator leads no more, or ends. */
  readonly signal: AbortSignal
}

/** Who may read metrics, as its certificate says it. Throws for a name that makes none. */
export function metricsClientId(
  trustDomain: TrustDomain,
  { namespace, serviceAccount }: { readonly namespace: string; readonly serviceAccount: string },
): SpiffeId {
  const id = spiffeIdFor(trustDomain, namespace, serviceAccount)
  if (!id.ok) throw new Error(id.issues.map(describeIssue).join('; '))
  return id.value
}

/** The waits between looks: somebody may have deleted it. */
const LOOK_MS = 60_000
const RETRY_MS = 5_000

/**
 * Keeps a certificate and its key in a Secret for whoever reads metrics: renewed at half of its life, and at once when
 * other roots count. The one place where the mesh makes a key for somebody else, who has no sidecar to make it. Resolves
 * when the signal aborts.
 */
export async function keepMetricsClient(options: MetricsClientOptions): Promise<void> {
  const { authority, clock, log, signal } = options
  let wake = new AbortController()
  const stop = authority.onChange(() => wake.abort())
  signal.addEventListener('abort', stop, { once: true })
  while (!signal.aborted) {
    wake = new AbortController()
    let waitMs = LOOK_MS
    try {
      const data = await readSecret(options)
      if (data === undefined || !isGood(data, options)) await writeSecret(options)
    } catch (err) {
      if (signal.aborted) return
      waitMs = RETRY_MS
      log.warn('the certificate for reading metrics could not be kept', { err })
    }
    await sleep(clock, waitMs, { signal: AbortSignal.any([signal, wake.signal]), keepAlive: false }).catch(() => {})
  }
}

async function readSecret({ client, namespace = SYSTEM_NAMESPACE, signal }: MetricsClientOptions) {
  try {
    const path = resourcePath({ apiVersion: 'v1', plural: 'secrets', namespace, name: METRICS_CLIENT_SECRET })
    const { data } = await client.request<KubernetesObject>({ path, signal })
    return recordOf(data)
  } catch (error) {
    if (isNotFound(error)) return undefined
    throw error
  }
}

/** Whether what is there is of this identity, under the roots that count now, and in the first half of its life. */
function isGood(
  data: Readonly<Record<string, unknown>>,
  { authority, spiffeId, clock }: MetricsClientOptions,
): boolean {
  const text = (key: string) => Buffer.from(String(data[key] ?? ''), 'base64').toString()
  if (text('ca.crt') !== trustAnchorsOf(authority.trustBundle())) return false
  const chain = parseCertificates(text('tls.crt'))
  const leaf = chain.ok ? chain.value[0] : undefined
  if (leaf === undefined || !isKeyOf(text('tls.key'), leaf.publicKey)) return false
  const nowMs = clock.now()
  const spiffeIds = new Set([spiffeId])
  const verdict = judgeSvid(leaf.der, { trustDomain: authority.trustDomain, role: 'client', nowMs, spiffeIds })
  return verdict.ok && nowMs < (leaf.notBeforeMs + leaf.notAfterMs) / 2
}

function isKeyOf(pem: string, publicKey: Uint8Array): boolean {
  let key: KeyObject
  try {
    key = createPublicKey(pem)
  } catch {
    return false
  }
  return key.export({ type: 'spki', format: 'der' }).equals(publicKey)
}

async function writeSecret(options: MetricsClientOptions): Promise<void> {
  const { client, authority, spiffeId, namespace = SYSTEM_NAMESPACE, log, signal } = options
  const { privateKey, publicKey } = makeSigningKeyPair()
  const { chain, notAfterMs } = await authority.issue({ profile: 'svid', publicKey, spiffeId })
  await applyObject(
    client,
    {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { namespace, name: METRICS_CLIENT_SECRET, labels: { 'app.kubernetes.io/part-of': 'hauberk' } },
      type: 'kubernetes.io/tls',
      data: {
        'tls.crt': base64(chain),
        'tls.key': base64(privateKey.export({ type: 'pkcs8', format: 'pem' }) as string),
        'ca.crt': base64(trustAnchorsOf(authority.trustBundle())),
      },
    },
    { plural: 'secrets', fieldManager: 'hauberk-operator', force: true, signal },
  )
  log.info('the certificate for reading metrics was renewed', { 'x509.not_after': new Date(notAfterMs).toISOString() })
}

function base64(text: string): string {
  return Buffer.from(text).toString('base64')
}
