/** What a Secret holds. */
export interface SecretData {
  /** By key; base64, as Kubernetes has it. */
  readonly data: Readonly<Record<string, string>>
}

/** How a policy names a Secret. */
export interface SecretReference {
  readonly name: string
  /**
   * Absent: the policy's own; of a policy for the whole mesh, that of the mesh. Another namespace than a policy's own must
   * grant it (a ReferenceGrant).
   */
  readonly namespace?: string
}

/** One value as text; undefined when it is not there, is no base64, or is no UTF-8. */
export function secretText({ data }: SecretData, key: string): string | undefined {
  const encoded = Object.hasOwn(data, key) ? data[key] : undefined
  if (encoded === undefined) return undefined
  try {
    const bytes = Uint8Array.from(atob(encoded), (character) => character.charCodeAt(0))
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    return undefined
  }
}
