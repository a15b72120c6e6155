import type { Snapshot } from '../operator/store/snapshot.ts'

/** `Kind/namespace/name` of the policy that an origin (`namespace/name@generation`, or `name@generation`) speaks of. */
export function resourceOfOrigin(origin: string): string {
  const name = origin.replace(/@[0-9]+$/, '')
  return name.includes('/') ? `SecurityPolicy/${name}` : `MeshSecurityPolicy/${name}`
}

/** Where a rule of a policy stands in it, such as `spec.authorization.allow[1]`; the policy's `spec` when it is not found. */
export function pathOfRule(snapshot: Snapshot, origin: string, effect: 'allow' | 'deny', rule: string): string {
  const [kind = '', ...names] = resourceOfOrigin(origin).split('/')
  const name = names.pop() ?? ''
  const spec = snapshot.get(kind, names[0], name)?.spec as Readonly<Record<string, unknown>> | undefined
  for (const level of kind === 'SecurityPolicy' ? [''] : ['floor', 'defaults']) {
    const part = (level === '' ? spec : spec?.[level]) as { readonly authorization?: Rules } | undefined
    const index = (part?.authorization?.[effect] ?? []).findIndex((each) => each.name === rule)
    if (index !== -1) return ['spec', level, `authorization.${effect}[${index}]`].filter((key) => key !== '').join('.')
  }
  return 'spec'
}

type Rules = Partial<Readonly<Record<'allow' | 'deny', readonly { readonly name: string }[]>>>
