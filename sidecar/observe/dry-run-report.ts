import type { Clock } from '../../runtime/clock.ts'
import type { Refusal } from '../serve/observation.ts'

/** What dry runs would have refused, gathered for the operator: it shows them in the policies' status. */
export interface DryRunReport {
  add(refusal: Refusal): void
  /** What another thread has gathered. */
  addCounts(counts: readonly DryRunCount[]): void
  /** Sends what there is now. */
  flush(): void
  close(): void
}

/** How often a rule of a policy in dry run would have refused. */
export interface DryRunCount {
  readonly origin: string
  readonly rule: string
  readonly wouldDeny: number
}

/** Policies and rules told apart in one report; what is beyond goes by the policy's name alone. */
const MAX_ENTRIES = 1_000

/** Milliseconds that counts are gathered before they are sent. No timer runs while there is nothing to tell. */
const GATHER_MS = 5_000

/** `send` returns false when there is no session: the counts are kept then. `gatherMs`: see {@link GATHER_MS}. */
export function createDryRunReport(
  clock: Clock,
  send: (counts: readonly DryRunCount[]) => boolean,
  gatherMs: number = GATHER_MS,
): DryRunReport {
  let counts = new Map<string, DryRunCount>()
  let cancel: (() => void) | undefined
  const flush = () => {
    cancel = undefined
    if (counts.size === 0) return
    if (send([...counts.values()])) counts = new Map()
    else arm()
  }
  const arm = () => {
    cancel ??= clock.setTimer(gatherMs, flush, { keepAlive: false })
  }
  const count = (origin: string, rule: string, by: number) => {
    const key = `${origin} ${rule}`
    const known = counts.get(key)
    if (known) counts.set(key, { origin, rule, wouldDeny: known.wouldDeny + by })
    else if (counts.size < MAX_ENTRIES) counts.set(key, { origin, rule, wouldDeny: by })
    arm()
  }
  return {
    add({ origins, rule = '', denial }) {
      for (const origin of origins) count(origin, rule === '' ? denial : rule, 1)
    },
    addCounts(more) {
      for (const { origin, rule, wouldDeny } of more) count(origin, rule, wouldDeny)
    },
    flush,
    close: () => cancel?.(),
  }
}
