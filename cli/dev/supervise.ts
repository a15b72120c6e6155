import { createBackoff } from '../../runtime/backoff.ts'
import { type Clock, sleep } from '../../runtime/clock.ts'
import type { Exit, Running } from './child-process.ts'

/** Something that is started again whenever it ends. */
export interface Supervised {
  readonly name: string
  /** Undefined while it does not run. */
  readonly pid: number | undefined
  /** How often it was started again. */
  readonly restarts: number
  /** Ends it for good: asks, and makes it after `graceMs`. Resolves when it is gone. */
  stop(graceMs: number): Promise<void>
  /** Ends it for good, now. */
  kill(): void
  /** Ends it in order and starts it again at once. */
  restart(graceMs: number): Promise<void>
}

export interface SuperviseOptions {
  readonly name: string
  /** Called before each start: what it needs anew each time is made here. */
  readonly start: () => Promise<Running>
  readonly onStarted?: (running: Running) => void
  /** It ended and nobody asked it to, or it could not be started. `waitMs`: until it is started again. */
  readonly onEnded?: (ended: Exit | Error, waitMs: number) => void
  readonly clock: Clock
  /** Uniform in [0, 1). */
  readonly random: () => number
}

/** The first restart is nearly at once: whoever is served by it waits for nothing else. */
const RESTART = { baseMs: 100, maxMs: 5_000, minMs: 20 } as const

/** Milliseconds after which something that ends is said to have worked: its next restart does not wait. */
const STABLE_MS = 10_000

/** Starts something, and starts it again with growing pauses for as long as it is not told to stop. */
export function supervise(options: SuperviseOptions): Supervised {
  const { name, start, onStarted, onEnded, clock, random } = options
  const backoff = createBackoff({ ...RESTART, random })
  const stopping = new AbortController()
  let running: Running | undefined
  let restarts = 0
  let isKilled = false
  let isRestarting = false
  let stopGraceMs = 0

  const pause = async (ended: Exit | Error, startedAt: number): Promise<void> => {
    if (clock.monotonic() - startedAt >= STABLE_MS) backoff.reset()
    const waitMs = backoff.next()
    onEnded?.(ended, waitMs)
    await sleep(clock, waitMs, { signal: stopping.signal }).catch(() => {})
  }
  const loop = async (): Promise<void> => {
    for (let isFirst = true; !stopping.signal.aborted; isFirst = false) {
      if (!isFirst) restarts += 1
      const startedAt = clock.monotonic()
      try {
        running = await start()
      } catch (error) {
        if (!stopping.signal.aborted) await pause(error instanceof Error ? error : new Error(String(error)), startedAt)
        continue
      }
      if (isKilled) running.kill()
      else if (stopping.signal.aborted) void running.stop(stopGraceMs)
      else onStarted?.(running)
      const exit = await running.exited
      running = undefined
      if (isRestarting) isRestarting = false
      else if (!stopping.signal.aborted) await pause(exit, startedAt)
    }
  }
  const done = loop()

  return {
    name,
    get pid() {
      return running?.pid
    },
    get restarts() {
      return restarts
    },
    async stop(graceMs) {
      stopGraceMs = graceMs
      stopping.abort()
      await running?.stop(graceMs)
      await done
    },
    kill() {
      isKilled = true
      stopping.abort()
      running?.kill()
    },
    async restart(graceMs) {
      if (running === undefined) return
      isRestarting = true
      await running.stop(graceMs)
    },
  }
}
