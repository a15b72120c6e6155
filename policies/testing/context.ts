import type { Attached, Levels, SectionContext } from '../../model/section.ts'

/** The place of enforcement of most tests: an HTTP port of workload `shop/orders` in trust domain `mesh`. */
export function contextOf(words: Partial<SectionContext> = {}): SectionContext {
  return {
    namespace: 'shop',
    workload: 'shop/orders',
    port: 80,
    protocol: 'http',
    role: 'sidecar',
    trustDomain: 'mesh',
    authorizationDefault: 'Deny',
    tokenIssuer: () => ({}),
    ...words,
  }
}

/** A policy of namespace `shop`, as it is attached to the whole of its target. */
export function attached<Spec>(name: string, spec: Spec, words: Partial<Attached<Spec>> = {}): Attached<Spec> {
  return {
    spec,
    origin: { kind: 'SecurityPolicy', namespace: 'shop', name, generation: 1 },
    specificity: 0,
    createdAt: '2026-01-01T00:00:00Z',
    ...words,
  }
}

/** A level of a MeshSecurityPolicy. */
export function meshWide<Spec>(name: string, spec: Spec): Attached<Spec> {
  return attached(name, spec, { origin: { kind: 'MeshSecurityPolicy', name, generation: 1 } })
}

export function levelsOf<Spec>(words: Partial<Levels<Spec>>): Levels<Spec> {
  return { floor: [], policies: [], defaults: [], ...words }
}
