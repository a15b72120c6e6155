import { type Resource, resourceKey } from '../../model/resource.ts'
import type { Section } from '../../model/section.ts'
import { type TokenIssuerSpec, tokenIssuerSchema } from '../../policies/jwt/token-issuer.ts'
import { SECTIONS } from '../../policies/sections.ts'
import { CONTROLLER_NAME, readGateway, readGatewayClass } from '../resources/gateway.ts'
import type { SecretRef } from '../resources/secret-grant.ts'
import { structuralReader } from '../resources/structural.ts'
import type { Snapshot } from '../store/snapshot.ts'
import { isGranted } from './grants.ts'
import { createPolicyReader, type Parts, type Policy, type PolicyReader } from './policy.ts'
import { maySecretBeNamed, secretPlace } from './references.ts'

/** A Secret that is wanted, and which resources want it. */
export interface NamedSecret extends SecretRef {
  /** Keys of resources; sorted. */
  readonly by: readonly string[]
}

const GATEWAY_API = 'gateway.networking.k8s.io'

/** RFC 1123: a label, as namespaces have it, and a subdomain, as Secrets do. */
const NAMESPACE = /^[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?$/
const SECRET = /^(?=.{1,253}$)[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*$/
const readTokenIssuer = structuralReader<{ readonly spec: TokenIssuerSpec }>({
  type: 'object',
  required: ['spec'],
  properties: { spec: tokenIssuerSchema },
})

/**
 * The Secrets that resources name, by namespace and name: all that the operator has to read.
 *
 * Those that a reference may not lead to are left out (T29): what no ReferenceGrant lets a tenant use is not fetched for
 * them either. That a Secret is there is not asked: one that comes later is followed from the start. But a name that none
 * can have (Gateway API lets a reference say anything) is nothing to ask for.
 */
export function secretRefs(snapshot: Snapshot, sections: readonly Section[] = SECTIONS): readonly NamedSecret[] {
  const wanted = new Map<string, SecretRef & { readonly by: Set<string> }>()
  const want = (namespace: string, name: string, by: Resource) => {
    if (!NAMESPACE.test(namespace) || !SECRET.test(name)) return
    const key = `${namespace}/${name}`
    const known = wanted.get(key) ?? { namespace, name, by: new Set<string>() }
    wanted.set(key, known)
    known.by.add(resourceKey(by.kind, by.metadata.namespace, by.metadata.name))
  }
  for (const gateway of snapshot.ofKind('Gateway')) {
    for (const { namespace, name } of certificatesOf(gateway, snapshot)) want(namespace, name, gateway)
  }
  for (const issuer of snapshot.ofKind('TokenIssuer')) {
    const read = readTokenIssuer(issuer)
    if (!read.ok) continue
    const { jwks, introspection } = read.value.spec
    for (const ref of [jwks?.secretRef, introspection?.clientSecretRef]) {
      if (ref !== undefined) want(ref.namespace, ref.name, issuer)
    }
  }
  const reader = readerOf(sections)
  const wantOf = (policy: Policy, parts: readonly Parts[], by: Resource) => {
    if (policy.mode === 'Off') return
    for (const place of placesNamed(policy, parts, sections)) {
      if (maySecretBeNamed(snapshot, place, policy.origin)) want(place.namespace, place.name, by)
    }
  }
  for (const resource of snapshot.ofKind('SecurityPolicy')) {
    const policy = reader.readWorkloadPolicy(resource)
    wantOf(policy, [policy.sections], resource)
  }
  for (const resource of snapshot.ofKind('MeshSecurityPolicy')) {
    const policy = reader.readMeshPolicy(resource)
    wantOf(policy, [policy.floor, policy.defaults], resource)
  }
  return [...wanted.keys()].sort().map((key) => {
    const { namespace, name, by } = wanted.get(key)!
    return { namespace, name, by: [...by].sort() }
  })
}

/** Weakly, and by the sections: what was read of a policy is not read again with each change of another. */
const readers = new WeakMap<readonly Section[], PolicyReader>()

function readerOf(sections: readonly Section[]): PolicyReader {
  const reader = readers.get(sections) ?? createPolicyReader(sections)
  readers.set(sections, reader)
  return reader
}

/** Where the Secrets are that the sections of a policy name. */
function placesNamed({ origin }: Policy, parts: readonly Parts[], sections: readonly Section[]): readonly SecretRef[] {
  return sections.flatMap((section) => {
    if (section.secretRefs === undefined) return []
    return parts.flatMap((part) => {
      const { spec, broken } = part.get(section.name) ?? { spec: undefined, broken: '' }
      if (broken !== undefined) return []
      return (section.secretRefs?.(spec) ?? []).map((reference) => secretPlace(reference, origin))
    })
  })
}

function certificatesOf(gateway: Resource, snapshot: Snapshot): readonly SecretRef[] {
  const read = readGateway(gateway)
  if (!read.ok) return []
  const { gatewayClassName, listeners } = read.value.spec
  const gatewayClass = snapshot.get('GatewayClass', undefined, gatewayClassName)
  const readClass = gatewayClass && readGatewayClass(gatewayClass)
  if (!readClass?.ok || readClass.value.spec.controllerName !== CONTROLLER_NAME) return []
  const from = { group: GATEWAY_API, kind: 'Gateway', namespace: gateway.metadata.namespace ?? 'default' }
  return listeners.flatMap(({ protocol, tls }) => {
    const isShown = protocol === 'HTTPS' || (protocol === 'TLS' && tls?.mode !== 'Passthrough')
    if (!isShown) return []
    return (tls?.certificateRefs ?? []).flatMap(({ group = '', kind = 'Secret', namespace = from.namespace, name }) => {
      if (group !== '' || kind !== 'Secret') return []
      return isGranted(snapshot, { from, to: { group, kind, namespace, name } }) ? [{ namespace, name }] : []
    })
  })
}
