import type { DocumentKind } from '../../contract/session.ts'
import type { Issue } from '../../model/result.ts'

/** Where one sidecar stands with one document. */
export interface Standing {
  /** The newest version it said it obeys. */
  readonly acknowledged?: string
  /** The newest version it refused, and why; gone once it acknowledges a newer one. */
  readonly refused?: { readonly version: string; readonly issues: readonly Issue[] }
}

/** One sidecar of a workload. */
export interface SidecarStanding {
  readonly workload: string
  /** `namespace/name`. */
  readonly pod: string
  readonly connected: boolean
  readonly release: string
  readonly contract: number
  /** Milliseconds since the epoch of the last connect or disconnect. */
  readonly since: number
  /** The fingerprint of the root that vouches for the certificate it showed; undefined: nobody knows. */
  readonly root?: string | undefined
  readonly documents: Readonly<Partial<Record<DocumentKind, Standing>>>
}

/** Who acknowledged what: the base of `Programmed`. A sidecar that left is forgotten when its session ends. */
export interface Acknowledgements {
  all(): readonly SidecarStanding[]
  of(workload: string): readonly SidecarStanding[]
  /** Called after each change, at once; coalesce what is costly. */
  onChange(listener: () => void): () => void
}

export interface AcknowledgementTable extends Acknowledgements {
  connect(key: string, sidecar: Omit<SidecarStanding, 'connected' | 'documents'>): void
  acknowledge(key: string, document: DocumentKind, version: string): void
  refuse(key: string, document: DocumentKind, version: string, issues: readonly Issue[]): void
  disconnect(key: string): void
}

/** Bounded by the number of sessions, which the push server bounds. */
export function createAcknowledgementTable(): AcknowledgementTable {
  const sidecars = new Map<string, SidecarStanding>()
  const byWorkload = new Map<string, Map<string, SidecarStanding>>()
  const listeners = new Set<() => void>()
  const changed = () => {
    for (const listener of listeners) listener()
  }
  const put = (key: string, standing: SidecarStanding) => {
    sidecars.set(key, standing)
    const peers = byWorkload.get(standing.workload) ?? new Map<string, SidecarStanding>()
    byWorkload.set(standing.workload, peers)
    peers.set(key, standing)
    changed()
  }
  const update = (key: string, document: DocumentKind, standing: (before: Standing) => Standing) => {
    const known = sidecars.get(key)
    if (known === undefined) return
    const documents = { ...known.documents, [document]: standing(known.documents[document] ?? {}) }
    put(key, { ...known, documents })
  }
  return {
    all: () => [...sidecars.values()],
    of: (workload) => [...(byWorkload.get(workload)?.values() ?? [])],
    onChange(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    connect(key, sidecar) {
      put(key, { ...sidecar, connected: true, documents: {} })
    },
    acknowledge: (key, document, version) => update(key, document, () => ({ acknowledged: version })),
    refuse: (key, document, version, issues) =>
      update(key, document, (before) => ({ ...before, refused: { version, issues } })),
    disconnect(key) {
      const known = sidecars.get(key)
      if (known === undefined) return
      sidecars.delete(key)
      const peers = byWorkload.get(known.workload)
      peers?.delete(key)
      if (peers?.size === 0) byWorkload.delete(known.workload)
      changed()
    },
  }
}
