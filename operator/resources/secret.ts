import type { Resource } from '../../model/resource.ts'

/**
 * The kind under which a Secret that the operator's role does not let it read is in a snapshot, by the Secret's own
 * namespace and name. No API server knows it: it is how a source says that a reference is not permitted, rather than
 * that there is nothing.
 */
export const UNREADABLE_SECRET = 'UnreadableSecret'

/** One value of a Secret as text; undefined when it is not there or is no base64. `stringData` wins, as in Kubernetes. */
export function secretText(secret: Resource, key: string): string | undefined {
  const plain = secret.stringData
  if (plain !== undefined && Object.hasOwn(plain, key)) return plain[key]
  const { data } = secret
  const encoded = data !== undefined && Object.hasOwn(data, key) ? data[key] : undefined
  if (encoded === undefined) return undefined
  try {
    return new TextDecoder().decode(Uint8Array.from(atob(encoded), (character) => character.charCodeAt(0)))
  } catch {
    return undefined
  }
}
