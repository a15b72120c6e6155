/** The Kubernetes envelope of a resource: what every kind has in common. `spec` and the rest are `unknown` until their schema passed. */
export interface Resource<Spec = unknown> {
  readonly apiVersion: string
  readonly kind: string
  readonly metadata: Metadata
  readonly spec?: Spec
  /** Secret and ConfigMap. */
  readonly data?: Readonly<Record<string, string>>
  readonly stringData?: Readonly<Record<string, string>>
  readonly type?: string
  readonly status?: unknown
}

export interface Metadata {
  readonly name: string
  /** Absent for cluster-scoped kinds. */
  readonly namespace?: string
  readonly uid?: string
  /** Raised with each change of `spec`. The files source counts from 1. */
  readonly generation?: number
  readonly creationTimestamp?: string
  readonly deletionTimestamp?: string
  /** Who wrote the object last, its status apart, as the API server says it. Of policies, routes and grants only. */
  readonly lastChange?: LastChange
  readonly labels?: Readonly<Record<string, string>>
  readonly annotations?: Readonly<Record<string, string>>
  readonly ownerReferences?: readonly {
    readonly apiVersion: string
    readonly kind: string
    readonly name: string
    readonly uid?: string
  }[]
}

/** The newest of an object's `managedFields`: a program's name, which anybody may choose, and no user's. */
export interface LastChange {
  readonly manager: string
  readonly operation: string
  /** RFC 3339. */
  readonly time: string
}

/** A reference to a resource, or to a section of it, in the namespace of whoever refers (GEP-713). */
export interface TargetRef {
  readonly group?: string
  readonly kind: string
  readonly name?: string
  readonly sectionName?: string
  readonly selector?: LabelSelector
}

/** `metav1.LabelSelector`; an empty one selects everything. */
export interface LabelSelector {
  readonly matchLabels?: Readonly<Record<string, string>>
  readonly matchExpressions?: readonly {
    readonly key: string
    readonly operator: 'In' | 'NotIn' | 'Exists' | 'DoesNotExist'
    readonly values?: readonly string[]
  }[]
}

/** `Kind/namespace/name`, or `Kind/name`: how issues, logs and keys of maps name a resource. */
export function resourceKey(kind: string, namespace: string | undefined, name: string): string {
  return namespace === undefined ? `${kind}/${name}` : `${kind}/${namespace}/${name}`
}

/** The generation that statuses and origins speak of; 1 when the source knows none. */
export function generationOf({ metadata }: Resource): number {
  return metadata.generation ?? 1
}
