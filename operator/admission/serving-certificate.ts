import type { Server } from 'node:https'
import type { SecureContextOptions } from 'node:tls'
import type { HostnamePattern } from '../../model/hostname.ts'
import { type Clock, sleep } from '../../runtime/clock.ts'
import type { Log } from '../../runtime/log.ts'
import type { Authority } from '../identity/authority.ts'
import { makeSigningKeyPair } from '../identity/signing.ts'

/** What the API server sees of the webhook server: a certificate of the mesh's own authority, for DNS names. */
export interface ServingCertificate {
  /** PKCS#8, PEM. */
  readonly privateKey: string
  /** PEM: the leaf, then what leads to the root. */
  readonly chain: string
  readonly notAfterMs: number
}

/** A new key and a certificate for it. */
export async function issueServingCertificate(
  authority: Pick<Authority, 'issue'>,
  dnsNames: readonly HostnamePattern[],
): Promise<ServingCertificate> {
  const { privateKey, publicKey } = makeSigningKeyPair()
  const { chain, notAfterMs } = await authority.issue({ profile: 'serving', publicKey, dnsNames })
  return { privateKey: privateKey.export({ type: 'pkcs8', format: 'pem' }) as string, chain, notAfterMs }
}

export interface KeepServingCertificateOptions {
  readonly authority: Pick<Authority, 'issue' | 'onChange'>
  readonly dnsNames: readonly HostnamePattern[]
  /** The one that the server was started with. */
  readonly first: ServingCertificate
  /** What the server's TLS has besides key and certificate. */
  readonly context: () => SecureContextOptions
  readonly clock: Clock
  readonly log: Log
  readonly signal: AbortSignal
}

/** The waits between looks at the clock: a machine that slept finds its certificate old on waking. */
const MAX_SLEEP_MS = 60_000
const RETRY_MS = 5_000

/**
 * Renews the certificate at half of its life, and at once when other roots count, closing nothing. Resolves when the signal
 * aborts.
 */
export async function keepServingCertificate(
  server: Pick<Server, 'setSecureContext'>,
  { authority, dnsNames, first, context, clock, log, signal }: KeepServingCertificateOptions,
): Promise<void> {
  let dueAtMs = halfway(clock.now(), first.notAfterMs)
  let wake = new AbortController()
  const stop = authority.onChange(() => {
    dueAtMs = 0
    wake.abort()
  })
  signal.addEventListener('abort', stop, { once: true })
  while (!signal.aborted) {
    const waitMs = Math.min(Math.max(0, dueAtMs - clock.now()), MAX_SLEEP_MS)
    const either = AbortSignal.any([signal, wake.signal])
    await sleep(clock, waitMs, { signal: either, keepAlive: false }).catch(() => {})
    if (signal.aborted || clock.now() < dueAtMs) continue
    // A change of roots while the certificate is made sets it due again.
    wake = new AbortController()
    dueAtMs = Number.POSITIVE_INFINITY
    try {
      const next = await issueServingCertificate(authority, dnsNames)
      server.setSecureContext({ ...context(), key: next.privateKey, cert: next.chain })
      dueAtMs = Math.min(dueAtMs, halfway(clock.now(), next.notAfterMs))
      log.info('webhook certificate renewed', { 'x509.not_after': new Date(next.notAfterMs).toISOString() })
    } catch (err) {
      dueAtMs = Math.min(dueAtMs, clock.now() + RETRY_MS)
      log.error('webhook certificate not renewed', { err })
    }
  }
}

function halfway(nowMs: number, endMs: number): number {
  return nowMs + Math.max(0, endMs - nowMs) / 2
}
