import type { EventFields, ObjectReference } from '../kubernetes/events.ts'
import type { StatusFields } from './status-applier.ts'

/** What of a condition an Event is made of. */
interface Standing {
  readonly type: string
  readonly status: string
  readonly reason: string
  readonly message: string
  readonly observedGeneration?: number
}

/** Reasons of Programmed=False that pass by themselves, or follow from another condition that is told. */
const QUIET: ReadonlySet<string> = new Set(['Reconciling', 'Invalid'])

/** The reason of an Event where the condition's own says too little. */
const REASONS: Readonly<Record<string, string>> = {
  Accepted: 'NotAccepted',
  ResolvedRefs: 'RefsNotResolved',
}

/**
 * What a user must know of the change of a status: a condition that is False now, and was not, or for another reason, or of
 * another generation. Recoveries are seen in the status.
 */
export function eventsOf(
  regarding: ObjectReference,
  before: StatusFields,
  after: StatusFields,
): readonly EventFields[] {
  const known = conditionsIn(before)
  return conditionsIn(after).flatMap((condition): EventFields[] => {
    const { type, status, reason, message, observedGeneration } = condition
    if (status !== 'False' || (type === 'Programmed' && QUIET.has(reason))) return []
    const earlier = known.find((each) => each.type === type)
    const isKnown =
      earlier?.status === status && earlier.reason === reason && earlier.observedGeneration === observedGeneration
    if (isKnown) return []
    return [{ regarding, type: 'Warning', reason: REASONS[type] ?? reason, note: message, action: type }]
  })
}

/** Of the resource, and of each parent of a route. */
function conditionsIn(status: StatusFields): readonly Standing[] {
  const parents = listOf(status['parents']) as readonly StatusFields[]
  return [...listOf(status['conditions']), ...parents.flatMap((parent) => listOf(parent?.['conditions']))] as Standing[]
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : []
}
