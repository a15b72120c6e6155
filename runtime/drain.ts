import { type Clock, sleep } from './clock.ts'
import type { Log } from './log.ts'

/** One thing that has to happen before the process may end. The signal aborts when time is up: then be quick and rude. */
export type DrainStep = (signal: AbortSignal) => void | Promise<void>

/** How a step went: `late` did not finish before the deadline and was left behind. */
export interface DrainOutcome {
  readonly name: string
  readonly outcome: 'done' | 'failed' | 'late'
  readonly ms: number
}

/** How a drain went. */
export interface DrainReport {
  readonly reason: string
  readonly steps: readonly DrainOutcome[]
  /** Whether every step was done in time. */
  readonly clean: boolean
}

/** What it takes to end a process in order. */
export interface DrainOptions {
  readonly clock: Clock
  readonly log: Log
  /** Milliseconds that all steps have together. Default 25,000: Kubernetes kills after 30 s. */
  readonly deadlineMs?: number
  /**
   * Milliseconds that a step which ignores its aborted signal is still given, and each one after it. Default 250.
   */
  readonly graceMs?: number
}

/** The orderly end of a process: steps, run once, in the order they were added. */
export interface Drain {
  /** Aborts when the drain begins. For loops that should start nothing new. */
  readonly signal: AbortSignal
  /** Adds a step behind the others. */
  step(name: string, run: DrainStep): void
  /**
   * Runs the steps one after another. A step that fails or is late does not keep the next from running. Calling it
   * again returns the same promise, which never rejects. Signals (SIGTERM, SIGINT) and exiting are the caller's.
   */
  drain(reason: string): Promise<DrainReport>
}

/** Nothing to do yet. */
export function createDrain({ clock, log, deadlineMs = 25_000, graceMs = 250 }: DrainOptions): Drain {
  const steps: { readonly name: string; readonly run: DrainStep }[] = []
  const begun = new AbortController()
  let running: Promise<DrainReport> | undefined

  async function runAll(reason: string): Promise<DrainReport> {
    const startedAt = clock.monotonic()
    const timeUp = new AbortController()
    const cancel = clock.setTimer(deadlineMs, () => timeUp.abort(new Error('drain deadline passed')))
    log.info('draining', { reason, 'drain.deadline_ms': deadlineMs })
    begun.abort(new Error('draining'))
    const outcomes: DrainOutcome[] = []
    for (const step of steps) {
      const stepStartedAt = clock.monotonic()
      const outcome = await attempt(step.name, step.run, timeUp.signal)
      outcomes.push({ name: step.name, outcome, ms: clock.monotonic() - stepStartedAt })
    }
    cancel()
    const clean = outcomes.every((step) => step.outcome === 'done')
    log.info('drained', { reason, 'drain.clean': clean, 'drain.ms': Math.round(clock.monotonic() - startedAt) })
    return { reason, steps: outcomes, clean }
  }

  async function attempt(name: string, run: DrainStep, signal: AbortSignal): Promise<DrainOutcome['outcome']> {
    const over = new AbortController()
    const late = lateness(signal, over.signal)
    const done = (async () => {
      try {
        await run(signal)
        return 'done' as const
      } catch (err) {
        log.error('drain step failed', { 'drain.step': name, err })
        return 'failed' as const
      }
    })()
    const outcome = await Promise.race([done, late])
    over.abort()
    if (outcome === 'late') log.warn('drain step left behind', { 'drain.step': name })
    return outcome
  }

  /** Resolves `graceMs` after the deadline, or never when `over` aborts before. */
  function lateness(deadline: AbortSignal, over: AbortSignal): Promise<'late'> {
    return new Promise((resolve) => {
      const wait = () => {
        sleep(clock, graceMs, { signal: over }).then(
          () => resolve('late'),
          () => {},
        )
      }
      if (deadline.aborted) wait()
      else deadline.addEventListener('abort', wait, { once: true, signal: over })
    })
  }

  return {
    signal: begun.signal,
    step(name, run) {
      steps.push({ name, run })
    },
    drain(reason) {
      running ??= runAll(reason)
      return running
    },
  }
}
