import type { Identity } from './identity.ts'

/** Holds the identity that is used from now on. Swapping it closes nothing: what is open keeps what it was opened with. */
export interface IdentityStore {
  current(): Identity
  /** Counts swaps, from 0. */
  version(): number
  /** Swaps the identity, then tells those who listen, in the order they came. */
  replace(next: Identity): void
  /** Calls `listener` after each swap. Returns how to stop that. */
  onChange(listener: (identity: Identity) => void): () => void
}

export function createIdentityStore(first: Identity): IdentityStore {
  let identity = first
  let version = 0
  const listeners = new Set<(identity: Identity) => void>()
  return {
    current: () => identity,
    version: () => version,
    replace(next) {
      identity = next
      version += 1
      for (const listener of listeners) listener(next)
    },
    onChange(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
  }
}
