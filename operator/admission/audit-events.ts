import type { AuditEvent } from '../audit/audit.ts'
import type { AdmissionAnswer, AdmissionRequest } from './admission-review.ts'

/**
 * What somebody asked the API server to store or delete, and what the webhook said to it. The user is as the API server authenticated
 * them, and known from admission alone: whether it was stored then, other webhooks have a say in, and the record of the change tells.
 */
export function policyReviewed(request: AdmissionRequest, answer: AdmissionAnswer): AuditEvent {
  const { kind, namespace, name, operation, user } = request
  const { generateName, generation, uid } = metadataOf(operation === 'DELETE' ? request.oldObject : request.object)
  return {
    action: answer.allowed ? 'policy-admitted' : 'policy-refused',
    fields: {
      'user.name': user === '' ? undefined : user,
      'hauberk.audit.known_by': 'admission',
      'hauberk.audit.operation': operation,
      'hauberk.resource.kind': kind.kind,
      'hauberk.resource.namespace': namespace === '' ? undefined : namespace,
      'hauberk.resource.name': name === '' ? textOf(generateName) : name,
      'hauberk.resource.uid': textOf(uid),
      'hauberk.resource.generation': typeof generation === 'number' ? generation : undefined,
      'hauberk.issues': answer.allowed ? undefined : answer.issues.map(({ code, path }) => `${code} ${path}`),
    },
  }
}

/** What an object says of itself; the API server has checked it. */
export function metadataOf(object: unknown): Readonly<Record<string, unknown>> {
  const metadata = (object as { readonly metadata?: unknown } | null | undefined)?.metadata
  return typeof metadata === 'object' && metadata !== null ? (metadata as Record<string, unknown>) : {}
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined
}
