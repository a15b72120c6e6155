/** Something did not become ready. The message names it. */
export class NotReadyError extends Error {
  override readonly name = 'NotReadyError'
}

/** How long a start may take, and what ends it early. */
export interface Patience {
  /** Rejects when it is over. */
  readonly over: Promise<never>
  /** Aborts when it is over. */
  readonly signal: AbortSignal
  /** There is no sense in waiting any more. */
  lose(error: Error): void
  /** Nobody waits any more. */
  end(): void
}

/** Over after `forMs`, with what `describe` says by then, or when the signal aborts, with its reason. */
export function createPatience(forMs: number, signal: AbortSignal | undefined, describe: () => string): Patience {
  const { promise, reject } = Promise.withResolvers<never>()
  const ended = new AbortController()
  promise.catch((reason: unknown) => ended.abort(reason))
  const timer = setTimeout(() => reject(new NotReadyError(describe())), forMs)
  const onAbort = () => reject(signal?.reason)
  if (signal?.aborted === true) onAbort()
  signal?.addEventListener('abort', onAbort, { once: true })
  return {
    over: promise,
    signal: ended.signal,
    lose: reject,
    end() {
      clearTimeout(timer)
      signal?.removeEventListener('abort', onAbort)
    },
  }
}
