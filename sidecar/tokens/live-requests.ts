import type { LiveCaller, LiveRequests } from '../../model/internal-tokens.ts'

/** Requests that are remembered at once. One more is refused: a call of another one could be taken for its own. */
export const MAX_LIVE_REQUESTS = 65_536

/** The requests in work in one thread, by trace. An entry lives as long as its request, and has one trace only. */
export function createLiveRequests(): LiveRequests & { readonly size: number } {
  const byTrace = new Map<string, Set<Entry>>()
  let size = 0
  return {
    get size() {
      return size
    },
    enter(traceId, caller) {
      if (size >= MAX_LIVE_REQUESTS) return undefined
      const entry: Entry = { caller }
      const entries = byTrace.get(traceId) ?? new Set()
      byTrace.set(traceId, entries.add(entry))
      size += 1
      return () => {
        if (!entries.delete(entry)) return
        size -= 1
        if (entries.size === 0) byTrace.delete(traceId)
      }
    },
    callerOf(traceId) {
      const entries = byTrace.get(traceId)
      if (entries === undefined) return undefined
      let common: LiveCaller | undefined
      for (const { caller } of entries) {
        if (common === undefined || common === caller) common = caller
        else if (common.identity !== caller.identity) return 'several'
        else common = ofBoth(common, caller)
      }
      return common
    },
  }
}

interface Entry {
  readonly caller: LiveCaller
}

/** Of two tokens of one user the one that lives longer, for what both are good for. */
function ofBoth(a: LiveCaller, b: LiveCaller): LiveCaller {
  const longer = b.expiresAt > a.expiresAt ? b : a
  return { ...longer, scope: a.scope.filter((word) => b.scope.includes(word)) }
}
