/** Which resource, or which collection of them, a request is about. */
export interface ResourcePath {
  /** `v1`, `apps/v1`, `hauberk.dev/v1alpha1`. */
  readonly apiVersion: string
  /** As in the path: `pods`, `securitypolicies`. */
  readonly plural: string
  /** Absent for cluster-scoped kinds, and for the collection of all namespaces. */
  readonly namespace?: string | undefined
  /** Absent for the collection. */
  readonly name?: string | undefined
  /** `status`, `scale`, `token`. */
  readonly subresource?: string | undefined
}

/**
 * `/apis/apps/v1/namespaces/shop/deployments/orders/status`. Every part is escaped; throws a `RangeError` for one that
 * would lead out of its place.
 */
export function resourcePath({ apiVersion, plural, namespace, name, subresource }: ResourcePath): string {
  const root = apiVersion.includes('/') ? '/apis' : '/api'
  const parts = [
    ...apiVersion.split('/'),
    ...(namespace === undefined ? [] : ['namespaces', namespace]),
    plural,
    ...(name === undefined ? [] : [name]),
    ...(subresource === undefined ? [] : [subresource]),
  ]
  for (const part of parts) if (['', '.', '..'].includes(part)) throw new RangeError(`"${part}" is not a name`)
  return [root, ...parts.map(encodeURIComponent)].join('/')
}
