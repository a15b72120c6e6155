import type { Clock } from '../../runtime/clock.ts'
import type { Log } from '../../runtime/log.ts'
import type { Metrics } from '../../runtime/metrics.ts'
import type { Store } from '../store/store.ts'
import type { Audit } from './audit.ts'
import { auditFile } from './audit-file.ts'
import { type AuditStore, createAuditLog } from './audit-log.ts'
import { followPolicies, type PolicyFollower } from './follow-policies.ts'
import type { ChainEnd } from './record.ts'

/** The audit log of one operator, while it runs. */
export interface RunningAudit extends Audit {
  /** Where its chain ends now. Undefined: nothing was written yet. */
  end(): ChainEnd | undefined
  /** Says that the operator ends, and writes what waits. */
  close(): Promise<void>
}

export interface StartAuditOptions extends PolicyFollower {
  /** Synced. */
  readonly store: Store
  /** Undefined: records are printed alone, and each start begins a chain. */
  readonly file: string | undefined
  /** Prints a line of the operator's log. Default: records are in their file alone. */
  readonly print?: (line: string) => void
  /** Of the operator: its pod's, or `local`. */
  readonly name: string
  readonly clock: Clock
  readonly log: Log
  readonly metrics: Metrics
}

/** Begins with what there is in force, follows every change of it, and takes what others tell. */
export function startAudit({ store, file, print, name, clock, log, metrics, ...of }: StartAuditOptions): RunningAudit {
  const audit = createAuditLog({
    store: file === undefined ? NOWHERE : auditFile({ path: file }),
    name,
    ...(print && { copy: print }),
    clock,
    log,
    metrics,
  })
  const unfollow = followPolicies(store, audit, of)
  return {
    record: (event) => audit.record(event),
    end: () => audit.end(),
    async close() {
      unfollow()
      audit.record({ action: 'audit-ended', fields: {} })
      await audit.close()
    },
  }
}

const NOWHERE: AuditStore = { open: async () => ({ end: undefined }), append: async () => {} }
