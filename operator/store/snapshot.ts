import { type Resource, resourceKey } from '../../model/resource.ts'
import { isSame } from '../../model/same.ts'

/**
 * Every resource there is at one moment. Immutable: two snapshots share all that did not change between them, so that
 * what changed is found by comparing references.
 */
export interface Snapshot {
  /** Rises by one with each change. */
  readonly version: number
  get(kind: string, namespace: string | undefined, name: string): Resource | undefined
  /** Resources of a kind in one namespace (`undefined`: the cluster-scoped ones), by name. The same array as long as none of them changes. */
  inNamespace(kind: string, namespace: string | undefined): readonly Resource[]
  /** Resources of a kind, by namespace and name. The same array as long as none of them changes. */
  ofKind(kind: string): readonly Resource[]
  /** Namespaces that hold anything, in order; those without a Namespace resource too. */
  namespaces(): readonly string[]
  /** Keys (`Kind/namespace/name`) of what is new, different or gone since `earlier`. Costs what the changed kinds and namespaces hold. */
  changedSince(earlier: Snapshot): readonly string[]
}

/** A snapshot of these resources. A later one of the same kind, namespace and name replaces an earlier one. */
export function snapshotOf(resources: Iterable<Resource>): StoredSnapshot {
  const changes = new Map<string, ResourceChange>()
  for (const resource of resources) {
    const { kind, metadata } = resource
    changes.set(resourceKey(kind, metadata.namespace, metadata.name), {
      kind,
      namespace: metadata.namespace,
      name: metadata.name,
      resource,
    })
  }
  return EMPTY.with(changes.values())
}

export interface ResourceChange {
  readonly kind: string
  readonly namespace: string | undefined
  readonly name: string
  /** Undefined: it is gone. */
  readonly resource: Resource | undefined
}

/** Resources of one kind and one namespace. */
interface Bucket {
  readonly byName: ReadonlyMap<string, Resource>
  sorted: readonly Resource[] | undefined
}

type Buckets = ReadonlyMap<string, Bucket>

/** The namespace of what is cluster-scoped; no namespace is called so. */
const CLUSTER = ''

const NONE: readonly Resource[] = Object.freeze([])
const NO_BUCKETS: Buckets = new Map()

/** A {@link Snapshot} that knows how to become the next one. */
export class StoredSnapshot implements Snapshot {
  readonly version: number
  readonly #kinds: ReadonlyMap<string, Buckets>
  readonly #ofKind = new Map<string, readonly Resource[]>()
  #namespaces: readonly string[] | undefined

  constructor(version: number, kinds: ReadonlyMap<string, Buckets>) {
    this.version = version
    this.#kinds = kinds
  }

  /** The snapshot after these changes; this very one when they change nothing. */
  with(changes: Iterable<ResourceChange>): StoredSnapshot {
    const kinds = new Map<string, Map<string, { byName: Map<string, Resource> }>>()
    let changed = false
    for (const { kind, namespace = CLUSTER, name, resource } of changes) {
      const buckets = kinds.get(kind) ?? new Map<string, { byName: Map<string, Resource> }>()
      const byName = buckets.get(namespace)?.byName ?? new Map(this.#kinds.get(kind)?.get(namespace)?.byName ?? [])
      const known = byName.get(name)
      if (resource === undefined ? known === undefined : known !== undefined && isSame(known, resource)) continue
      changed = true
      if (resource === undefined) byName.delete(name)
      else byName.set(name, resource)
      kinds.set(kind, buckets)
      buckets.set(namespace, { byName })
    }
    if (!changed) return this

    const next = new Map(this.#kinds)
    for (const [kind, buckets] of kinds) {
      const all = new Map(this.#kinds.get(kind) ?? [])
      for (const [namespace, { byName }] of buckets) {
        if (byName.size === 0) all.delete(namespace)
        else all.set(namespace, { byName, sorted: undefined })
      }
      if (all.size === 0) next.delete(kind)
      else next.set(kind, all)
    }
    const snapshot = new StoredSnapshot(this.version + 1, next)
    for (const [kind, list] of this.#ofKind) if (!kinds.has(kind)) snapshot.#ofKind.set(kind, list)
    return snapshot
  }

  get(kind: string, namespace: string | undefined, name: string): Resource | undefined {
    return this.#kinds
      .get(kind)
      ?.get(namespace ?? CLUSTER)
      ?.byName.get(name)
  }

  inNamespace(kind: string, namespace: string | undefined): readonly Resource[] {
    const bucket = this.#kinds.get(kind)?.get(namespace ?? CLUSTER)
    if (bucket === undefined) return NONE
    bucket.sorted ??= [...bucket.byName.values()].sort(byName)
    return bucket.sorted
  }

  ofKind(kind: string): readonly Resource[] {
    const known = this.#ofKind.get(kind)
    if (known !== undefined) return known
    const buckets = this.#kinds.get(kind)
    if (buckets === undefined) return NONE
    const list = [...buckets.keys()].sort().flatMap((namespace) => this.inNamespace(kind, namespace || undefined))
    this.#ofKind.set(kind, list)
    return list
  }

  namespaces(): readonly string[] {
    if (this.#namespaces === undefined) {
      const names = new Set(this.inNamespace('Namespace', undefined).map(({ metadata }) => metadata.name))
      for (const buckets of this.#kinds.values()) for (const namespace of buckets.keys()) names.add(namespace)
      names.delete(CLUSTER)
      this.#namespaces = [...names].sort()
    }
    return this.#namespaces
  }

  changedSince(earlier: Snapshot): readonly string[] {
    if (!(earlier instanceof StoredSnapshot)) throw new TypeError('snapshots of two kinds cannot be compared')
    const changed: string[] = []
    for (const kind of new Set([...this.#kinds.keys(), ...earlier.#kinds.keys()])) {
      const now = this.#kinds.get(kind) ?? NO_BUCKETS
      const then = earlier.#kinds.get(kind) ?? NO_BUCKETS
      if (now === then) continue
      for (const namespace of new Set([...now.keys(), ...then.keys()])) {
        const here = now.get(namespace)
        const there = then.get(namespace)
        if (here === there) continue
        const names = new Set([...(here?.byName.keys() ?? []), ...(there?.byName.keys() ?? [])])
        for (const name of names) {
          if (here?.byName.get(name) !== there?.byName.get(name)) {
            changed.push(resourceKey(kind, namespace || undefined, name))
          }
        }
      }
    }
    return changed.sort()
  }
}

/** No resources. */
export const EMPTY = new StoredSnapshot(0, new Map())

function byName(a: Resource, b: Resource): number {
  return a.metadata.name < b.metadata.name ? -1 : a.metadata.name > b.metadata.name ? 1 : 0
}
