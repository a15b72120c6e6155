import { createHash } from 'node:crypto'
import { generationOf, type Resource, resourceKey } from '../../model/resource.ts'
import { isSame } from '../../model/same.ts'
import { KINDS } from '../resources/kinds.ts'
import type { Store } from '../store/store.ts'
import type { Audit, AuditAction, AuditEvent } from './audit.ts'

/** Kinds that say what the mesh allows: ours, and those of Gateway API. */
const POLICY_KINDS = KINDS.filter(({ apiVersions }) =>
  apiVersions.some((version) => /^(?:hauberk\.dev|gateway\.networking\.k8s\.io)\//.test(version)),
).map(({ kind }) => kind)

/** Who asked for versions of objects, as far as anybody here was told. */
export interface KnownUsers {
  /** Who asked for this generation of the object. */
  ofChange(uid: string | undefined, generation: number): string | undefined
  /** Who asked for it to be deleted. */
  ofDeletion(uid: string | undefined): string | undefined
}

export interface PolicyFollower {
  /** `kubernetes`: who changed something, managedFields say. `files`: whoever may write them. */
  readonly source: 'kubernetes' | 'files'
  /** The file and line that a resource is from; undefined: it is from none. */
  readonly locate?: (resource: Resource) => string | undefined
  /** Who asked the API server for it. Default: nobody is known. */
  readonly users?: KnownUsers
}

/**
 * Tells of every policy, route and grant that is made, changed or deleted from now on, by whom as far as the watched object says
 * so. What there is at the start is told as a whole: how many there are, and a digest of them. Returns how to stop.
 */
export function followPolicies(store: Store, audit: Audit, { source, locate, users }: PolicyFollower): () => void {
  let lists = new Map<string, readonly Resource[]>()
  let known = new Map<string, Resource>()
  let isFirst = true

  const look = () => {
    const snapshot = store.snapshot()
    const next = new Map(POLICY_KINDS.map((kind) => [kind, snapshot.ofKind(kind)] as const))
    if (!isFirst && [...next].every(([kind, list]) => lists.get(kind) === list)) return
    lists = next
    const found = new Map<string, Resource>()
    for (const resource of [...next.values()].flat()) {
      found.set(resourceKey(resource.kind, resource.metadata.namespace, resource.metadata.name), resource)
    }
    if (isFirst) audit.record(startedWith(found, source))
    else for (const event of changesBetween(known, found)) audit.record(event)
    known = found
    isFirst = false
  }

  function* changesBetween(before: ReadonlyMap<string, Resource>, after: ReadonlyMap<string, Resource>) {
    for (const [key, resource] of after) {
      const earlier = before.get(key)
      if (earlier === undefined) yield eventOf('policy-created', resource)
      else if (earlier !== resource && isOther(earlier, resource)) yield eventOf('policy-changed', resource)
    }
    for (const [key, resource] of before) if (!after.has(key)) yield eventOf('policy-deleted', resource)
  }

  const eventOf = (action: AuditAction, resource: Resource): AuditEvent => {
    const { kind, metadata } = resource
    const isDeletion = action === 'policy-deleted'
    // Who deleted something is in no object: only admission knows.
    const change = isDeletion ? undefined : metadata.lastChange
    const user = isDeletion ? users?.ofDeletion(metadata.uid) : users?.ofChange(metadata.uid, generationOf(resource))
    return {
      action,
      fields: {
        'hauberk.resource.kind': kind,
        'hauberk.resource.namespace': metadata.namespace,
        'hauberk.resource.name': metadata.name,
        'hauberk.resource.uid': metadata.uid,
        'hauberk.resource.generation': generationOf(resource),
        'hauberk.resource.digest': digestOf(resource.spec),
        'hauberk.audit.source': source,
        'hauberk.audit.manager': change?.manager,
        'hauberk.audit.operation': change?.operation,
        'hauberk.audit.changed_at': change?.time,
        'hauberk.audit.known_by': change === undefined ? undefined : 'managed-fields',
        'user.name': user,
        'hauberk.audit.user_known_by': user === undefined ? undefined : 'admission',
        'file.path': locate?.(resource),
      },
    }
  }

  const stop = store.onChange(look)
  if (store.isSynced()) look()
  return stop
}

/** Anything but who wrote it last: that comes with something else, or says nothing. */
function isOther(before: Resource, after: Resource): boolean {
  return (
    before.metadata.uid !== after.metadata.uid ||
    generationOf(before) !== generationOf(after) ||
    !isSame(before.spec, after.spec) ||
    !isSame(before.metadata.labels, after.metadata.labels) ||
    !isSame(before.metadata.annotations, after.metadata.annotations)
  )
}

function startedWith(found: ReadonlyMap<string, Resource>, source: string): AuditEvent {
  const all = [...found.keys()].sort().map((key) => `${key} ${digestOf(found.get(key)?.spec)}`)
  return {
    action: 'audit-started',
    fields: {
      'hauberk.audit.source': source,
      'hauberk.audit.policies': all.length,
      'hauberk.audit.policies_digest': createHash('sha256').update(all.join('\n')).digest('hex'),
    },
  }
}

/** Of what was written, so that a version can be found again; the version itself may be long. */
function digestOf(spec: unknown): string {
  return createHash('sha256')
    .update(JSON.stringify(spec ?? null))
    .digest('hex')
}
