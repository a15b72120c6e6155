import { fail, issue, ok, type Result } from './result.ts'

/**
 * A workload of the mesh: `<namespace>/<name>`, the name being its Deployment's (or other owner's).
 *
 * Both halves are RFC 1123 names as Kubernetes takes them: the namespace a label (at most 63 characters), the name a
 * subdomain (at most 253).
 */
export type WorkloadId = string & { readonly [workloadIdBrand]: true }

declare const workloadIdBrand: unique symbol

const NAMESPACE = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/
const NAME = /^(?=.{1,253}$)[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)*$/

export function parseWorkloadId(text: string): Result<WorkloadId> {
  const slash = text.indexOf('/')
  if (slash === -1) return malformed('has no slash between namespace and name')
  return workloadIdFor(text.slice(0, slash), text.slice(slash + 1))
}

export function workloadIdFor(namespace: string, name: string): Result<WorkloadId> {
  if (!NAMESPACE.test(namespace)) return malformed('has a namespace that is not an RFC 1123 label')
  if (!NAME.test(name)) return malformed('has a name that is not an RFC 1123 subdomain')
  return ok(`${namespace}/${name}` as WorkloadId)
}

export function namespaceOf(id: WorkloadId): string {
  return id.slice(0, id.indexOf('/'))
}

export function nameOf(id: WorkloadId): string {
  return id.slice(id.indexOf('/') + 1)
}

function malformed(what: string) {
  return fail(issue('malformed-workload-id', '', what, 'write <namespace>/<name>, such as shop/orders'))
}
