import { createBackoff } from '../../runtime/backoff.ts'
import type { CancelTimer, Clock } from '../../runtime/clock.ts'

export interface WorkQueueOptions {
  /**
   * Brings what `key` names to where it should be, from the newest state. Never runs twice at once for one key. When it
   * rejects, the key comes again after a backoff of its own; a number is after how many milliseconds it should come again.
   */
  readonly work: (key: string, signal: AbortSignal) => Promise<void> | Promise<number | undefined>
  /** Called with each failure; `attempt` counts from 1 and begins anew after a success. */
  readonly onFailure?: (key: string, error: unknown, attempt: number) => void
  /** Called, once, when the queue is empty again after keys were refused: the owner adds everything anew. */
  readonly onOverflow?: () => void
  readonly clock: Clock
  /** Uniform in [0, 1). */
  readonly random: () => number
  /** Keys that are worked on at once. Default 4. */
  readonly concurrency?: number
  /** Upper bound of the first wait of a failed key, in milliseconds; doubled with each failure. Default 200. */
  readonly baseMs?: number
  /** Upper bound of every wait of a failed key, in milliseconds. Default 60,000. */
  readonly maxMs?: number
  /** Runs of `work` per second over all keys, and how many may go at once after a pause. Default 50 and 100. */
  readonly rate?: { readonly perSecond: number; readonly burst: number }
  /** Keys that wait, run or are to come again. Default 65,536. */
  readonly maxKeys?: number
  readonly signal: AbortSignal
}

/** Work by name: a key that is added ten times before its turn is worked on once. */
export interface WorkQueue {
  /** Takes a key, at once even when it is in a backoff: what it names has changed. False when the queue is full or has ended. */
  add(key: string): boolean
  /** Takes a key after some milliseconds, unless it comes up earlier. */
  addAfter(key: string, delayMs: number): boolean
  /** Forgets a key that waits. One that runs is not taken again. */
  remove(key: string): void
  /** Keys that wait, run or are to come again. */
  size(): number
  /** Resolves when nothing waits, runs or is to come again, and when the queue has ended. */
  idle(): Promise<void>
  /** Resolves when the signal has ended the queue and nothing runs any more. */
  readonly done: Promise<void>
}

/** A key that is known: it waits for its turn, or until a time, or is worked on. */
interface Entry {
  state: 'waiting' | 'delayed' | 'running'
  /** By monotonic time: when it is due, and for one that runs, when it is to come again. Infinity: not at all. */
  dueAtMs: number
  cancel: CancelTimer | undefined
}

const CONCURRENCY = 4
const BASE_MS = 200
const MAX_MS = 60_000
const RATE = { perSecond: 50, burst: 100 }
const MAX_KEYS = 65_536

/** Of every wait of a failed key, in milliseconds: full jitter may come to nothing. */
const MIN_MS = 20

export function createWorkQueue(options: WorkQueueOptions): WorkQueue {
  const { work, onFailure, onOverflow, clock, random, signal } = options
  const { concurrency = CONCURRENCY, baseMs = BASE_MS, maxMs = MAX_MS, rate = RATE, maxKeys = MAX_KEYS } = options
  const entries = new Map<string, Entry>()
  const failures = new Map<string, ReturnType<typeof createBackoff>>()
  const turns = new Set<string>()
  /** Keys that run and were removed meanwhile. */
  const forgotten = new Set<string>()
  const tokens = createTokens(clock, rate)
  const idlers = new Set<() => void>()
  const { promise: done, resolve: end } = Promise.withResolvers<void>()
  let running = 0
  let overflowed = false
  let cancelTurn: CancelTimer | undefined

  const rest = () => {
    if (running > 0 || (entries.size > 0 && !signal.aborted)) return
    if (overflowed && !signal.aborted) {
      overflowed = false
      onOverflow?.()
      if (entries.size > 0) return
    }
    for (const resolve of idlers) resolve()
    idlers.clear()
    if (signal.aborted) end()
  }

  /** Sees to it that the key comes up at `dueAtMs`, or when it is due anyway. */
  const schedule = (key: string, entry: Entry, dueAtMs: number) => {
    if (entry.state === 'waiting' || dueAtMs >= entry.dueAtMs) return
    entry.dueAtMs = dueAtMs
    if (entry.state === 'running') return
    entry.cancel?.()
    const delayMs = dueAtMs - clock.monotonic()
    const take = () => {
      entry.cancel = undefined
      entry.state = 'waiting'
      turns.add(key)
      next()
    }
    if (delayMs <= 0) take()
    else entry.cancel = clock.setTimer(delayMs, take, { keepAlive: false })
  }

  const next = () => {
    while (!signal.aborted && running < concurrency && cancelTurn === undefined) {
      const key = turns.values().next().value
      if (key === undefined) return
      const waitMs = tokens.take()
      if (waitMs > 0) {
        const resume = () => {
          cancelTurn = undefined
          next()
        }
        cancelTurn = clock.setTimer(waitMs, resume, { keepAlive: false })
        return
      }
      turns.delete(key)
      void run(key, entries.get(key)!)
    }
  }

  const run = async (key: string, entry: Entry) => {
    running += 1
    entry.state = 'running'
    entry.dueAtMs = Number.POSITIVE_INFINITY
    let againAfterMs = Number.POSITIVE_INFINITY
    try {
      againAfterMs = (await work(key, signal)) ?? Number.POSITIVE_INFINITY
      failures.delete(key)
    } catch (error) {
      const backoff = failures.get(key) ?? createBackoff({ baseMs, maxMs, minMs: Math.min(MIN_MS, maxMs), random })
      failures.set(key, backoff)
      againAfterMs = backoff.next()
      if (!signal.aborted) onFailure?.(key, error, backoff.attempts)
    }
    running -= 1
    const isWanted = !forgotten.delete(key) || entry.dueAtMs < Number.POSITIVE_INFINITY
    const dueAtMs = Math.min(entry.dueAtMs, clock.monotonic() + againAfterMs)
    if (isWanted && dueAtMs < Number.POSITIVE_INFINITY && !signal.aborted) {
      entry.state = 'delayed'
      entry.dueAtMs = Number.POSITIVE_INFINITY
      schedule(key, entry, dueAtMs)
    } else {
      entries.delete(key)
      failures.delete(key)
    }
    next()
    rest()
  }

  const add = (key: string, delayMs: number): boolean => {
    if (signal.aborted) return false
    let entry = entries.get(key)
    if (entry === undefined && entries.size >= maxKeys) {
      overflowed = true
      return false
    }
    entry ??= { state: 'delayed', dueAtMs: Number.POSITIVE_INFINITY, cancel: undefined }
    entries.set(key, entry)
    schedule(key, entry, clock.monotonic() + Math.max(0, delayMs))
    return true
  }

  const onAbort = () => {
    cancelTurn?.()
    for (const [key, entry] of entries) {
      entry.cancel?.()
      if (entry.state !== 'running') entries.delete(key)
    }
    turns.clear()
    failures.clear()
    rest()
  }
  if (signal.aborted) onAbort()
  else signal.addEventListener('abort', onAbort, { once: true })

  return {
    add: (key) => add(key, 0),
    addAfter: add,
    remove(key) {
      const entry = entries.get(key)
      if (entry === undefined) return
      entry.cancel?.()
      entry.dueAtMs = Number.POSITIVE_INFINITY
      if (entry.state === 'running') {
        forgotten.add(key)
        return
      }
      entries.delete(key)
      turns.delete(key)
      failures.delete(key)
      rest()
    },
    size: () => entries.size,
    idle() {
      return new Promise((resolve) => {
        idlers.add(resolve)
        rest()
      })
    },
    done,
  }
}

/** A bucket of tokens (RFC 2697 has one like it): `take` gives 0 and takes one, or how many whole milliseconds to wait for one. */
function createTokens(clock: Clock, { perSecond, burst }: { readonly perSecond: number; readonly burst: number }) {
  let tokens = burst
  let at = clock.monotonic()
  return {
    take(): number {
      const now = clock.monotonic()
      tokens = Math.min(burst, tokens + ((now - at) * perSecond) / 1_000)
      at = now
      if (tokens >= 1) {
        tokens -= 1
        return 0
      }
      // Rounded up: a wait that ends a trace too early would be followed by one too short to pass.
      return Math.ceil(((1 - tokens) * 1_000) / perSecond)
    },
  }
}
