import type { KnownUsers } from '../audit/follow-policies.ts'
import type { AdmissionRequest } from './admission-review.ts'
import { metadataOf } from './audit-events.ts'

/** Who asked for versions of objects, as far as this operator's webhook was asked about them. */
export interface AdmittedUsers extends KnownUsers {
  /** Remembers who made a request that was allowed. */
  note(request: AdmissionRequest): void
}

/** Requests that are remembered. What the API server stores comes by the watch a moment later; the oldest is forgotten first. */
export const MAX_ADMITTED = 1_024

/**
 * The name of a user is in no object: the API server tells it to webhooks alone. What is remembered here is the name of who asked
 * last for just this version; it is as sure as admission is, and records say so.
 */
export function createAdmittedUsers(): AdmittedUsers {
  const users = new Map<string, string>()
  return {
    note({ operation, object, oldObject, user }) {
      const { uid, generation } = metadataOf(operation === 'DELETE' ? oldObject : object)
      if (user === '' || typeof uid !== 'string') return
      const key = operation === 'DELETE' ? `${uid} deleted` : `${uid} ${generation}`
      users.delete(key)
      users.set(key, user)
      if (users.size > MAX_ADMITTED) users.delete(users.keys().next().value ?? '')
    },
    ofChange: (uid, generation) => users.get(`${uid} ${generation}`),
    ofDeletion: (uid) => users.get(`${uid} deleted`),
  }
}
