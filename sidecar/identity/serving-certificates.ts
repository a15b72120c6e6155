import { describeIssue } from '../../model/result.ts'
import { createBackoff } from '../../runtime/backoff.ts'
import { type Clock, sleep } from '../../runtime/clock.ts'
import type { Log } from '../../runtime/log.ts'
import { type CredentialsOptions, credentialsFor } from './credentials.ts'
import { CertificateFetchError, type OperatorAddress } from './fetch-certificate.ts'
import { createHurry, REISSUE_WITHIN_MS } from './hurry.ts'
import type { IdentityStore } from './identity-store.ts'
import { obtain } from './obtain.ts'
import { keepRenewed } from './renewal.ts'
import {
  createServingCertificate,
  loadServingCertificate,
  type ServingCertificate,
  saveServingCertificate,
} from './serving-certificate.ts'

/** The certificates that a gateway's HTTPS listeners have from the mesh's CA, one a hostname. */
export interface ServingCertificates {
  /**
   * Says which hostnames there are now. New ones are asked for, until they are had; those no longer named are let go.
   * Those that stay keep what they have.
   */
  want(hostnames: Iterable<string>): void
  /** Undefined until the first one has come. */
  get(hostname: string): ServingCertificate | undefined
  /** Whether the root of this fingerprint vouches for all that there are. */
  areOf(root: string): boolean
  /** Calls `listener` for each certificate that comes, first and renewed ones. Returns how to stop that. */
  onChange(listener: (certificate: ServingCertificate) => void): () => void
}

export interface ServingCertificatesOptions {
  /** Says which roots are trusted; its certificate proves who asks, where `credentials` do not say otherwise. */
  readonly identity: IdentityStore
  /** Default: the certificate of `identity`. Of tokens, only one that may be shown again and again. */
  readonly credentials?: CredentialsOptions
  /** PEM certificates of the roots by which the operator is known. Default: those of `identity`. */
  readonly operatorRoots?: () => readonly string[]
  readonly operator: OperatorAddress
  readonly stateDirectory: string
  readonly clock: Clock
  /** Uniform in [0, 1). */
  readonly random: () => number
  readonly log: Log
  readonly signal: AbortSignal
}

/** Hostnames at once. A Gateway has at most 64 listeners; the rest are not asked for, and the log says so. */
export const MAX_SERVING_HOSTNAMES = 256

const FIRST_TRY = { baseMs: 250, maxMs: 10_000, minMs: 100 } as const

export function createServingCertificates(options: ServingCertificatesOptions): ServingCertificates {
  const { identity, credentials, operator, stateDirectory, clock, random, log, signal } = options
  const operatorRoots = options.operatorRoots ?? (() => identity.current().trustBundle)
  const wanted = new Map<string, AbortController>()
  const certificates = new Map<string, ServingCertificate>()
  const listeners = new Set<(certificate: ServingCertificate) => void>()

  function adopt(certificate: ServingCertificate): void {
    certificates.set(certificate.hostname, certificate)
    for (const listener of listeners) listener(certificate)
  }

  async function obtainFor(hostname: string, until: AbortSignal): Promise<ServingCertificate> {
    const self = identity.current()
    const { privateKey, answer, receivedAtMs } = await obtain(
      { profile: 'serving', hostname },
      {
        operator,
        credentials:
          credentials === undefined
            ? [{ kind: 'certificate', certificate: self }]
            : await credentialsFor(credentials, self.notAfterMs > clock.now() ? self : undefined),
        trustBundle: operatorRoots(),
        clock,
        signal: until,
      },
    )
    const parts = { hostname, privateKey, chain: answer.certificate, receivedAtMs }
    const certificate = createServingCertificate(parts, answer.trustBundle, clock.now())
    if (!certificate.ok) {
      throw new CertificateFetchError('bad-answer', certificate.issues.map(describeIssue).join('; '))
    }
    await saveServingCertificate(stateDirectory, certificate.value).catch((err: unknown) =>
      log.warn('serving certificate not saved', { err }),
    )
    return certificate.value
  }

  async function first(hostname: string, until: AbortSignal): Promise<ServingCertificate> {
    const kept = await loadServingCertificate(
      stateDirectory,
      hostname,
      identity.current().trustBundle,
      clock.now(),
    ).catch((err: unknown) => {
      log.warn('kept serving certificate cannot be read', { err })
      return undefined
    })
    if (kept !== undefined) return kept
    const backoff = createBackoff({ ...FIRST_TRY, random })
    for (;;) {
      try {
        return await obtainFor(hostname, until)
      } catch (err) {
        until.throwIfAborted()
        log.warn('no serving certificate yet', { err, 'url.domain': hostname })
        const askedMs = err instanceof CertificateFetchError ? (err.retryAfterMs ?? 0) : 0
        await sleep(clock, Math.min(Math.max(backoff.next(), askedMs), FIRST_TRY.maxMs), {
          signal: until,
          keepAlive: false,
        })
      }
    }
  }

  async function keep(hostname: string, until: AbortSignal): Promise<void> {
    const certificate = await first(hostname, until)
    until.throwIfAborted()
    adopt(certificate)
    const hurry = createHurry()
    // Another root signs: clients who trust the mesh's roots are to see a certificate of it before the old one is retired.
    const review = () => {
      const { trustedRoots } = identity.current()
      if (certificates.get(hostname)?.root !== trustedRoots[0]) hurry.within(REISSUE_WITHIN_MS)
    }
    const stop = identity.onChange(review)
    review()
    await keepRenewed({
      first: certificate,
      obtain: () => obtainFor(hostname, until),
      adopt(next) {
        hurry.done()
        if (!until.aborted) adopt(next)
        review()
      },
      hurry,
      clock,
      random,
      log,
      signal: until,
    }).finally(stop)
  }

  return {
    want(hostnames) {
      const now = new Set(hostnames)
      for (const [hostname, controller] of wanted) {
        if (now.has(hostname)) continue
        controller.abort()
        wanted.delete(hostname)
        certificates.delete(hostname)
      }
      for (const hostname of now) {
        if (wanted.has(hostname) || signal.aborted) continue
        if (wanted.size >= MAX_SERVING_HOSTNAMES) {
          log.warn('too many serving certificates', { 'url.domain': hostname })
          continue
        }
        const controller = new AbortController()
        wanted.set(hostname, controller)
        const until = AbortSignal.any([signal, controller.signal])
        keep(hostname, until).catch((err: unknown) => {
          if (!until.aborted) log.error('serving certificate given up', { err, 'url.domain': hostname })
        })
      }
    },
    get: (hostname) => certificates.get(hostname),
    areOf: (root) => [...certificates.values()].every((certificate) => certificate.root === root),
    onChange(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
  }
}
