import type { FilterSlots, WorkloadConfig } from '../../contract/workload-config.ts'
import { hasSharedLimit } from '../../policies/rate-limit/config.ts'
import type { WorkloadPod } from './workloads.ts'

/** By config, which is the same object for as long as nothing about it changes. */
const known = new WeakMap<WorkloadConfig, boolean>()

/** Whether any limit of a workload is divided among its replicas. */
export function sharesLimits(config: WorkloadConfig): boolean {
  const before = known.get(config)
  if (before !== undefined) return before
  const shares = config.listeners.some(({ routes }) => routes.some(({ filters }) => sharesIn(filters)))
  known.set(config, shares)
  return shares
}

function sharesIn(filters: FilterSlots): boolean {
  return (filters['rate-limit'] ?? []).some((slot) => slot.state === 'resolved' && hasSharedLimit(slot.config))
}

/**
 * The replicas that a limit is divided among: the pods with a sidecar that are ready, and those on their way out, which
 * answer until they are gone. At least one, for whoever asks is one.
 */
export function replicasOf(pods: readonly Pick<WorkloadPod, 'meshed' | 'ready' | 'leaving' | 'ip'>[]): number {
  const live = pods.filter(({ meshed, ready, leaving, ip }) => meshed && (ready || (leaving && ip !== '')))
  return Math.max(1, live.length)
}
