import type { LogFile } from './log-file.ts'
import { STOP_MS } from './mesh-context.ts'
import type { Readiness } from './readiness.ts'
import type { Supervised } from './supervise.ts'

/** A part of a running mesh: one process that is kept running. */
export interface Part {
  readonly name: string
  /** Undefined while it does not run. */
  readonly pid: number | undefined
  /** How often it was started again. */
  readonly restarts: number
  readonly isReady: boolean
  /** What it prints, but for decisions. */
  readonly log: LogFile
  /** Resolves once it is ready for the first time; rejects when it is stopped before. */
  readonly ready: Promise<void>
  /** Ends it in order, for good. */
  stop(): Promise<void>
  /** Ends it at once, for good. */
  kill(): void
}

/** `supervised` is undefined for what somebody else starts, and only its readiness is ours to see. */
export function createPart(name: string, supervised: Supervised | undefined, readiness: Readiness, log: LogFile): Part {
  return {
    name,
    log,
    get pid() {
      return supervised?.pid
    },
    get restarts() {
      return supervised?.restarts ?? 0
    },
    get isReady() {
      return readiness.isReady
    },
    ready: readiness.first,
    async stop() {
      readiness.close()
      await supervised?.stop(STOP_MS)
    },
    kill() {
      readiness.close()
      supervised?.kill()
    },
  }
}
