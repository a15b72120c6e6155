import type { KubernetesClient } from '../../operator/kubernetes/client.ts'
import { KubernetesError } from '../../operator/kubernetes/errors.ts'
import { resourcePath } from '../../operator/kubernetes/path.ts'
import type { Trial } from './facts.ts'

/** Has a pod created that is not: the API server asks its webhooks, and keeps nothing. */
export function tryInjection(client: KubernetesClient, namespace: string | undefined): Promise<Trial> {
  if (namespace === undefined) {
    return Promise.resolve({ kind: 'not-tried', why: 'no namespace has the label hauberk.dev/inject: enabled' })
  }
  return attempt(client, resourcePath({ apiVersion: 'v1', plural: 'pods', namespace }), {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { generateName: 'hauberk-check-', namespace },
    spec: {
      automountServiceAccountToken: false,
      containers: [{ name: 'check', image: 'hauberk-check', resources: { requests: { cpu: '1m', memory: '1Mi' } } }],
    },
  })
}

/** Has a policy created whose expression is none: no schema sees that, only the review of policies does. */
export function tryReview(client: KubernetesClient, namespace: string): Promise<Trial> {
  return attempt(client, resourcePath({ apiVersion: 'hauberk.dev/v1alpha1', plural: 'securitypolicies', namespace }), {
    apiVersion: 'hauberk.dev/v1alpha1',
    kind: 'SecurityPolicy',
    metadata: { generateName: 'hauberk-check-', namespace },
    spec: {
      targetRefs: [{ kind: 'Service', name: 'hauberk-check' }],
      authorization: { allow: [{ name: 'unreadable', when: 'claims.sub ==' }] },
    },
  })
}

async function attempt(client: KubernetesClient, path: string, body: unknown): Promise<Trial> {
  try {
    const query = { dryRun: 'All', fieldManager: 'hauberk-check' }
    return { kind: 'taken', object: await client.request({ method: 'POST', path, query, body }) }
  } catch (error) {
    if (!(error instanceof KubernetesError)) throw error
    const { status, message } = error
    const called = /failed calling webhook "([^"]+)": ?(.*)/s.exec(message)
    if (called) return { kind: 'not-called', webhook: called[1] ?? '', why: (called[2] ?? '').trim() }
    const by = /admission webhook "([^"]+)" denied/.exec(message)?.[1]
    if (by !== undefined) return { kind: 'refused', why: message, by }
    // What has nothing to do with the webhooks: permissions, a quota, a kind that is not there.
    return status === 404
      ? { kind: 'not-tried', why: 'the API server does not know the kind' }
      : { kind: 'not-tried', why: message }
  }
}
