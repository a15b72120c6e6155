import type { Origin } from '../../model/origin.ts'
import { fail, issue, ok, type Result } from '../../model/result.ts'
import type { SecretData, SecretReference } from '../../model/secret.ts'
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
    upstream: (reference) => {
      const { port } = reference
      if ('host' in reference) {
        const authority = `${reference.host}:${port}`
        return ok({ upstream: `outside/${authority}`, authority, speaksHttp2: false })
      }
      const { name, namespace = 'shop' } = reference
      return ok({
        upstream: `${namespace}/${name}:${port}`,
        authority: `${name}.${namespace}.svc:${port}`,
        speaksHttp2: true,
      })
    },
    secret: secretsOf({}),
    ...words,
  }
}

/** Secrets by `namespace/name`, each with its values as text. There are no others, and no grants are asked for. */
export function secretsOf(
  secrets: Readonly<Record<string, Readonly<Record<string, string>>>>,
): SectionContext['secret'] {
  return ({ name, namespace }: SecretReference, by: Origin): Result<SecretData> => {
    const key = `${namespace ?? by.namespace ?? 'hauberk-system'}/${name}`
    const values = Object.hasOwn(secrets, key) ? secrets[key] : undefined
    if (values === undefined) return fail(issue('secret-not-resolved', '', `there is no Secret ${key}`))
    return ok({ data: Object.fromEntries(Object.entries(values).map(([name, text]) => [name, base64(text)])) })
  }
}

function base64(text: string): string {
  return btoa(String.fromCharCode(...new TextEncoder().encode(text)))
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
