import { createBackoff } from '../../runtime/backoff.ts'
import { type Clock, sleep } from '../../runtime/clock.ts'
import type { Log } from '../../runtime/log.ts'
import { KubernetesError } from '../kubernetes/errors.ts'

/**
 * Does what nothing else can begin without, and does it again while the API server cannot: it is away, or busy, or has not
 * heard of our kinds and rights yet. Rejects with whatever else goes wrong, and with the signal's reason when it ends.
 */
export type Persist = <T>(what: string, work: (signal: AbortSignal) => Promise<T>) => Promise<T>

const FIRST_RETRY_MS = 250
const MAX_RETRY_MS = 5_000

export function createPersist(options: {
  readonly clock: Clock
  /** Uniform in [0, 1). */
  readonly random: () => number
  readonly log: Log
  readonly signal: AbortSignal
}): Persist {
  const { clock, random, log, signal } = options
  return async (what, work) => {
    const backoff = createBackoff({ baseMs: FIRST_RETRY_MS, maxMs: MAX_RETRY_MS, minMs: 50, random })
    for (;;) {
      try {
        return await work(signal)
      } catch (err) {
        if (signal.aborted) throw signal.reason
        if (!(err instanceof KubernetesError) || !mayPass(err)) throw err
        log.warn('the API server cannot do it yet', { err, 'hauberk.what': what })
      }
      await sleep(clock, backoff.next(), { signal })
    }
  }
}

/** Rights and definitions come with the very release that this operator came with, and may come later. */
function mayPass({ status }: KubernetesError): boolean {
  return status === 0 || status === 403 || status === 404 || status === 429 || status >= 500
}
