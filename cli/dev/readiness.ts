import { type Clock, sleep } from '../../runtime/clock.ts'

/** Whether something is ready, looked at again and again. */
export interface Readiness {
  readonly isReady: boolean
  /** Resolves once it is ready for the first time; rejects when it is closed before. */
  readonly first: Promise<void>
  /** It certainly is not ready at the moment. */
  lost(): void
  close(): void
}

export interface ReadinessOptions {
  /** One look. A rejection is a no. */
  readonly look: () => Promise<boolean>
  readonly onChange?: (isReady: boolean) => void
  readonly clock: Clock
}

/** Milliseconds between two looks at what is not ready: somebody waits for it. */
const SOON_MS = 60
/** Milliseconds between two looks at what is ready. */
const LATER_MS = 1_000

export function watchReadiness({ look, onChange, clock }: ReadinessOptions): Readiness {
  const closing = new AbortController()
  const first = Promise.withResolvers<void>()
  first.promise.catch(() => {})
  let isReady = false
  let losses = 0
  let hurry = new AbortController()

  const set = (next: boolean) => {
    if (next === isReady) return
    isReady = next
    if (next) first.resolve()
    onChange?.(next)
  }
  void (async () => {
    // A look may need what its maker has only when this function has returned.
    await Promise.resolve()
    while (!closing.signal.aborted) {
      const before = losses
      const seen = await look().catch(() => false)
      // What was lost meanwhile was not what this look saw.
      if (closing.signal.aborted) break
      if (before === losses) set(seen)
      hurry = new AbortController()
      const signal = AbortSignal.any([closing.signal, hurry.signal])
      await sleep(clock, isReady ? LATER_MS : SOON_MS, { signal, keepAlive: false }).catch(() => {})
    }
  })()
  return {
    get isReady() {
      return isReady
    },
    first: first.promise,
    lost() {
      losses += 1
      set(false)
      hurry.abort()
    },
    close() {
      closing.abort()
      first.reject(new Error('it is not waited for any more'))
    },
  }
}
