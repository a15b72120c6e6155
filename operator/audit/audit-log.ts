import type { CancelTimer, Clock } from '../../runtime/clock.ts'
import type { Log } from '../../runtime/log.ts'
import type { Metrics } from '../../runtime/metrics.ts'
import type { Audit, AuditEvent } from './audit.ts'
import { type ChainEnd, chained, endWith, newChain } from './record.ts'

/** Events that wait to be written. Beyond, they are lost, and the next record says how many were. */
export const MAX_QUEUED_EVENTS = 10_000

/** Events that are written at once. */
const MAX_BATCH = 500

/** Milliseconds until what could not be written is tried again. */
const RETRY_MS = 1_000

/** Where records go for good. */
export interface AuditStore {
  /** What is there already. Asked before the first record, and again after a write that failed. */
  open(): Promise<AuditTail>
  /** Resolves once all of these lines are there to stay; rejects when they may not be. */
  append(lines: string): Promise<void>
}

/** How what is there ends. */
export interface AuditTail {
  /** The chain that goes on. Undefined: there is nothing, or nothing that can be read. */
  readonly end: ChainEnd | undefined
  /** A last record that was not written to its end: the process was killed, or the machine lost power. */
  readonly cut?: CutRecord
}

/** The next record says this of the one that was cut, so that nobody can put another one in its place. */
export interface CutRecord {
  readonly bytes: number
  /** Lower-case hex. */
  readonly sha256: string
}

export interface AuditLog extends Audit {
  /** Where the chain ends: what was written. Undefined: nothing was yet. */
  end(): ChainEnd | undefined
  /** Writes what waits, once; what cannot be written then is lost. */
  close(): Promise<void>
}

export interface AuditLogOptions {
  readonly store: AuditStore
  /** Of a chain that begins here. */
  readonly name: string
  /** Given every line that was written, where somebody ships it away. */
  readonly copy?: (line: string) => void
  /** Default: {@link MAX_QUEUED_EVENTS}. */
  readonly maxQueued?: number
  readonly clock: Clock
  readonly log: Log
  readonly metrics: Metrics
}

/**
 * Writes events as one chain of records, in the order in which they came. Whoever tells an event never waits: events gather while
 * the disk is slow or full, up to a bound (F11), and a record is tied to the one before it only when that one is there, so that what
 * was lost leaves no gap in the chain but a number in it.
 */
export function createAuditLog(options: AuditLogOptions): AuditLog {
  const { store, name, copy, maxQueued = MAX_QUEUED_EVENTS, clock, log, metrics } = options
  const written = metrics
    .counter({ name: 'hauberk_audit_records_total', help: 'Records of the audit log that were written.' })
    .handle()
  const losses = metrics
    .counter({ name: 'hauberk_audit_events_lost_total', help: 'Events that the audit log has no record of.' })
    .handle()
  let end: ChainEnd | undefined
  let isOpen = false
  let cut: CutRecord | undefined
  let queue: { readonly event: AuditEvent; readonly timeMs: number }[] = []
  /** Since the last record that was written. */
  let lost = 0
  let writing: Promise<void> | undefined
  let cancelRetry: CancelTimer | undefined
  let isFailing = false

  const open = async (): Promise<void> => {
    const tail = await store.open()
    end = tail.end ?? newChain(name, clock.now())
    cut = tail.cut
    isOpen = true
  }

  const writeBatch = async (): Promise<void> => {
    if (!isOpen) await open()
    const batch = queue.slice(0, MAX_BATCH)
    const lostBefore = lost
    const notes = { ...(cut && saying(cut)), ...(lostBefore > 0 && { 'hauberk.audit.lost': lostBefore }) }
    let next = end!
    const lines: string[] = []
    for (const [i, { event, timeMs }] of batch.entries()) {
      const told = i === 0 ? { ...event, fields: { ...event.fields, ...notes } } : event
      const record = chained(told, timeMs, next)
      next = endWith(record)
      lines.push(`${JSON.stringify(record)}\n`)
    }
    // Until it is known to be there, nobody knows what is.
    isOpen = false
    await store.append(lines.join(''))
    isOpen = true
    cut = undefined
    end = next
    queue = queue.slice(batch.length)
    lost -= lostBefore
    written.add(batch.length)
    if (copy !== undefined) for (const line of lines) copy(line)
  }

  const writeAll = async (): Promise<void> => {
    try {
      while (queue.length > 0) await writeBatch()
      if (isFailing) log.info('the audit log is written again', { 'hauberk.audit.chain': end?.chain })
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
      if (queue.length >= maxQueued) {
        lost += 1
        losses.add()
        return
      }
      queue.push({ event, timeMs: clock.now() })
      start()
    },
    end: () => (end === undefined || end.sequence === 0 ? undefined : end),
    async close() {
      stopRetry()
      await writing
      stopRetry()
      if (queue.length > 0) await writeAll()
      losses.add(queue.length)
      queue = []
    },
  }
}

function saying({ bytes, sha256 }: CutRecord): AuditEvent['fields'] {
  return { 'hauberk.audit.cut_bytes': bytes, 'hauberk.audit.cut_sha256': sha256 }
}
