import type { BackendReference, UpstreamReference } from './backend-calls.ts'
import type { Origin } from './origin.ts'
import type { Issue, Result } from './result.ts'
import type { SecretData, SecretReference } from './secret.ts'

/** An OpenAPI v3 structural schema as a CRD holds it: the subset that Kubernetes takes. */
export interface JsonSchema {
  readonly [keyword: string]: unknown
}

/** What one policy says about one section, and how it came to apply here. */
export interface Attached<Spec> {
  readonly spec: Spec
  readonly origin: Origin
  /** Higher is nearer to the request: whole target < port or listener (`sectionName`) < route. */
  readonly specificity: number
  /** RFC 3339; the older policy wins where one value must be chosen. Empty when the source knows none. */
  readonly createdAt: string
}

/**
 * Everything said about one section at one place of enforcement: a port of a workload, or a route of a gateway.
 * Lists are ordered: more specific first, then older, then by namespace and name.
 */
export interface Levels<Spec> {
  readonly floor: readonly Attached<Spec>[]
  readonly policies: readonly Attached<Spec>[]
  readonly defaults: readonly Attached<Spec>[]
}

/** What a section may know of the place and of the resources that policies refer to. All of it is part of the slice. */
export interface SectionContext {
  /** Namespace of the workload (or of the Gateway or route at a gateway). */
  readonly namespace: string
  readonly workload: string
  readonly port: number
  readonly protocol: 'http' | 'tcp'
  /** What is spoken on a port of opaque TCP, where `appProtocol`, its name or its number says so. */
  readonly database?: 'postgres'
  readonly role: 'sidecar' | 'gateway'
  readonly trustDomain: string
  /**
   * What holds where no authorization policy speaks. At a sidecar: MeshConfig `authorization.default`. At a gateway: `Allow`
   * where every backend has a sidecar that keeps to that default, and the same default where one has none.
   */
  readonly authorizationDefault: 'Deny' | 'Allow'
  /** MeshConfig `maxTokenLifetime` in seconds; undefined when the mesh sets none. */
  readonly maxTokenLifetimeSeconds?: number
  /** The spec of a TokenIssuer; undefined when it is missing or does not admit this namespace. */
  tokenIssuer(name: string): unknown
  /**
   * What a Secret holds that the policy `by` names. Failing, its issues say why (there is none, or nobody permits it), with
   * `by` as their resource and no path: put them under that of the reference. Only what `Section.secretRefs` tells is there.
   */
  secret(reference: SecretReference, by: Origin): Result<SecretData>
  /**
   * The upstream of a service that the policy `by` has asked (`FilterDeps.calls`): a Service of the mesh, or a host of the egress
   * list. Failing, its issues say why, with `by` as their resource and no path.
   */
  upstream(reference: BackendReference, by: Origin): Result<UpstreamReference>
}

export interface Combined<Value> {
  readonly value: Value
  /** Every policy that the value came from. */
  readonly origins: readonly Origin[]
  /** Single-valued sections: who lost, and to whom (POLICY-API rule 6). */
  readonly overridden?: readonly {
    readonly loser: Origin
    readonly winner: Origin
    /** It asked for less than the floor. The floor holds all the same; whoever wrote the policy must hear of it. */
    readonly weakensFloor?: true
  }[]
  /** Rules that say nothing on a port of this protocol (POLICY-API rule 7), or that the floor does not permit. */
  readonly notApplied?: readonly {
    readonly origin: Origin
    readonly path: string
    readonly reason: string
    readonly weakensFloor?: true
  }[]
}

/** A part of a policy that one room owns, as the operator sees it: the door `section.ts` of a room. */
export interface Section<Spec = unknown, Value = unknown, Config = unknown> {
  /** The filter that it configures. */
  readonly filter: string
  /** As docs and issues name it, such as `authentication.jwt`. */
  readonly name: string
  /** `calls`: it says something of the calls that a workload makes, once for all of them. Absent: of the requests to it. */
  readonly of?: 'calls'
  /** The properties it adds to `spec` of a SecurityPolicy, as a tree; the trees of all sections are merged. */
  readonly schema: { readonly [property: string]: JsonSchema }
  /** Properties that only `floor` of a MeshSecurityPolicy has. */
  readonly floorSchema?: { readonly [property: string]: JsonSchema }
  /** The part of a policy's `spec` (or `floor`, or `defaults`) that is this section's; undefined when it says nothing. */
  pick(spec: Readonly<Record<string, unknown>>): Spec | undefined
  /** False for a spec that only says something to what others ask, so that nothing is to be told where it has no effect. Absent: true. */
  asks?(spec: Spec): boolean
  /** What a schema cannot see but one policy alone shows: an expression or template that does not parse. Paths are below `spec`. */
  review(spec: Spec): readonly Issue[]
  /** The Secrets that it names: they are what the operator reads, and `SectionContext.secret` finds no others. Absent: none. */
  secretRefs?(spec: Spec): readonly SecretReference[]
  /** Settles what floor, policies and defaults come to. Undefined: nothing is to be enforced here. */
  combine(levels: Levels<Spec>, context: SectionContext): Combined<Value> | undefined
  /** What is said and has no effect where `combine` comes to nothing: whoever wrote it must hear of it. Absent: nothing is. */
  unapplied?(levels: Levels<Spec>, context: SectionContext): NonNullable<Combined<Value>['notApplied']>
  /** The filter's config. A failure (a reference that does not resolve) closes the route for this section. */
  translate(value: Value, context: SectionContext): Result<Config>
}

export function defineSection<Spec, Value, Config>(
  section: Section<Spec, Value, Config>,
): Section<Spec, Value, Config> {
  return section
}

/** More specific first, then older, then by namespace and name: the order of `Levels`. */
export function compareAttached(a: Attached<unknown>, b: Attached<unknown>): number {
  if (a.specificity !== b.specificity) return b.specificity - a.specificity
  if (a.createdAt !== b.createdAt) return a.createdAt < b.createdAt ? -1 : 1
  const left = `${a.origin.namespace ?? ''}/${a.origin.name}`
  const right = `${b.origin.namespace ?? ''}/${b.origin.name}`
  return left < right ? -1 : left > right ? 1 : 0
}
