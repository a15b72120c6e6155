import type { Worker } from 'node:worker_threads'
import { type Backoff, createBackoff } from '../../runtime/backoff.ts'
import type { CancelTimer, Clock } from '../../runtime/clock.ts'
import type { MetricsSnapshot } from '../../runtime/metrics.ts'
import type { Answers, FromWorker, Question, ToWorker } from './messages.ts'

/** What came of a question. `gone`: nobody is there, or died over it. */
export type Outcome<Answer> =
  | { readonly kind: 'answer'; readonly answer: Answer }
  | { readonly kind: 'failed'; readonly reason: string }
  | { readonly kind: 'late' }
  | { readonly kind: 'gone' }

/** Milliseconds between the death of a worker and the next in its place; from the second in a row on longer. */
const REPLACE = { baseMs: 200, maxMs: 30_000, minMs: 100 } as const

/** The place of one worker, whoever is in it. */
export class Slot {
  readonly worker: number
  /** Undefined between two. */
  thread: Worker | undefined
  readonly backoff: Backoff
  cancelBirth: CancelTimer | undefined
  /** What it said last. */
  metrics: MetricsSnapshot | undefined
  /** Whether the one that is there has not answered yet. */
  begins = false
  /** Whether there ever was one that obeyed. */
  hasServed = false
  readonly #clock: Clock
  /** Those that wait for an answer, each for a limited time. */
  readonly #asked = new Map<number, (outcome: Outcome<unknown>) => void>()
  #nextId = 0

  constructor(worker: number, clock: Clock, random: () => number) {
    this.worker = worker
    this.#clock = clock
    this.backoff = createBackoff({ ...REPLACE, random })
  }

  /** Nobody hears it where there is nobody: whoever comes is told the newest. */
  post(message: ToWorker): void {
    this.thread?.postMessage(message)
  }

  ask<What extends keyof Answers>(
    question: Extract<Question, { readonly what: What }>,
    withinMs: number,
  ): Promise<Outcome<Answers[What]>> {
    if (this.thread === undefined) return Promise.resolve({ kind: 'gone' })
    const id = this.#nextId++
    return new Promise((resolve) => {
      const cancel = this.#clock.setTimer(withinMs, () => this.#settle(id, { kind: 'late' }))
      this.#asked.set(id, (outcome) => {
        cancel()
        resolve(outcome as Outcome<Answers[What]>)
      })
      this.post({ kind: 'question', id, question })
    })
  }

  hear(message: Extract<FromWorker, { readonly kind: 'answer' | 'failed' }>): void {
    this.#settle(message.id, message)
  }

  /** The thread has ended. */
  vacate(): void {
    this.thread = undefined
    for (const id of [...this.#asked.keys()]) this.#settle(id, { kind: 'gone' })
  }

  #settle(id: number, outcome: Outcome<unknown>): void {
    const settle = this.#asked.get(id)
    this.#asked.delete(id)
    settle?.(outcome)
  }
}
