import { canonicalJson } from '../../contract/codec.ts'
import { describeIssue } from '../../model/result.ts'
import type { CancelTimer, Clock } from '../../runtime/clock.ts'
import type { Fleet } from './fleet.ts'
import type { MeshEvent } from './mesh-event.ts'
import type { MeshPlan } from './plan.ts'
import type { Planned, Planner } from './planner.ts'
import type { Resources } from './resources.ts'

/** Milliseconds that changes are gathered: an editor saves several files, and the plan is about all of them. */
const GATHER_MS = 150

export interface FollowOptions {
  readonly resources: Resources
  readonly planner: Planner
  readonly fleet: Fleet
  readonly first: Planned
  /** False: it is only told that the files say something else about what runs. */
  readonly watch: boolean
  readonly emit: (event: MeshEvent) => void
  readonly onApplied: () => void
  readonly clock: Clock
}

/** Makes the plan anew when files change, and what runs follow it. Policies need none of that: the operator reads them itself. */
export function followFiles(options: FollowOptions): { close(): Promise<void> } {
  const { resources, planner, fleet, first, watch, emit, onApplied, clock } = options
  let known = planText(first.plan)
  let told = ''
  let isClosed = false
  let cancel: CancelTimer | undefined
  let work = Promise.resolve()

  const follow = async () => {
    if (isClosed) return
    const { plan, issues } = await planner.plan()
    const errors = issues.filter(({ severity }) => severity === 'error')
    const text = errors.map(describeIssue).join('\n')
    // As at the start: what is wrong somewhere is no reason to end what runs, nor to start half of something.
    if (text !== told) emit({ type: 'issues', kind: 'resource', appeared: errors, gone: [] })
    told = text
    const next = planText(plan)
    if (errors.length > 0 || next === known || isClosed) return
    known = next
    if (!watch) return emit({ type: 'unfollowed' })
    emit({ type: 'changed', ...(await fleet.apply(plan)) })
    onApplied()
  }
  resources.onChange(() => {
    cancel ??= clock.setTimer(GATHER_MS, () => {
      cancel = undefined
      work = work.then(follow).catch((error: unknown) => {
        emit({ type: 'trouble', error: error instanceof Error ? error : new Error(String(error)) })
      })
    })
  })
  return {
    close() {
      isClosed = true
      cancel?.()
      return work
    },
  }
}

function planText({ workloads, gateways }: MeshPlan): string {
  return canonicalJson({ workloads, gateways })
}
