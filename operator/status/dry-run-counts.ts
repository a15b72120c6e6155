import type { DryRunCounts } from './conditions.ts'

/** What dry runs would have denied, by policy, since the operator started. */
export interface DryRunTable {
  add(origin: string, rule: string, wouldDeny: number): void
  /** By the policy's `namespace/name`, whatever generation the counts came from. */
  of(policy: string): DryRunCounts | undefined
  /** Forgets policies that are gone. */
  keepOnly(policies: ReadonlySet<string>): void
}

/** Policies counted at once, and rules of each; what is beyond is counted as `other`. */
const MAX_POLICIES = 10_000
const MAX_RULES = 256

export function createDryRunTable(): DryRunTable {
  const table = new Map<string, Map<string, number>>()
  return {
    add(origin, rule, wouldDeny) {
      const policy = origin.replace(/@\d+$/, '')
      const counts = table.get(policy) ?? new Map<string, number>()
      if (!table.has(policy)) {
        if (table.size >= MAX_POLICIES) return
        table.set(policy, counts)
      }
      const name = counts.has(rule) || counts.size < MAX_RULES ? rule : 'other'
      counts.set(name, (counts.get(name) ?? 0) + wouldDeny)
    },
    of: (policy) => table.get(policy),
    keepOnly(policies) {
      for (const policy of [...table.keys()]) if (!policies.has(policy)) table.delete(policy)
    },
  }
}
