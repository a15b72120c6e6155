import type { Acknowledgements } from '../push/acknowledgements.ts'
import type { DryRunTable } from '../status/dry-run-counts.ts'
import type { ReplicaTable } from './replica-table.ts'

/** What every sidecar said, to whichever operator. */
export interface Everyone {
  readonly acknowledgements: Acknowledgements
  readonly dryRunsOf: DryRunTable['of']
}

/**
 * What was said here and what other operators tell, as one.
 *
 * A sidecar that went from one operator to another may be known to both for a moment: of its sessions the one that began
 * last is last, and counts.
 */
export function everyoneOf(
  own: { readonly acknowledgements: Acknowledgements; readonly dryRuns: Pick<DryRunTable, 'of'> },
  others: Pick<ReplicaTable, 'of' | 'all' | 'dryRunsOf' | 'onChange'>,
): Everyone {
  return {
    acknowledgements: {
      all: () => [...own.acknowledgements.all(), ...others.all()],
      of(workload) {
        const here = own.acknowledgements.of(workload)
        const elsewhere = others.of(workload)
        if (elsewhere.length === 0) return here
        return [...here, ...elsewhere].sort((a, b) => a.since - b.since)
      },
      onChange(listener) {
        const stops = [own.acknowledgements.onChange(listener), others.onChange(listener)]
        return () => {
          for (const stop of stops) stop()
        }
      },
    },
    dryRunsOf(policy, generation) {
      const here = own.dryRuns.of(policy, generation)
      const elsewhere = others.dryRunsOf(policy, generation)
      if (elsewhere.length === 0) return here
      const sum = new Map(here)
      for (const counts of elsewhere) {
        for (const [rule, count] of counts) sum.set(rule, (sum.get(rule) ?? 0) + count)
      }
      return sum
    },
  }
}
