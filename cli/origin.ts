import type { Snapshot } from '../operator/store/snapshot.ts'

/** `Kind/namespace/name` of the policy that an origin (`namespace/name@generation`, or `name@generation`) speaks of. */
export function resourceOfOrigin(origin: string): string {
  const name = origin.replace(/@[0-9]+$/, '')
  return name.includes('/') ? `SecurityPolicy/${name}` : `MeshSecurityPolicy/${name}`
}

/** Where rules with names stand in a policy, or in a level of one. */
const RULES = ['authorization.deny', 'authorization.allow', 'rateLimit'] as const

/**
 * Where a rule of a policy stands in it, such as `spec.authorization.allow[1]`; the policy's `spec` when it is not found.
 * `list` says in which list to look; default: in each.
 */
export function pathOfRule(snapshot: Snapshot, origin: string, rule: string, list?: (typeof RULES)[number]): string {
  const [kind = '', ...names] = resourceOfOrigin(origin).split('/')
  const name = names.pop() ?? ''
  const spec = snapshot.get(kind, names[0], name)?.spec
  for (const level of kind === 'SecurityPolicy' ? [] : ['floor', 'defaults']) {
    const path = pathIn(memberOf(spec, level), rule, list)
    if (path !== undefined) return `spec.${level}.${path}`
  }
  const path = pathIn(spec, rule, list)
  return path === undefined ? 'spec' : `spec.${path}`
}

function pathIn(level: unknown, rule: string, only: (typeof RULES)[number] | undefined): string | undefined {
  for (const list of only === undefined ? RULES : [only]) {
    const rules = list.split('.').reduce(memberOf, level)
    const index = Array.isArray(rules) ? rules.findIndex((each) => memberOf(each, 'name') === rule) : -1
    if (index !== -1) return `${list}[${index}]`
  }
  return undefined
}

function memberOf(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? (value as Readonly<Record<string, unknown>>)[name] : undefined
}
