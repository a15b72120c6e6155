import type { Resource } from '../../model/resource.ts'

/** How large the mesh is that one operator has. */
export interface WorldSize {
  readonly workloads: number
  readonly podsPerWorkload: number
}

/** One pod, and so one sidecar. */
export interface PodName {
  /** `namespace/name`. */
  readonly workload: string
  /** `namespace/name`. */
  readonly pod: string
  readonly spiffeId: string
  /** Of loopback: where it comes from, because an operator looks at that too. */
  readonly address: string
}

export const TRUST_DOMAIN = 'cluster.local'

/** Workloads of one namespace: a team's. A config holds the Services of its own namespace. */
const WORKLOADS_PER_NAMESPACE = 20

/** The MeshSecurityPolicy that is enforced by every sidecar. Editing it changes the config of each. */
export const EVERYONE = 'everyone'

/** Every pod, in the order of namespaces and workloads. */
export function podsOf(size: WorldSize): readonly PodName[] {
  return workloadsOf(size).flatMap(({ namespace, name }, workload) =>
    Array.from({ length: size.podsPerWorkload }, (_, i) => ({
      workload: `${namespace}/${name}`,
      pod: `${namespace}/${podName(name, i)}`,
      spiffeId: `spiffe://${TRUST_DOMAIN}/ns/${namespace}/sa/${name}`,
      address: addressIn(127, 1, workload * size.podsPerWorkload + i),
    })),
  )
}

/**
 * All resources. Of each workload: a Deployment, a Service with an address, a policy of two rules and a rate limit, and its
 * pods; each namespace also calls two Services of the next one.
 */
export function resourcesOf(size: WorldSize): readonly Resource[] {
  const workloads = workloadsOf(size)
  const namespaces = [...new Set(workloads.map(({ namespace }) => namespace))]
  const resources: Resource[] = [meshConfig(), everyone(1, ['team-0'])]
  for (const [i, namespace] of namespaces.entries()) {
    const next = namespaces[(i + 1) % namespaces.length] ?? namespace
    resources.push({
      apiVersion: 'v1',
      kind: 'Namespace',
      metadata: {
        name: namespace,
        labels: { 'hauberk.dev/inject': 'enabled' },
        annotations: { 'hauberk.dev/outbound': `${next}/app-0, ${next}/app-1` },
      },
    })
  }
  for (const [i, { namespace, name }] of workloads.entries()) {
    resources.push(deployment(namespace, name), service(namespace, name, i), securityPolicy(namespace, name, 1))
    for (let pod = 0; pod < size.podsPerWorkload; pod += 1) {
      resources.push(podResource(namespace, name, pod, i * size.podsPerWorkload + pod))
    }
  }
  return resources
}

/** The policy for all, as its `generation`-th edit has it. */
export function everyone(generation: number, namespaces: readonly string[]): Resource {
  return {
    apiVersion: 'hauberk.dev/v1alpha1',
    kind: 'MeshSecurityPolicy',
    metadata: { name: EVERYONE, generation },
    spec: { floor: { mtls: { mode: 'Strict' }, authorization: { onlyFrom: { namespaces: [...namespaces] } } } },
  }
}

/** The policy of one workload, as its `generation`-th edit has it. */
export function securityPolicy(namespace: string, name: string, generation: number): Resource {
  return {
    apiVersion: 'hauberk.dev/v1alpha1',
    kind: 'SecurityPolicy',
    metadata: { name, namespace, generation },
    spec: {
      targetRefs: [{ kind: 'Service', name }],
      authorization: {
        allow: [
          {
            name: 'read',
            from: { serviceAccounts: [`${namespace}/app-0`, `${namespace}/app-1`] },
            to: { methods: ['GET', 'HEAD'], paths: ['/items', '/items/{id}'] },
          },
          {
            name: 'write',
            from: { serviceAccounts: [`${namespace}/app-0`] },
            to: { methods: ['POST'], paths: ['/items'] },
          },
        ],
      },
      rateLimit: [{ name: 'per-caller', key: [{ claim: '/sub' }], limit: { requests: 100 + generation, per: '1s' } }],
    },
  }
}

function workloadsOf({ workloads }: WorldSize): readonly { readonly namespace: string; readonly name: string }[] {
  return Array.from({ length: workloads }, (_, i) => ({
    namespace: `team-${Math.floor(i / WORKLOADS_PER_NAMESPACE)}`,
    name: `app-${i % WORKLOADS_PER_NAMESPACE}`,
  }))
}

function meshConfig(): Resource {
  return {
    apiVersion: 'hauberk.dev/v1alpha1',
    kind: 'MeshConfig',
    metadata: { name: 'default', generation: 1 },
    spec: { trustDomain: TRUST_DOMAIN },
  }
}

function deployment(namespace: string, name: string): Resource {
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name, namespace, generation: 1 },
    spec: {
      template: {
        metadata: { labels: { app: name } },
        spec: {
          serviceAccountName: name,
          containers: [{ name: 'app', ports: [{ name: 'http', containerPort: 8080 }] }],
        },
      },
    },
  }
}

function service(namespace: string, name: string, number: number): Resource {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name, namespace },
    spec: {
      selector: { app: name },
      clusterIPs: [addressIn(10, 96, number)],
      ports: [{ name: 'http', appProtocol: 'http', port: 80, targetPort: 'http' }],
    },
  }
}

function podResource(namespace: string, name: string, index: number, number: number): Resource {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name: podName(name, index),
      namespace,
      labels: { app: name },
      ownerReferences: [{ apiVersion: 'apps/v1', kind: 'ReplicaSet', name, uid: `${namespace}-${name}` }],
    },
    spec: {
      serviceAccountName: name,
      initContainers: [{ name: 'hauberk-sidecar' }],
      containers: [{ name: 'app', ports: [{ name: 'http', containerPort: 8080 }] }],
    },
    status: {
      phase: 'Running',
      podIP: addressIn(10, 244, number),
      conditions: [{ type: 'Ready', status: 'True' }],
    },
  }
}

function podName(workload: string, index: number): string {
  return `${workload}-${index}`
}

/** The `number`-th address of `first`.`second`.0.0/16, and of what comes after it. */
function addressIn(first: number, second: number, number: number): string {
  const host = number + 1
  return `${first}.${second + (host >>> 16)}.${(host >>> 8) & 255}.${host & 255}`
}
