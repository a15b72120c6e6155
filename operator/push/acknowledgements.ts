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
  /** The sidecars of one workload, the one that connected last at the end. */
  of(workload: string): readonly SidecarStanding[]
  /** Called after each change, at once; coalesce what is costly. */
  onChange(listener: () => void): () => void
}

export interface AcknowledgementTable extends Acknowledgements {
  connect(key: string, sidecar: Omit<SidecarStanding, 'connected' | 'documents'>): void
  acknowledge(key: string, document: DocumentKind, version: string): void
  refuse(key: string, document: DocumentKind, version: string, issues: readonly Issue[]): void
  disconnect(key: string): void
  /** By the key of the session. */
  get(key: string): SidecarStanding | undefined
  keys(): readonly string[]
  /** Called with the key of what is new, different or gone, at once. */
  onChange(listener: (key: string) => void): () => void
}

/** Characters of a version that are kept. One of ours has 43. */
const MAX_VERSION = 256

/**
 * Of why a document was refused: issues that are kept, and characters of each text. A sidecar may say what it likes, and
 * all of it is held for every session and told to the operator that leads.
 */
const MAX_ISSUES = 64
const MAX_CODE = 64
const MAX_TEXT = 1_024
/** Characters of all texts of one refusal. */
const MAX_REFUSAL = 16_384

/** Bounded by the number of sessions, which the push server bounds. */
export function createAcknowledgementTable(): AcknowledgementTable {
  const index = createStandingIndex()
  const listeners = new Set<(key: string) => void>()
  const changed = (key: string) => {
    for (const listener of listeners) listener(key)
  }
  const update = (key: string, document: DocumentKind, standing: (before: Standing) => Standing) => {
    const known = index.get(key)
    if (known === undefined) return
    const documents = { ...known.documents, [document]: standing(known.documents[document] ?? {}) }
    index.set(key, { ...known, documents })
    changed(key)
  }
  return {
    all: () => index.all(),
    of: (workload) => index.of(workload),
    get: (key) => index.get(key),
    keys: () => index.keys(),
    onChange(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    connect(key, sidecar) {
      index.set(key, { ...sidecar, connected: true, documents: {} })
      changed(key)
    },
    acknowledge: (key, document, version) =>
      update(key, document, () => ({ acknowledged: version.slice(0, MAX_VERSION) })),
    refuse: (key, document, version, issues) =>
      update(key, document, (before) => ({
        ...before,
        refused: { version: version.slice(0, MAX_VERSION), issues: keptOf(issues) },
      })),
    disconnect(key) {
      if (index.delete(key)) changed(key)
    },
  }
}

/** The first issues, cut to what is kept; at least one of those that there are. */
function keptOf(issues: readonly Issue[]): readonly Issue[] {
  const kept: Issue[] = []
  let total = 0
  for (const { code, severity, path, message, fix } of issues.slice(0, MAX_ISSUES)) {
    const cut: Issue = {
      code: code.slice(0, MAX_CODE),
      severity,
      path: path.slice(0, MAX_TEXT),
      message: message.slice(0, MAX_TEXT),
      ...(fix !== undefined && { fix: fix.slice(0, MAX_TEXT) }),
    }
    total += cut.code.length + cut.path.length + cut.message.length + (cut.fix?.length ?? 0)
    if (total > MAX_REFUSAL) break
    kept.push(cut)
  }
  return kept
}

/** Sidecars by key, and by workload in the order they came. Whoever fills it bounds it. */
export interface StandingIndex {
  get(key: string): SidecarStanding | undefined
  set(key: string, standing: SidecarStanding): void
  /** Whether there was one. */
  delete(key: string): boolean
  all(): readonly SidecarStanding[]
  of(workload: string): readonly SidecarStanding[]
  keys(): readonly string[]
  readonly size: number
}

export function createStandingIndex(): StandingIndex {
  const sidecars = new Map<string, SidecarStanding>()
  const byWorkload = new Map<string, Map<string, SidecarStanding>>()
  const remove = (key: string) => {
    const known = sidecars.get(key)
    if (known === undefined) return false
    sidecars.delete(key)
    const peers = byWorkload.get(known.workload)
    peers?.delete(key)
    if (peers?.size === 0) byWorkload.delete(known.workload)
    return true
  }
  return {
    get: (key) => sidecars.get(key),
    set(key, standing) {
      const known = sidecars.get(key)
      if (known !== undefined && known.workload !== standing.workload) remove(key)
      sidecars.set(key, standing)
      const peers = byWorkload.get(standing.workload) ?? new Map<string, SidecarStanding>()
      byWorkload.set(standing.workload, peers)
      peers.set(key, standing)
    },
    delete: remove,
    all: () => [...sidecars.values()],
    of: (workload) => [...(byWorkload.get(workload)?.values() ?? [])],
    keys: () => [...sidecars.keys()],
    get size() {
      return sidecars.size
    },
  }
}
