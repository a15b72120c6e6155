import { parseLabelSelector } from '../../model/match/labels.ts'
import type { Origin } from '../../model/origin.ts'
import { generationOf, type LabelSelector, type Resource, resourceKey, type TargetRef } from '../../model/resource.ts'
import { type Issue, issue, under } from '../../model/result.ts'
import type { JsonSchema, Section } from '../../model/section.ts'
import { type MeshSecurityPolicySpec, meshSecurityPolicySpecSchema } from '../resources/mesh-security-policy.ts'
import type { PolicyMode } from '../resources/policy-mode.ts'
import { type SecurityPolicySpec, securityPolicySpecSchema, TARGET_GROUPS } from '../resources/security-policy.ts'
import { checkRules } from '../resources/spec.ts'
import { checkStructure } from '../resources/structural.ts'

/**
 * A policy, read. Nothing in it is of another shape than its schema's: what is not, is only said to be `unreadable`.
 *
 * A policy that cannot be read still counts, or garbage would open what the policy closed: it refuses everything it may
 * have been about.
 */
export interface Policy {
  /** `SecurityPolicy/namespace/name` or `MeshSecurityPolicy/name`. */
  readonly key: string
  readonly origin: Origin
  readonly createdAt: string
  /** `Enforce` also for a policy whose mode cannot be read. */
  readonly mode: PolicyMode
  /** Why it cannot be read. It then has no parts. */
  readonly unreadable?: string
  /** What is wrong with it, path from the root of the resource. */
  readonly issues: readonly Issue[]
}

export interface WorkloadPolicy extends Policy {
  /** Undefined: they cannot be read, so it may have been about anything in its namespace. */
  readonly targetRefs: readonly TargetRef[] | undefined
  /** By name of the section. */
  readonly sections: Parts
}

export interface MeshPolicy extends Policy {
  /** Undefined: it cannot be read, so it may have been about any namespace. */
  readonly namespaceSelector: LabelSelector | undefined
  readonly roles: readonly ('sidecar' | 'gateway')[]
  readonly floor: Parts
  readonly defaults: Parts
}

export type Parts = ReadonlyMap<string, PolicyPart>

/** What a policy says about one section. */
export interface PolicyPart {
  readonly spec: unknown
  /** What the section's review found; the section refuses then. */
  readonly broken?: string
}

export interface PolicyReader {
  readWorkloadPolicy(resource: Resource): WorkloadPolicy
  readMeshPolicy(resource: Resource): MeshPolicy
}

/** Reads policies; remembers, weakly, what it read. */
export function createPolicyReader(sections: readonly Section[]): PolicyReader {
  const workloadSchema = securityPolicySpecSchema(sections)
  const meshSchema = meshSecurityPolicySpecSchema(sections)
  const workloadPolicies = new WeakMap<Resource, WorkloadPolicy>()
  const meshPolicies = new WeakMap<Resource, MeshPolicy>()
  return {
    readWorkloadPolicy(resource) {
      const policy = workloadPolicies.get(resource) ?? readWorkloadPolicy(resource, workloadSchema, sections)
      workloadPolicies.set(resource, policy)
      return policy
    },
    readMeshPolicy(resource) {
      const policy = meshPolicies.get(resource) ?? readMeshPolicy(resource, meshSchema, sections)
      meshPolicies.set(resource, policy)
      return policy
    },
  }
}

const NO_PARTS: Parts = new Map()

function readWorkloadPolicy(resource: Resource, schema: JsonSchema, sections: readonly Section[]): WorkloadPolicy {
  const issues = checkStructure(schema, resource.spec === undefined ? {} : resource.spec, 'refuse')
  const written = recordOf(resource.spec)
  const refs = written['targetRefs']
  const refsAreRead = !issues.some(({ path }) => path === '' || path.startsWith('targetRefs'))
  const refIssues = refsAreRead ? (refs as readonly TargetRef[]).flatMap(reviewTargetRef) : []
  const targetRefs = refsAreRead && refIssues.length === 0 ? (refs as readonly TargetRef[]) : undefined
  const wrong = withRules([...issues, ...refIssues], schema, resource.spec)
  const mode = modeOf(written, issues)
  if (wrong.length > 0) return { ...unreadable(resource, wrong), mode, targetRefs, sections: NO_PARTS }
  const { parts, issues: found } = partsOf(resource.spec as SecurityPolicySpec, '', sections)
  return { ...common(resource, found), mode, targetRefs, sections: parts }
}

function readMeshPolicy(resource: Resource, schema: JsonSchema, sections: readonly Section[]): MeshPolicy {
  const issues = checkStructure(schema, resource.spec === undefined ? {} : resource.spec, 'refuse')
  const written = recordOf(resource.spec)
  const isRead = (field: string) => !issues.some(({ path }) => path === '' || path.startsWith(field))
  const selector = isRead('namespaceSelector') ? ((written['namespaceSelector'] ?? {}) as LabelSelector) : undefined
  const parsed = selector === undefined ? undefined : parseLabelSelector(selector)
  const selectorIssues =
    parsed === undefined || parsed.ok ? [] : parsed.issues.map((found) => under('namespaceSelector', found))
  const reach = {
    namespaceSelector: parsed?.ok === true ? selector : undefined,
    roles: isRead('roles')
      ? ((written['roles'] ?? ['Sidecar']) as NonNullable<MeshSecurityPolicySpec['roles']>).map((role) =>
          role === 'Gateway' ? ('gateway' as const) : ('sidecar' as const),
        )
      : (['sidecar', 'gateway'] as const),
  }
  const mode = modeOf(written, issues)
  const wrong = withRules([...issues, ...selectorIssues], schema, resource.spec)
  if (wrong.length > 0) return { ...unreadable(resource, wrong), mode, ...reach, floor: NO_PARTS, defaults: NO_PARTS }
  const spec = resource.spec as MeshSecurityPolicySpec | undefined
  const floor = partsOf(spec?.floor ?? {}, 'floor', sections)
  const defaults = partsOf(spec?.defaults ?? {}, 'defaults', sections)
  return {
    ...common(resource, [...floor.issues, ...defaults.issues]),
    mode,
    ...reach,
    floor: floor.parts,
    defaults: defaults.parts,
  }
}

/**
 * What is wrong, and where nothing is, what the schema's CEL rules say. The API server asks them too, unless its
 * CustomResourceDefinition is another one.
 */
function withRules(wrong: readonly Issue[], schema: JsonSchema, spec: unknown): readonly Issue[] {
  return wrong.length > 0 ? wrong : checkRules(schema, spec)
}

/** What the schema's CEL rules say of a target, for whoever was not asked to obey them. */
function reviewTargetRef({ group, kind, name, sectionName, selector }: TargetRef, i: number): Issue[] {
  const wrong = (field: string, message: string, fix?: string) => [
    issue('malformed-target', `targetRefs[${i}]${field}`, message, fix),
  ]
  if (!Object.hasOwn(TARGET_GROUPS, kind)) return wrong('.kind', 'is not a kind that a policy can be attached to')
  const belongs = TARGET_GROUPS[kind as keyof typeof TARGET_GROUPS]
  if (group !== undefined && group !== belongs)
    return wrong('.group', `is not the group of ${kind}`, `write '${belongs}'`)
  if (kind !== 'Pod') {
    if (name === undefined) return wrong('.name', 'is required', `name a ${kind}`)
    return selector === undefined ? [] : wrong('.selector', 'is for Pod only', 'leave it out')
  }
  if (selector === undefined) return wrong('.selector', 'is required', 'write {matchLabels: {...}}, or {} for all pods')
  if (name !== undefined) return wrong('.name', 'is not for Pod', 'select pods by label')
  if (sectionName !== undefined) return wrong('.sectionName', 'is not for Pod', 'target a Service to name one port')
  const parsed = parseLabelSelector(selector)
  return parsed.ok ? [] : parsed.issues.map((found) => under(`targetRefs[${i}].selector`, found))
}

function partsOf(
  spec: Readonly<Record<string, unknown>>,
  prefix: string,
  sections: readonly Section[],
): { readonly parts: Parts; readonly issues: readonly Issue[] } {
  const parts = new Map<string, PolicyPart>()
  const issues: Issue[] = []
  for (const section of sections) {
    let picked: unknown
    let found: readonly Issue[]
    try {
      picked = section.pick(spec)
      found = picked === undefined ? [] : section.review(picked)
    } catch (error) {
      // The room could not read what its own schema passed. It has not said that the policy is harmless.
      found = [issue('unreadable-section', section.name, error instanceof Error ? error.message : String(error))]
      picked ??= null
    }
    if (picked === undefined) continue
    issues.push(...found.map((each) => under('spec', under(prefix, each))))
    const broken = found.find(({ severity }) => severity === 'error')
    parts.set(
      section.name,
      broken === undefined ? { spec: picked } : { spec: picked, broken: `${broken.path}: ${broken.message}` },
    )
  }
  return { parts, issues }
}

/** A mode that cannot be read is the one that refuses. */
function modeOf(written: Readonly<Record<string, unknown>>, issues: readonly Issue[]): PolicyMode {
  return issues.some(({ path }) => path === '' || path === 'mode')
    ? 'Enforce'
    : ((written['mode'] ?? 'Enforce') as PolicyMode)
}

function unreadable(resource: Resource, issues: readonly Issue[]) {
  const found = issues.map((each) => under('spec', each))
  const [first] = found
  return { ...common(resource, found), unreadable: `${first?.path}: ${first?.message}` }
}

function common({ kind, metadata, ...rest }: Resource, issues: readonly Issue[]) {
  const { namespace, name, creationTimestamp = '' } = metadata
  return {
    key: resourceKey(kind, namespace, name),
    origin: {
      kind,
      ...(namespace !== undefined && { namespace }),
      name,
      generation: generationOf({ kind, metadata, ...rest }),
    },
    createdAt: creationTimestamp,
    issues,
  }
}

function recordOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : {}
}
