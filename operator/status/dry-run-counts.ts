import type { DryRunCounts } from './conditions.ts'

/** What dry runs would have denied, by policy, since its last edit or the operator's start. */
export interface DryRunTable {
  /** `origin` is `namespace/name@generation`. What an older generation would have denied says nothing of this one. */
  add(origin: string, rule: string, wouldDeny: number): void
  /** Of this very generation of a policy. */
  of(policy: string, generation: number): DryRunCounts | undefined
  /** Forgets policies that are gone. */
  keepOnly(policies: ReadonlySet<string>): void
  /** By policy. The counts are the table's own and go on to change; `total` tells whether they did. */
  all(): ReadonlyMap<string, PolicyCounts>
}

export interface PolicyCounts {
  readonly generation: number
  readonly counts: DryRunCounts
  /** Of all rules. Only rises, within one generation. */
  readonly total: number
}

/** Policies counted at once, and rules of each; what is beyond is counted as `other`. */
export const MAX_POLICIES = 10_000
export const MAX_RULES = 256

/** Characters of a rule's name that are kept: as many as a name of Kubernetes has. */
const MAX_RULE_NAME = 253

export function createDryRunTable(): DryRunTable {
  const table = new Map<string, { generation: number; counts: Map<string, number>; total: number }>()
  return {
    add(origin, rule, wouldDeny) {
      const at = origin.lastIndexOf('@')
      const policy = origin.slice(0, at)
      const generation = Number(origin.slice(at + 1))
      let known = table.get(policy)
      if (known === undefined || known.generation < generation) {
        if (known === undefined && table.size >= MAX_POLICIES) return
        known = { generation, counts: new Map(), total: 0 }
        table.set(policy, known)
      }
      if (known.generation > generation) return
      const short = rule.slice(0, MAX_RULE_NAME)
      const name = known.counts.has(short) || known.counts.size < MAX_RULES ? short : 'other'
      known.counts.set(name, (known.counts.get(name) ?? 0) + wouldDeny)
      known.total += wouldDeny
    },
    of(policy, generation) {
      const known = table.get(policy)
      return known?.generation === generation ? known.counts : undefined
    },
    keepOnly(policies) {
      for (const policy of [...table.keys()]) if (!policies.has(policy)) table.delete(policy)
    },
    all: () => table,
  }
}
