import type { Clock } from '../../runtime/clock.ts'
import type { Refusal } from '../serve/observation.ts'

/** What dry runs would have refused, gathered for the operator: it shows them in the policies' status. */
export interface DryRunReport {
  add(refusal: Refusal): void
  close(): void
}

/** Policies and rules told apart in one report; what is beyond goes by the policy's name alone. */
const MAX_ENTRIES = 1_000

/** Milliseconds that counts are gathered before they are sent. No timer runs while there is nothing to tell. */
const GATHER_MS = 5_000

/** `send` returns false when there is no session: the counts are kept then. */
export function createDryRunReport(
  clock: Clock,
  send: (counts: readonly { origin: string; rule: string; wouldDeny: number }[]) => boolean,
): DryRunReport {
  let counts = new Map<string, { origin: string; rule: string; wouldDeny: number }>()
  let cancel: (() => void) | undefined
  const flush = () => {
    cancel = undefined
    if (counts.size === 0) return
    if (send([...counts.values()])) counts = new Map()
    else arm()
  }
  const arm = () => {
    cancel ??= clock.setTimer(GATHER_MS, flush, { keepAlive: false })
  }
  return {
    add({ origins, rule = '', denial }) {
      for (const origin of origins) {
        const name = rule === '' ? denial : rule
        const key = `${origin} ${name}`
        const known = counts.get(key)
        if (known) known.wouldDeny += 1
        else if (counts.size < MAX_ENTRIES) counts.set(key, { origin, rule: name, wouldDeny: 1 })
      }
      arm()
    },
    close: () => cancel?.(),
  }
}
