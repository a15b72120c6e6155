/** Says that the next certificate is wanted sooner than it is due. */
export interface Hurry {
  /** It is wanted within as many milliseconds: at a random moment of them, so that not all come at once (F04). */
  within(ms: number): void
  /** It has come. What was said before counts no more. */
  done(): void
  /** Calls `listener` each time, and at once if nobody has listened meanwhile. Returns how to stop. */
  onHurry(listener: (ms: number) => void): () => void
}

/** While the mesh changes to another root: everybody comes within this, and nobody is missed meanwhile. */
export const REISSUE_WITHIN_MS = 30_000

/** When nobody believes the certificate any more (F06). */
export const REPLACE_WITHIN_MS = 5_000

export function createHurry(): Hurry {
  const listeners = new Set<(ms: number) => void>()
  let unheardMs = Number.POSITIVE_INFINITY
  return {
    within(ms) {
      if (listeners.size === 0) unheardMs = Math.min(unheardMs, ms)
      for (const listener of [...listeners]) listener(ms)
    },
    done() {
      unheardMs = Number.POSITIVE_INFINITY
    },
    onHurry(listener) {
      listeners.add(listener)
      if (Number.isFinite(unheardMs)) listener(unheardMs)
      unheardMs = Number.POSITIVE_INFINITY
      return () => void listeners.delete(listener)
    },
  }
}
