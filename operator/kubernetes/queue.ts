import type { Clock } from '../../runtime/clock.ts'

export interface WorkQueueOptions {
  /**
   * Brings what `key` names to where it should be, from the newest state. Never runs twice at once for one key. When it
   * rejects, the key comes again after a backoff of its own; a number is after how many milliseconds it should come again.
   */
  readonly work: (key: string, signal: AbortSignal) => Promise<void> | Promise<number | undefined>
  /** Called with each failure. */
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
  /** Upper bound of every wait, in milliseconds. Default 60,000. */
  readonly maxMs?: number
  /** Runs of `work` per second over all keys, and how many may go at once after a pause. Default 50 and 100. */
  readonly rate?: { readonly perSecond: number; readonly burst: number }
  /** Keys that wait or run. Default 65,536. */
  readonly maxKeys?: number
  readonly signal: AbortSignal
}

/** Work by name: a key that is added ten times before its turn is worked on once. */
export interface WorkQueue {
  /** Takes a key, ending its backoff. False when the queue is full or has ended. */
  add(key: string): boolean
  /** Takes a key after some milliseconds, unless it comes up earlier. */
  addAfter(key: string, delayMs: number): boolean
  /** Forgets a key that waits. One that runs is not taken again. */
  remove(key: string): void
  /** Keys that wait, run, or are to come again. */
  size(): number
  /** Resolves when nothing is waiting, running or to come again. */
  idle(): Promise<void>
  /** Resolves when the signal has ended the queue and nothing runs any more. */
  readonly done: Promise<void>
}

export declare function createWorkQueue(options: WorkQueueOptions): WorkQueue
