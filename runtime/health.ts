/**
 * What a condition speaks for. A failing `live` condition means the process should be restarted; a failing `ready` one
 * means it should be sent no work for now.
 */
export type HealthScope = 'live' | 'ready'

/** One named thing that has to be true. */
export interface HealthCondition {
  readonly name: string
  /** Holds from now on. */
  pass(): void
  /** Does not hold from now on. `reason` is shown to whoever asks: a constant sentence, nothing secret. */
  fail(reason: string): void
}

/** Where one condition stands. */
export interface ConditionStatus {
  readonly name: string
  readonly scope: HealthScope
  readonly ok: boolean
  /** Empty when `ok`. */
  readonly reason: string
}

/** Every condition that was asked about, and whether all of them hold. */
export interface HealthReport {
  readonly ok: boolean
  readonly conditions: readonly ConditionStatus[]
}

/** The conditions of one process. */
export interface Health {
  /**
   * Adds a condition. It fails with the reason `not yet` until `pass()` is first called, so that what was forgotten is
   * seen. Adding a name twice is a mistake in the program and throws.
   */
  condition(name: string, scope: HealthScope): HealthCondition
  /** The `live` conditions. With none, the process is live: it answered. */
  live(): HealthReport
  /** All conditions: what is not live is not ready either. */
  ready(): HealthReport
  /** Resolves once everything is ready; rejects with the signal's reason when it aborts first. */
  whenReady(signal?: AbortSignal): Promise<void>
}

/** No conditions yet. */
export function createHealth(): Health {
  const conditions = new Map<string, ConditionStatus>()
  const waiting = new Set<() => void>()

  const report = (statuses: readonly ConditionStatus[]): HealthReport => ({
    ok: statuses.every((status) => status.ok),
    conditions: statuses,
  })
  const ready = () => report([...conditions.values()])

  const update = (status: ConditionStatus) => {
    conditions.set(status.name, status)
    if (!ready().ok) return
    for (const resolve of waiting) resolve()
    waiting.clear()
  }

  return {
    condition(name, scope) {
      if (conditions.has(name)) throw new Error(`the health condition ${name} exists already`)
      update({ name, scope, ok: false, reason: 'not yet' })
      return {
        name,
        pass: () => update({ name, scope, ok: true, reason: '' }),
        fail: (reason) => update({ name, scope, ok: false, reason }),
      }
    },
    live: () => report([...conditions.values()].filter((status) => status.scope === 'live')),
    ready,
    whenReady(signal) {
      if (signal?.aborted) return Promise.reject(signal.reason)
      if (ready().ok) return Promise.resolve()
      return new Promise((resolve, reject) => {
        const onAbort = () => {
          waiting.delete(onReady)
          reject(signal?.reason)
        }
        const onReady = () => {
          signal?.removeEventListener('abort', onAbort)
          resolve()
        }
        waiting.add(onReady)
        signal?.addEventListener('abort', onAbort, { once: true })
      })
    },
  }
}
