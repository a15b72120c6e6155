import { KubernetesError } from './errors.ts'

/** An object as the API server sends it: what every one has, and the rest unread. */
export interface KubernetesObject {
  readonly apiVersion?: string
  readonly kind?: string
  readonly metadata: ObjectMetadata
  readonly [field: string]: unknown
}

export interface ObjectMetadata {
  readonly name: string
  readonly namespace?: string
  readonly uid?: string
  readonly resourceVersion?: string
  readonly [field: string]: unknown
}

/** The name of an object within its kind. */
export interface ObjectName {
  readonly namespace?: string
  readonly name: string
}

export function nameOf({ metadata: { namespace, name } }: KubernetesObject): ObjectName {
  return namespace === undefined ? { name } : { namespace, name }
}

/** Unique within a kind: neither part can hold a slash. */
export function nameKey({ namespace, name }: ObjectName): string {
  return `${namespace ?? ''}/${name}`
}

/** Reads what every object has. Throws a `KubernetesError` (`Malformed`) for anything else. */
export function readObject(value: unknown): KubernetesObject {
  const { metadata } = recordOf(value)
  const { name, namespace, resourceVersion, uid } = recordOf(metadata)
  const isText = (field: unknown) => field === undefined || typeof field === 'string'
  if (typeof name !== 'string' || name === '' || ![namespace, resourceVersion, uid].every(isText)) {
    throw new KubernetesError({ status: 0, reason: 'Malformed', message: 'what came is no Kubernetes object' })
  }
  return value as KubernetesObject
}

/** The members of an object; none of anything else. */
export function recordOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : {}
}
