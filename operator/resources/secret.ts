import type { Resource } from '../../model/resource.ts'

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
