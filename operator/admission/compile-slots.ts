import type { FilterSlot, FilterSlots, WorkloadConfig } from '../../contract/workload-config.ts'
import type { Filter, FilterDeps } from '../../model/filter.ts'
import { type Issue, issue } from '../../model/result.ts'
import { isSame } from '../../model/same.ts'

/**
 * What a sidecar would refuse of the slots that a policy is an origin of: the filters' own `decode` and `compile`, of which
 * the sidecar makes its checks. `origin` is `namespace/name` or `name`; its generation does not matter.
 */
export function compileIssues(
  configs: Iterable<WorkloadConfig>,
  origin: string,
  filters: readonly Filter[],
  deps: FilterDeps,
): readonly Issue[] {
  const tried = new Map<Filter, unknown[]>(filters.map((filter) => [filter, []]))
  const issues: Issue[] = []
  for (const config of configs) {
    for (const slots of slotsOf(config)) {
      for (const filter of filters) {
        for (const slot of slots[filter.name] ?? []) {
          if (slot.state !== 'resolved' || !isOf(slot, origin)) continue
          const before = tried.get(filter)
          if (before === undefined || before.some((config) => isSame(config, slot.config))) continue
          before.push(slot.config)
          issues.push(...issuesOf(filter, slot.config, deps))
        }
      }
    }
  }
  return issues
}

function slotsOf({ listeners }: WorkloadConfig): readonly FilterSlots[] {
  return listeners.flatMap((listener) => [
    ...(listener.kind === 'inbound' ? [listener.filters] : []),
    ...listener.routes.map(({ filters }) => filters),
  ])
}

function isOf({ origins }: FilterSlot, origin: string): boolean {
  return origins.some((each) => each.startsWith(`${origin}@`))
}

function issuesOf(filter: Filter, config: unknown, deps: FilterDeps): readonly Issue[] {
  const refused = ({ path, message }: Issue) => {
    return issue(
      'refused-by-sidecar',
      'spec',
      `${filter.name} would be refused by sidecars: ${[path, message].join(' ').trim()}`,
    )
  }
  try {
    const decoded = filter.decode(config)
    if (!decoded.ok) return decoded.issues.map(refused)
    const compiled = filter.compile(decoded.value, deps)
    return compiled.ok ? [] : compiled.issues.map(refused)
  } catch (error) {
    // The filter could not cope with what its own section made.
    return [refused(issue('', '', error instanceof Error ? error.message : String(error)))]
  }
}
