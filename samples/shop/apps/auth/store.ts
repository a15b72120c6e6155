import type { Adapter, AdapterPayload } from 'oidc-provider'

/** Entries of one kind kept at once. The oldest goes first, so a flood of logins costs memory once. */
const MAX_ENTRIES = 10_000

/**
 * Where the authorization server keeps sessions, codes and refresh tokens: in memory, bounded, by kind.
 *
 * Each kind has its own bound, so that a flood of half-finished logins (anybody can start one) pushes out no session
 * and no refresh token. A restart forgets everything: people log in again. Access tokens live on, they need no store.
 */
export function createStore(now: () => number = Date.now, maxEntries: number = MAX_ENTRIES): (kind: string) => Adapter {
  const kinds = new Map<string, Map<string, Entry>>()

  const entriesOf = (kind: string): Map<string, Entry> => {
    const entries = kinds.get(kind) ?? new Map<string, Entry>()
    kinds.set(kind, entries)
    return entries
  }

  const live = (kind: string, id: string): AdapterPayload | undefined => {
    const entry = entriesOf(kind).get(id)
    if (!entry) return undefined
    if (entry.until > now()) return entry.payload
    entriesOf(kind).delete(id)
    return undefined
  }

  return (kind) => ({
    async upsert(id, payload, expiresIn) {
      const entries = entriesOf(kind)
      entries.delete(id)
      entries.set(id, { payload, until: expiresIn === undefined ? Infinity : now() + expiresIn * 1000 })
      for (const oldest of entries.keys()) {
        if (entries.size <= maxEntries) break
        entries.delete(oldest)
      }
    },
    async find(id) {
      return live(kind, id)
    },
    async findByUid(uid) {
      for (const [id, { payload }] of entriesOf(kind)) if (payload.uid === uid) return live(kind, id)
      return undefined
    },
    async findByUserCode() {
      return undefined
    },
    async consume(id) {
      const payload = live(kind, id)
      if (payload) payload.consumed = Math.floor(now() / 1000)
    },
    async destroy(id) {
      entriesOf(kind).delete(id)
    },
    async revokeByGrantId(grantId) {
      const entries = entriesOf(kind)
      for (const [id, { payload }] of entries) if (payload.grantId === grantId) entries.delete(id)
    },
  })
}

interface Entry {
  readonly payload: AdapterPayload
  /** Milliseconds since the epoch. */
  readonly until: number
}
