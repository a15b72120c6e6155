import type { CaStore } from '../../identity/ca-store.ts'

/** Entries that are made once and stay, in memory. */
export function memoryStore(): CaStore & { readonly entries: ReadonlyMap<string, string> } {
  const entries = new Map<string, string>()
  return {
    entries,
    read: async (name) => entries.get(name),
    async create(name, content) {
      if (!entries.has(name)) entries.set(name, content)
      return entries.get(name) ?? content
    },
  }
}
