import type { Resource } from '../../model/resource.ts'

/** The name of a resource: what `removed` needs to know of it. */
export interface ResourceRef {
  readonly kind: string
  /** Absent for cluster-scoped kinds. */
  readonly namespace?: string
  readonly name: string
}

/** The newest state of one resource, or that it is gone. Never what happened in between: the operator is level-based. */
export type Change =
  | { readonly type: 'set'; readonly resource: Resource }
  | { readonly type: 'removed'; readonly ref: ResourceRef }

/** Where a source tells what it knows. The store is one. */
export interface Sink {
  /**
   * Takes changes that belong together: readers see all of them or none, so that a file or a transaction that touches a
   * policy and its issuer is never half in force. A `set` of what the sink already has is no change.
   *
   * Every resource is of a kind in `resources/kinds.ts`. Its schema need not have passed: see `translate/policy.ts`.
   */
  apply(changes: readonly Change[]): void
  /** Everything that was there at the start has been told. Until then nobody acts: a partial list would remove what is missing. */
  synced(): void
}

/**
 * A way in for resources: a directory of YAML, or the Kubernetes API.
 *
 * `run` tells the sink what there is, calls `synced` once, then tells what changes until `signal` aborts. It resolves when
 * it has let go of everything it held, and rejects only when it can never work (a directory that does not exist).
 * Passing troubles are its own to retry: what the sink has stays as it is meanwhile.
 */
export interface Source {
  run(sink: Sink, signal: AbortSignal): Promise<void>
}
