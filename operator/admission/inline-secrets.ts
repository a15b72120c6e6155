import type { Resource } from '../../model/resource.ts'
import { type Issue, issue } from '../../model/result.ts'
import { secretIn } from '../resources/secret-texts.ts'
import { exceedsDepth } from './json-depth.ts'

/**
 * Secrets that stand in a policy itself, where everybody reads them who may read policies. What `kubectl apply` remembers of
 * the file is looked through as well: fields that the schema does not know are dropped from the object, but not from there.
 */
export function inlineSecrets({ metadata, spec }: Resource): readonly Issue[] {
  const issues: Issue[] = []
  find(spec, 'spec', issues)
  const applied = metadata.annotations?.[LAST_APPLIED]
  if (applied !== undefined && exceedsDepth(applied, MAX_DEPTH)) {
    const message = `is nested more than ${MAX_DEPTH} deep, so that nobody can say what is in it`
    issues.push(issue('inline-secret', `metadata.annotations["${LAST_APPLIED}"]`, message, 'leave it out'))
  } else if (applied !== undefined) {
    let written: unknown
    try {
      written = JSON.parse(applied)
    } catch {
      written = undefined
    }
    find((written as { readonly spec?: unknown } | null | undefined)?.spec, 'spec', issues)
  }
  return [...new Map(issues.map((found) => [`${found.path} ${found.message}`, found])).values()].slice(0, MAX_FOUND)
}

const LAST_APPLIED = 'kubectl.kubernetes.io/last-applied-configuration'
const MAX_FOUND = 8
/** Nesting of what was applied; the deepest policy has a fifth of it. */
const MAX_DEPTH = 100

/** Private members of a JSON Web Key (RFC 7518, 6): of elliptic curves and RSA, and the whole of a symmetric one. */
const PRIVATE_MEMBERS = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k'] as const

function find(value: unknown, path: string, issues: Issue[]): void {
  const found = (at: string, message: string) =>
    issues.push(
      issue('inline-secret', at, message, 'put it into a Secret, and refer to that; change it, since it was shown'),
    )
  if (typeof value === 'string') {
    const message = secretIn(value)
    if (message !== undefined) found(path, message)
  } else if (Array.isArray(value)) {
    for (const [i, item] of value.entries()) find(item, `${path}[${i}]`, issues)
  } else if (typeof value === 'object' && value !== null) {
    const members = value as Readonly<Record<string, unknown>>
    for (const [name, member] of Object.entries(members)) find(member, `${path}.${name}`, issues)
    if (typeof members['kty'] !== 'string') return
    for (const name of PRIVATE_MEMBERS) {
      if (typeof members[name] === 'string') found(`${path}.${name}`, 'is a private part of a key')
    }
  }
}
