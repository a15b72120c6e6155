import { type Clock, sleep } from '../../runtime/clock.ts'
import type { Log } from '../../runtime/log.ts'
import type { Metrics } from '../../runtime/metrics.ts'
import type { KubernetesClient } from './client.ts'
import { isAlreadyExists, isConflict, isNotFound, KubernetesError } from './errors.ts'
import { type Lease, leaseObject, readLease } from './lease.ts'
import { resourcePath } from './path.ts'

/** Who leads, as the Lease says. */
export interface LeaseHolder {
  readonly identity: string
  /** The annotations of the Lease: the holder's own words, such as its address. */
  readonly annotations: Readonly<Record<string, string>>
}

/** What leading means while it lasts. */
export interface Leadership {
  /** Aborts at the renew deadline, which is before the lease can end, and when the election ends. All work must stop then. */
  readonly signal: AbortSignal
  /**
   * Whether it is before the renew deadline, by monotonic time. A process that was frozen asks this before it acts: its
   * timers may not have run yet.
   */
  isHeld(): boolean
}

export interface LeaderElectionOptions {
  readonly client: KubernetesClient
  readonly namespace: string
  /** Of the Lease. */
  readonly name: string
  /** Of this candidate; unique (a pod's name and uid). */
  readonly identity: string
  /** Written to the Lease by whoever leads. Candidates write the same keys. */
  readonly annotations?: Readonly<Record<string, string>>
  /**
   * Runs while this candidate leads, and ends soon after its signal aborts. When it ends by itself, or rejects, the lease
   * is given back and contended for again.
   */
  readonly onLeading: (leadership: Leadership) => Promise<void>
  /** Called with each change of holder that is seen (undefined: nobody), also when it is this candidate. */
  readonly onObserved?: (holder: LeaseHolder | undefined) => void
  readonly clock: Clock
  /** Uniform in [0, 1). */
  readonly random: () => number
  readonly log: Log
  readonly metrics?: Metrics
  /** How long others leave the lease alone after a renewal, in milliseconds; whole seconds. Default 15,000. */
  readonly leaseDurationMs?: number
  /** How long after its last renewal a leader works on, in milliseconds. Default 10,000. */
  readonly renewDeadlineMs?: number
  /** Between two looks or renewals, in milliseconds; followers take up to a fifth more. Default 2,000. */
  readonly retryMs?: number
  /** Ends it: the work is stopped, then the lease is given back, so that another one takes it at once. */
  readonly signal: AbortSignal
}

const LEASE_DURATION_MS = 15_000
const RENEW_DEADLINE_MS = 10_000
const RETRY_MS = 2_000

/** One request may take this long, in milliseconds: less than what is between two renewals and the deadline. */
const REQUEST_TIMEOUT_MS = 4_000

/** A lease whose record asks for more than this is not waited for longer, in milliseconds: somebody wrote nonsense. */
const MAX_LEASE_DURATION_MS = 60_000

/**
 * Leads when nobody else does, by a Lease (coordination.k8s.io/v1). Resolves when the signal has ended it and the lease is
 * given back; never rejects for what the API server does.
 *
 * Clocks of candidates need not agree: a lease has ended when its record has not changed for its duration by the local
 * monotonic time. The leader counts from before it sent its last renewal, so that its deadline is the earlier one on
 * every clock.
 */
export async function runLeaderElection(options: LeaderElectionOptions): Promise<void> {
  const { client, namespace, name, identity, annotations = {}, onLeading, onObserved, clock, random, log } = options
  const {
    signal,
    leaseDurationMs = LEASE_DURATION_MS,
    renewDeadlineMs = RENEW_DEADLINE_MS,
    retryMs = RETRY_MS,
  } = options
  if (!(retryMs < renewDeadlineMs && renewDeadlineMs < leaseDurationMs)) {
    throw new RangeError('retry, renew deadline and lease duration are not in this order')
  }
  const counters = electionCounters(options.metrics)
  const collection = resourcePath({ apiVersion: 'coordination.k8s.io/v1', plural: 'leases', namespace })
  const path = resourcePath({ apiVersion: 'coordination.k8s.io/v1', plural: 'leases', namespace, name })

  /** What was seen last, and when, by monotonic time, it was first seen so. */
  let seen: { readonly lease: Lease; readonly sinceMs: number } | undefined
  let told: string | undefined

  const observe = (lease: Lease) => {
    if (seen === undefined || seen.lease.record !== lease.record) seen = { lease, sinceMs: clock.monotonic() }
    else seen = { lease, sinceMs: seen.sinceMs }
    tell(lease.holder === '' ? undefined : { identity: lease.holder, annotations: lease.annotations })
  }

  const tell = (holder: LeaseHolder | undefined) => {
    const text = JSON.stringify(holder) ?? ''
    if (text === told) return
    told = text
    onObserved?.(holder)
  }

  const write = async (lease: Lease | undefined, holder: string, timeoutMs: number) => {
    const durationMs = holder === '' ? 1_000 : leaseDurationMs
    const next = { namespace, name, holder, annotations, durationMs, nowMs: clock.now() }
    const body = leaseObject(next, lease)
    const request =
      lease === undefined ? ({ method: 'POST', path: collection } as const) : ({ method: 'PUT', path } as const)
    observe(readLease(await client.request({ ...request, body, timeoutMs })))
  }

  const look = async (timeoutMs: number): Promise<Lease | undefined> => {
    try {
      const lease = readLease(await client.request({ path, timeoutMs, signal }))
      observe(lease)
      return lease
    } catch (error) {
      if (!isNotFound(error)) throw error
      // Somebody deleted it under a leader, who does not know: what was seen of it still holds for its time.
      if (clock.monotonic() >= endOfLease()) tell(undefined)
      return undefined
    }
  }

  /** When the lease that was seen can be taken, by monotonic time. */
  const endOfLease = (): number => {
    if (seen === undefined || seen.lease.holder === '' || seen.lease.holder === identity) return 0
    return seen.sinceMs + Math.min(Math.max(seen.lease.durationMs, 1_000), MAX_LEASE_DURATION_MS)
  }

  /** Takes the lease when it can be taken. Gives when, by monotonic time, the request was sent; undefined when it is another's. */
  const take = async (): Promise<number | undefined> => {
    const lease = await look(REQUEST_TIMEOUT_MS)
    if (clock.monotonic() < endOfLease()) return undefined
    const sentAtMs = clock.monotonic()
    await write(lease, identity, REQUEST_TIMEOUT_MS)
    return sentAtMs
  }

  /** Leads from a lease that was taken at `takenAtMs` on. Resolves when the work has ended. */
  const lead = async (takenAtMs: number) => {
    const over = new AbortController()
    let renewedAtMs = takenAtMs
    const deadline = () => renewedAtMs + renewDeadlineMs
    const isHeld = () => !over.signal.aborted && clock.monotonic() < deadline()
    let cancelLate = () => {}
    const stop = (reason: string) => {
      if (over.signal.aborted) return
      over.abort(new Error(reason))
      cancelLate = clock.setTimer(renewedAtMs + leaseDurationMs - clock.monotonic(), () =>
        log.error('the work of a leader goes on although its lease may have ended'),
      )
    }
    const onEnd = () => stop('the election ends')
    if (signal.aborted) onEnd()
    signal.addEventListener('abort', onEnd, { once: true })
    log.info('this replica leads now')
    counters.lead(true)

    let cancel = () => {}
    const watchDeadline = () => {
      cancel = clock.setTimer(deadline() - clock.monotonic(), () => {
        if (clock.monotonic() < deadline()) watchDeadline()
        else stop('the lease was not renewed in time')
      })
    }
    watchDeadline()

    const renewing = renew()
    try {
      await onLeading({ signal: over.signal, isHeld })
    } catch (err) {
      if (!over.signal.aborted) log.error('leading failed', { err })
    }
    stop('the work has ended')
    cancel()
    signal.removeEventListener('abort', onEnd)
    await renewing
    cancelLate()
    counters.lead(false)
    log.info('this replica leads no more', { 'event.reason': (over.signal.reason as Error).message })

    async function renew(): Promise<void> {
      while (!over.signal.aborted) {
        await sleep(clock, retryMs, { signal: over.signal }).catch(() => {})
        if (over.signal.aborted) return
        const sentAtMs = clock.monotonic()
        const leftMs = deadline() - sentAtMs
        // Frozen for long: the timer of the deadline is late too.
        if (leftMs <= 0) return stop('the lease was not renewed in time')
        try {
          await refresh(Math.min(REQUEST_TIMEOUT_MS, leftMs))
          // A renewal that is answered after the deadline is not one: by then the work has been told to stop.
          if (isHeld()) renewedAtMs = sentAtMs
        } catch (error) {
          counters.failed()
          if (error instanceof LeaseLost) stop('another replica took the lease')
          else log.warn('the lease could not be renewed', { err: error })
        }
      }
    }
  }

  /** Renews with what is known of the lease; where that is out of date, after a look at it. */
  const refresh = async (timeoutMs: number) => {
    try {
      await write(seen?.lease, identity, timeoutMs)
    } catch (error) {
      if (!isConflict(error) && !isNotFound(error) && !isAlreadyExists(error)) throw error
      const lease = await look(timeoutMs)
      if (lease !== undefined && lease.holder !== identity) throw new LeaseLost()
      await write(lease, identity, timeoutMs)
    }
  }

  /** Tries to give back a lease that is ours. What fails is made good by time. */
  const giveBack = async () => {
    if (seen?.lease.holder !== identity) return
    await write(seen.lease, '', REQUEST_TIMEOUT_MS).catch((err: unknown) => {
      if (!isConflict(err)) log.warn('the lease could not be given back', { err })
    })
  }

  while (!signal.aborted) {
    let waitMs = retryMs * (1 + random() / 5)
    try {
      const takenAtMs = await take()
      if (takenAtMs === undefined) {
        // Not a retry later than it ends: followers would then take turns in being late.
        const leftMs = endOfLease() - clock.monotonic()
        if (leftMs < waitMs) waitMs = Math.max(leftMs, 0) + random() * (retryMs / 10)
      } else {
        if (!signal.aborted) await lead(takenAtMs)
        await giveBack()
      }
    } catch (error) {
      if (signal.aborted) break
      // Two took it at once, and the other one was faster.
      if (!isConflict(error) && !isAlreadyExists(error)) {
        counters.failed()
        log.warn('the lease could not be looked at', { err: error })
        const askedMs = error instanceof KubernetesError ? (error.retryAfterMs ?? 0) : 0
        waitMs = Math.max(waitMs, Math.min(askedMs, leaseDurationMs))
      }
    }
    await sleep(clock, waitMs, { signal }).catch(() => {})
  }
}

/** Another candidate has the lease now. */
class LeaseLost extends Error {
  override readonly name = 'LeaseLost'
}

interface ElectionCounters {
  lead(isLeading: boolean): void
  failed(): void
}

function electionCounters(metrics: Metrics | undefined): ElectionCounters {
  const leading = metrics?.gauge({ name: 'hauberk_leader', help: '1 while this replica leads, else 0.' }).handle()
  const transitions = metrics
    ?.counter({ name: 'hauberk_leader_terms_total', help: 'How often this replica began to lead.' })
    .handle()
  const failures = metrics
    ?.counter({
      name: 'hauberk_lease_failures_total',
      help: 'Looks at the Lease of the leader, and renewals of it, that failed.',
    })
    .handle()
  return {
    lead(isLeading) {
      leading?.set(isLeading ? 1 : 0)
      if (isLeading) transitions?.add()
    },
    failed: () => failures?.add(),
  }
}
