import { createBackoff } from '../../runtime/backoff.ts'
import { type Clock, sleep } from '../../runtime/clock.ts'
import type { Log } from '../../runtime/log.ts'
import { CertificateFetchError } from './fetch-certificate.ts'
import type { Hurry } from './hurry.ts'
import type { KeyedCertificate } from './identity.ts'

type Lifetime = Pick<KeyedCertificate, 'receivedAtMs' | 'notAfterMs'>

export interface RenewalOptions<T extends Lifetime> {
  readonly first: T
  /** Gets the next one. May fail; it is called again. */
  obtain(): Promise<T>
  /** Puts the next one to use. */
  adopt(next: T): void | Promise<void>
  /** Called once each time that the end comes before the next one did. Trying goes on. */
  onExpired?(): void
  /** Whether nobody believes the certificate any more, whatever its end is: then it is as if it had come. */
  isVoid?(): boolean
  /** Brings the next one forward. */
  readonly hurry?: Hurry
  readonly clock: Clock
  /** Uniform in [0, 1). */
  readonly random: () => number
  readonly log: Log
  readonly signal: AbortSignal
}

/**
 * Milliseconds that pass at most before the clocks are compared again: a laptop that slept through the renewal, or a
 * clock that was set, is noticed within these.
 */
const MAX_SLEEP_MS = 60_000

const RETRY = { baseMs: 1_000, maxMs: 30_000, minMs: 250 } as const
/** Nothing works without a certificate, so an operator that is back must be found soon (F03: healthy within 15 s). */
const MAX_RETRY_WHEN_EXPIRED_MS = 5_000

/**
 * Replaces a certificate at 50 % of its life, give or take a tenth of it so that a thousand sidecars do not come at
 * once; where that fails, tries again to the very end and beyond (F03). Resolves when the signal aborts.
 */
export async function keepRenewed<T extends Lifetime>(options: RenewalOptions<T>): Promise<void> {
  const { random, signal } = options
  let current = options.first
  try {
    for (;;) {
      const { receivedAtMs, notAfterMs } = current
      await sleepUntil(receivedAtMs + (notAfterMs - receivedAtMs) * (0.4 + 0.2 * random()), notAfterMs, options)
      current = await retryUntilObtained(current, options)
      await options.adopt(current)
    }
  } catch (error) {
    if (!signal.aborted) throw error
  }
}

async function retryUntilObtained<T extends Lifetime>(current: T, options: RenewalOptions<T>): Promise<T> {
  const { clock, random, log, signal } = options
  const backoff = createBackoff({ ...RETRY, random })
  let hasExpired = false
  for (;;) {
    try {
      return await options.obtain()
    } catch (err) {
      signal.throwIfAborted()
      const leftMs = options.isVoid?.() === true ? 0 : current.notAfterMs - clock.now()
      if (leftMs <= 0 && !hasExpired) {
        hasExpired = true
        log.error('certificate of no use any more', { err })
        options.onExpired?.()
      }
      const waitMs = waitBeforeRetry(backoff.next(), err, leftMs)
      log.warn('certificate not renewed', { err, 'event.retry_ms': Math.round(waitMs) })
      await sleep(clock, waitMs, { signal, keepAlive: false })
    }
  }
}

/** What the operator asked for or the backoff says, but always soon enough for some more attempts before the end. */
function waitBeforeRetry(backoffMs: number, failure: unknown, leftMs: number): number {
  const askedMs = failure instanceof CertificateFetchError ? (failure.retryAfterMs ?? 0) : 0
  if (leftMs <= 0) return Math.min(Math.max(backoffMs, askedMs), MAX_RETRY_WHEN_EXPIRED_MS)
  return Math.max(RETRY.minMs, Math.min(Math.max(backoffMs, askedMs), leftMs / 4))
}

/**
 * Until the wall clock shows `dueMs` or as much time as that has passed, whichever is first: clocks are set both ways. Or
 * until somebody is in a hurry; but whoever has a short life anyway is not asked to renew all the time.
 */
async function sleepUntil<T extends Lifetime>(
  dueMs: number,
  notAfterMs: number,
  { clock, random, signal, hurry }: RenewalOptions<T>,
): Promise<void> {
  let monotonicDueMs = clock.monotonic() + (dueMs - clock.now())
  let wake = new AbortController()
  const stop = hurry?.onHurry((ms) => {
    const withinMs = Math.min(ms, Math.max(0, notAfterMs - clock.now()) / 4)
    monotonicDueMs = Math.min(monotonicDueMs, clock.monotonic() + random() * withinMs)
    wake.abort()
  })
  try {
    for (;;) {
      const leftMs = Math.min(dueMs - clock.now(), monotonicDueMs - clock.monotonic())
      if (leftMs <= 0) return signal.throwIfAborted()
      wake = new AbortController()
      const either = AbortSignal.any([signal, wake.signal])
      await sleep(clock, Math.min(leftMs, MAX_SLEEP_MS), { signal: either, keepAlive: false }).catch(() => {})
      signal.throwIfAborted()
    }
  } finally {
    stop?.()
  }
}
