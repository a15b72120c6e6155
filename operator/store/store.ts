import type { Change, Sink } from '../sources/source.ts'
import { EMPTY, type ResourceChange, type Snapshot, type StoredSnapshot } from './snapshot.ts'

/** The newest of every resource, whatever number of sources tell it. */
export interface Store extends Sink {
  snapshot(): Snapshot
  /** True once the store has been told that all it waits for is there. */
  isSynced(): boolean
  /**
   * Calls `listener` after each change, and once when the store is synced; never before that. Within one turn of the
   * event loop several changes may have come: the listener asks for the newest snapshot. Returns how to stop.
   */
  onChange(listener: () => void): () => void
}

/** A store that is synced after `sources` of its users have said so; 1 by default. */
export function createStore(sources = 1): Store {
  let current: StoredSnapshot = EMPTY
  let waitingFor = sources
  const listeners = new Set<() => void>()
  const tell = () => {
    for (const listener of [...listeners]) listener()
  }

  return {
    apply(changes) {
      const next = current.with(changes.map(asResourceChange))
      if (next === current) return
      current = next
      if (waitingFor <= 0) tell()
    },
    synced() {
      waitingFor -= 1
      if (waitingFor === 0) tell()
    },
    snapshot: () => current,
    isSynced: () => waitingFor <= 0,
    onChange(listener) {
      listeners.add(listener)
      return () => void listeners.delete(listener)
    },
  }
}

/** Resolves when the store is synced. */
export function whenSynced(store: Pick<Store, 'isSynced' | 'onChange'>): Promise<void> {
  return new Promise((resolve) => {
    if (store.isSynced()) return resolve()
    const stop = store.onChange(() => {
      stop()
      resolve()
    })
  })
}

function asResourceChange(change: Change): ResourceChange {
  if (change.type === 'removed') {
    const { kind, namespace, name } = change.ref
    return { kind, namespace, name, resource: undefined }
  }
  const { kind, metadata } = change.resource
  return { kind, namespace: metadata.namespace, name: metadata.name, resource: change.resource }
}
