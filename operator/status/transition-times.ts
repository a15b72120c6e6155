/** A condition as the API server keeps it (`metav1.Condition`). */
export interface TimedCondition {
  readonly type: string
  readonly status: string
  readonly reason: string
  readonly message: string
  readonly observedGeneration?: number
  /** RFC 3339, in whole seconds. */
  readonly lastTransitionTime: string
}

/**
 * Conditions with the time of their last transition: that of the condition which is there, unless its status is another
 * now. `before` is whatever the API server holds, unread.
 */
export function withTransitionTimes<Condition extends Omit<TimedCondition, 'lastTransitionTime'>>(
  conditions: readonly Condition[],
  before: unknown,
  nowMs: number,
): readonly (Condition & { readonly lastTransitionTime: string })[] {
  const known = Array.isArray(before) ? (before as readonly (Partial<TimedCondition> | null)[]) : []
  return conditions.map((condition) => {
    const same = known.find((each) => each?.type === condition.type && each.status === condition.status)
    const since = same?.lastTransitionTime
    return { ...condition, lastTransitionTime: typeof since === 'string' ? since : timestamp(nowMs) }
  })
}

/** `metav1.Time` has whole seconds: a fraction would come back without it and look like a change. */
function timestamp(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19)}Z`
}
