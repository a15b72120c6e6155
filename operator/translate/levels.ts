import type { FilterSlot, FilterSlots, MtlsMode } from '../../contract/workload-config.ts'
import type { Filter } from '../../model/filter.ts'
import { formatOrigin, type Origin } from '../../model/origin.ts'
import { resourceKey } from '../../model/resource.ts'
import { type Issue, issue } from '../../model/result.ts'
import {
  type Attached,
  type Combined,
  compareAttached,
  type Levels,
  type Section,
  type SectionContext,
} from '../../model/section.ts'
import type { MeshPolicy, Policy, PolicyPart, WorkloadPolicy } from './policy.ts'

/** A policy that is attached to a place, and how near (higher is nearer). */
export interface Reach {
  readonly policy: WorkloadPolicy
  readonly specificity: number
}

/** Where policies meet: a port of a workload, or a rule of a route at a gateway's listener. */
export interface Place {
  readonly context: SectionContext
  readonly reaches: readonly Reach[]
  /** The MeshSecurityPolicies that hold here. */
  readonly meshPolicies: readonly MeshPolicy[]
}

/** What came of the policies at one place, for the statuses of those policies. */
export interface Finding {
  /** Key of the policy. */
  readonly policy: string
  readonly type: 'unresolved' | 'overridden' | 'not-applied'
  readonly section: string
  readonly port: number
  readonly message: string
  /** Where in its spec the policy asks for less than the floor. */
  readonly weakensFloor?: string
  /** `unresolved`: what does not resolve. */
  readonly issues?: readonly Issue[]
}

export interface Rooms {
  readonly sections: readonly Section[]
  readonly filters: readonly Filter[]
}

type Mode = FilterSlot['mode']

/** Settles what every section comes to at one place: at most two slots for each filter (POLICY-API, rules of combination). */
export function slotsAt(place: Place, rooms: Rooms): { slots: FilterSlots; findings: Finding[] } {
  const { filters } = rooms
  const sections = rooms.sections.filter(({ of }) => of === undefined)
  const slots: Record<string, FilterSlot[]> = {}
  const findings: Finding[] = []
  const isTcp = place.context.protocol === 'tcp'
  const applies = (filter: string) => {
    const found = filters.find(({ name }) => name === filter)
    return isTcp ? found?.tcp === true : found?.http !== false
  }
  const put = (filter: string, slot: FilterSlot) => {
    const there = slots[filter] ?? []
    slots[filter] = there
    there.push(slot)
  }

  for (const section of sections) {
    if (!applies(section.filter)) {
      findings.push(...notApplied(section, place))
      continue
    }
    const enforced = settle(section, place, 'enforce', findings)
    if (enforced !== undefined) put(section.filter, enforced)
    if (!speaks(section, place, ['DryRun'])) continue
    const dryRun = settle(section, place, 'dry-run', findings)
    if (dryRun !== undefined) put(section.filter, dryRun)
  }
  for (const mode of ['enforce', 'dry-run'] as const) closeUnreadable(place, mode, filters, applies, slots, put)
  return { slots, findings }
}

/** Settles what is asked about the calls of a workload. Whoever cannot be read is told of, and refuses, where requests come in. */
export function slotsOfCalls(place: Place, { sections }: Rooms): { slots: FilterSlots; findings: Finding[] } {
  const slots: Record<string, FilterSlot[]> = {}
  const findings: Finding[] = []
  for (const section of sections) {
    if (section.of !== 'calls' || !speaks(section, place, ['Enforce', 'DryRun'])) continue
    const enforced = settle(section, place, 'enforce', findings)
    const dryRun = speaks(section, place, ['DryRun']) ? settle(section, place, 'dry-run', findings) : undefined
    const both = [enforced, dryRun].filter((slot) => slot !== undefined)
    if (both.length > 0) slots[section.filter] = both
  }
  return { slots, findings }
}

/** How a port takes connections, by what its `mtls` slot came to. Strict wherever that says nothing. */
export function mtlsModeOf(slots: FilterSlots): MtlsMode {
  const slot = slots['mtls']?.find(({ mode }) => mode === 'enforce')
  if (slot?.state !== 'resolved') return 'Strict'
  const mode = (slot.config as { readonly mode?: unknown } | null)?.mode
  return mode === 'Permissive' || mode === 'Disabled' ? mode : 'Strict'
}

function settle(section: Section, place: Place, mode: Mode, findings: Finding[]): FilterSlot | undefined {
  const { context } = place
  const { levels, broken } = levelsOf(section, place, mode)
  const [first] = broken
  if (first !== undefined) {
    return {
      state: 'unresolved',
      mode,
      origins: broken.map(({ origin }) => formatOrigin(origin)),
      reason: `${first.origin.kind} ${formatOrigin(first.origin)}: ${first.reason}`,
    }
  }
  const everyone = [...levels.floor, ...levels.policies, ...levels.defaults].map(({ origin }) => origin)
  const isConcerned = mode === 'enforce' ? () => true : dryRunnersAt(place)
  const fail = (origins: readonly Origin[], issues: readonly Issue[]): FilterSlot => {
    const concerned = new Set(origins.filter(isConcerned).map(keyOf))
    for (const policy of concerned) {
      // A room that knows whose reference it is says so; otherwise all that came together are concerned.
      const own = issues.filter(({ resource = '' }) => resource === policy || !concerned.has(resource))
      if (own.length === 0) continue
      findings.push({
        policy,
        type: 'unresolved',
        section: section.name,
        port: context.port,
        message: own.map(({ path, message }) => (path === '' ? message : `${path} ${message}`)).join('; '),
        issues: own,
      })
    }
    const [found] = issues
    return {
      state: 'unresolved',
      mode,
      origins: unique(origins.map(formatOrigin)),
      reason: `${section.name}: ${found === undefined ? 'does not resolve' : found.message}`,
    }
  }
  try {
    const combined = section.combine(levels, context)
    if (combined === undefined) {
      const unapplied = section.unapplied?.(levels, context)
      if (unapplied !== undefined) findings.push(...tell(section, { notApplied: unapplied }, context.port, isConcerned))
      return undefined
    }
    // A gateway adds nothing where nobody said anything and nothing is refused by default.
    if (everyone.length === 0 && context.role === 'gateway' && context.authorizationDefault === 'Allow')
      return undefined
    findings.push(...tell(section, combined, context.port, isConcerned))
    const config = section.translate(combined.value, context)
    if (!config.ok) return fail(combined.origins, config.issues)
    return { state: 'resolved', mode, origins: unique(combined.origins.map(formatOrigin)), config: config.value }
  } catch (error) {
    // A room that fails has not said yes.
    return fail(everyone, [
      issue('section-failed', section.name, error instanceof Error ? error.message : String(error)),
    ])
  }
}

/** A dry run says something of dry-run policies only: what it would do to the others has not happened. */
function dryRunnersAt({ reaches, meshPolicies }: Place): (origin: Origin) => boolean {
  const policies: readonly Policy[] = [...reaches.map(({ policy }) => policy), ...meshPolicies]
  const keys = new Set(policies.filter(({ mode }) => mode === 'DryRun').map(({ key }) => key))
  return (origin) => keys.has(keyOf(origin))
}

function tell(
  section: Section,
  { overridden = [], notApplied = [] }: Pick<Combined<unknown>, 'overridden' | 'notApplied'>,
  port: number,
  isConcerned: (origin: Origin) => boolean,
): Finding[] {
  return [
    ...overridden
      .filter(({ loser }) => isConcerned(loser))
      .map(
        ({ loser, winner, weakensFloor }): Finding => ({
          policy: keyOf(loser),
          type: 'overridden',
          section: section.name,
          port,
          message: `${section.name} is overridden by ${winner.kind} ${formatOrigin(winner)}`,
          ...(weakensFloor && { weakensFloor: section.name }),
        }),
      ),
    ...notApplied
      .filter(({ origin }) => isConcerned(origin))
      .map(
        ({ origin, path, reason, weakensFloor }): Finding => ({
          policy: keyOf(origin),
          type: 'not-applied',
          section: section.name,
          port,
          message: `${path} does not apply to port ${port}: ${reason}`,
          ...(weakensFloor && { weakensFloor: path }),
        }),
      ),
  ]
}

/** POLICY-API rule 7: a section that only HTTP has says nothing about an opaque port, nor the other way round, and its policy says so. */
function notApplied(section: Section, { reaches, context }: Place): Finding[] {
  return reaches
    .filter(({ policy }) => policy.mode !== 'Off' && policy.sections.has(section.name))
    .map(({ policy }) => ({
      policy: policy.key,
      type: 'not-applied',
      section: section.name,
      port: context.port,
      message: `${section.name} does not apply to port ${context.port}: it ${context.protocol === 'tcp' ? 'is opaque TCP' : 'speaks HTTP'}`,
    }))
}

interface Broken {
  readonly origin: Origin
  readonly reason: string
}

function levelsOf(section: Section, { reaches, meshPolicies }: Place, mode: Mode) {
  const broken: Broken[] = []
  const attach = (policy: Policy, part: PolicyPart | undefined, specificity: number): Attached<unknown>[] => {
    if (part === undefined || !counts(policy, mode)) return []
    if (part.broken !== undefined) broken.push({ origin: policy.origin, reason: part.broken })
    return [{ spec: part.spec, origin: policy.origin, specificity, createdAt: policy.createdAt }]
  }
  const levels: Levels<unknown> = {
    floor: meshPolicies.flatMap((policy) => attach(policy, policy.floor.get(section.name), 0)).sort(compareAttached),
    policies: reaches
      .flatMap(({ policy, specificity }) => attach(policy, policy.sections.get(section.name), specificity))
      .sort(compareAttached),
    defaults: meshPolicies
      .flatMap((policy) => attach(policy, policy.defaults.get(section.name), 0))
      .sort(compareAttached),
  }
  return { levels, broken }
}

/** Whether any policy of these modes has something to say on a section here. */
function speaks(section: Section, { reaches, meshPolicies }: Place, modes: readonly Policy['mode'][]): boolean {
  const { name } = section
  return (
    reaches.some(({ policy }) => modes.includes(policy.mode) && policy.sections.has(name)) ||
    meshPolicies.some((policy) => modes.includes(policy.mode) && (policy.floor.has(name) || policy.defaults.has(name)))
  )
}

/**
 * A policy that cannot be read refuses wherever it may have applied. One slot is enough for that: it takes the place of
 * the first filter that judges here, whatever other policies say in it.
 */
function closeUnreadable(
  { reaches, meshPolicies }: Place,
  mode: Mode,
  filters: readonly Filter[],
  applies: (filter: string) => boolean,
  slots: Record<string, FilterSlot[]>,
  put: (filter: string, slot: FilterSlot) => void,
): void {
  const wanted = mode === 'enforce' ? 'Enforce' : 'DryRun'
  const policies = [...reaches.map(({ policy }) => policy), ...meshPolicies].filter(
    (policy) => policy.unreadable !== undefined && policy.mode === wanted,
  )
  const [first] = policies
  const filter = filters.find(({ name }) => applies(name))?.name
  if (first === undefined || filter === undefined) return
  slots[filter] = (slots[filter] ?? []).filter((slot) => slot.mode !== mode)
  put(filter, {
    state: 'unresolved',
    mode,
    origins: unique(policies.map(({ origin }) => formatOrigin(origin))),
    reason: `${first.origin.kind} ${formatOrigin(first.origin)} cannot be read: ${first.unreadable}`,
  })
}

function counts({ mode }: Policy, slot: Mode): boolean {
  return mode === 'Enforce' || (mode === 'DryRun' && slot === 'dry-run')
}

function keyOf({ kind, namespace, name }: Origin): string {
  return resourceKey(kind, namespace, name)
}

function unique(items: readonly string[]): string[] {
  return [...new Set(items)]
}
