import type { CancelTimer, Clock } from '../../runtime/clock.ts'
import type { Log } from '../../runtime/log.ts'
import type { Metrics } from '../../runtime/metrics.ts'
import type { Audit, AuditEvent } from './audit.ts'
import { type ChainEnd, chained } from './record.ts'

/** Events that wait to be written. Beyond, they are lost, and the next record says how many were. */
export const MAX_QUEUED_EVENTS = 10_000

/** Events that are written at once. */
const MAX_BATCH = 500

/** Milliseconds until what could not be written is tried again. */
const RETRY_MS = 1_000

/** Where records go for good. */
export interface AuditSink {
  /** Resolves once all of these lines are there; rejects when none of them is. */
  append(lines: string): Promise<void>
}

export interface AuditLog extends Audit {
  /** Where the chain ends: what was written. */
  end(): ChainEnd
  /** Writes what waits, once; what cannot be written then is lost. */
  close(): Promise<void>
}

export interface AuditLogOptions {
  readonly sink: AuditSink
  /** That the first record follows. */
  readonly end: ChainEnd
  readonly clock: Clock
  readonly log: Log
  readonly metrics: Metrics
}

/**
 * Writes events as one chain of records, in the order in which they came. Whoever tells an event never waits: events gather while
 * the disk is slow or full, up to a bound (F11), and a record is tied to the one before it only when that one is there, so that what
 * was lost leaves no gap in the chain but a number in it.
 */
export function createAuditLog({ sink, clock, log, metrics, ...options }: AuditLogOptions): AuditLog {
  const written = metrics
    .counter({ name: 'hauberk_audit_records_total', help: 'Records of the audit log that were written.' })
    .handle()
  const losses = metrics
    .counter({ name: 'hauberk_audit_events_lost_total', help: 'Events that the audit log has no record of.' })
    .handle()
  let end = options.end
  let queue: { readonly event: AuditEvent; readonly timeMs: number }[] = []
  /** Since the last record that was written. */
  let lost = 0
  let writing: Promise<void> | undefined
  let cancelRetry: CancelTimer | undefined
  let isFailing = false

  const writeBatch = async (): Promise<void> => {
    const batch = queue.slice(0, MAX_BATCH)
    const lostBefore = lost
    let next = end
    let lines = ''
    for (const [i, { event, timeMs }] of batch.entries()) {
      const told = i === 0 && lostBefore > 0 ? { ...event, fields: { ...event.fields, ...saying(lostBefore) } } : event
      const record = chained(told, timeMs, next)
      next = { chain: next.chain, sequence: record['event.sequence'], hash: record['event.hash'] }
      lines += `${JSON.stringify(record)}\n`
    }
    await sink.append(lines)
    end = next
    queue = queue.slice(batch.length)
    lost -= lostBefore
    written.add(batch.length)
  }

  const writeAll = async (): Promise<void> => {
    try {
      while (queue.length > 0) await writeBatch()
      if (isFailing) log.info('the audit log is written again', { 'hauberk.audit.chain': end.chain })
      isFailing = false
    } catch (err) {
      if (!isFailing) log.error('the audit log cannot be written, events are kept for later', { err })
      isFailing = true
    }
  }

  const start = (): void => {
    if (writing !== undefined || cancelRetry !== undefined) return
    writing = Promise.resolve()
      .then(writeAll)
      .then(() => {
        writing = undefined
        if (queue.length === 0) return
        const retry = () => {
          cancelRetry = undefined
          start()
        }
        cancelRetry = clock.setTimer(isFailing ? RETRY_MS : 0, retry, { keepAlive: false })
      })
  }

  const stopRetry = () => {
    cancelRetry?.()
    cancelRetry = undefined
  }

  return {
    record(event) {
      if (queue.length >= MAX_QUEUED_EVENTS) {
        lost += 1
        losses.add()
        return
      }
      queue.push({ event, timeMs: clock.now() })
      start()
    },
    end: () => end,
    async close() {
      stopRetry()
      await writing
      stopRetry()
      if (queue.length > 0) await writeAll()
      losses.add(queue.length)
    },
  }
}

function saying(lost: number): AuditEvent['fields'] {
  return { 'hauberk.audit.lost': lost }
}
