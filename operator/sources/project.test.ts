import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import fc from '#fast-check'
import type { KubernetesObject } from '../kubernetes/object.ts'
import { KINDS } from '../resources/kinds.ts'
import { projectObject } from './project.ts'
import { createShare, type Share } from './share.ts'

const definitionOf = (kind: string) => KINDS.find((known) => known.kind === kind)!
const project = (kind: string, object: unknown, share?: Share) =>
  projectObject(definitionOf(kind), object as KubernetesObject, share)

/** A meshed pod of a Deployment as an API server sends it, some 10 KB. */
function wholePod(i: number): KubernetesObject {
  const container = (name: string, ports: readonly unknown[]) => ({
    name,
    image: `registry.example/shop/${name}:1.2.3`,
    imagePullPolicy: 'IfNotPresent',
    args: ['--config', '/etc/config.yaml', '--verbose'],
    env: Array.from({ length: 10 }, (_, n) => ({ name: `SETTING_${n}`, value: `value of setting ${n} of ${name}` })),
    ports,
    resources: { requests: { cpu: '100m', memory: '64Mi' }, limits: { memory: '128Mi' } },
    volumeMounts: [{ mountPath: '/var/run/secrets/kubernetes.io/serviceaccount', name: 'token', readOnly: true }],
    livenessProbe: { httpGet: { path: '/healthz', port: 8080, scheme: 'HTTP' }, periodSeconds: 10 },
    securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } },
  })
  const condition = (type: string) => ({ type, status: 'True', lastTransitionTime: '2026-01-01T00:00:00Z' })
  return {
    metadata: {
      name: `orders-7d764666f9-${i.toString(36).padStart(5, '0')}`,
      generateName: 'orders-7d764666f9-',
      namespace: 'shop',
      uid: `e7a1b0c2-0000-4000-8000-${i.toString(16).padStart(12, '0')}`,
      resourceVersion: String(100_000 + i),
      generation: 1,
      creationTimestamp: '2026-01-01T00:00:00Z',
      labels: {
        'app.kubernetes.io/name': 'orders',
        'app.kubernetes.io/part-of': 'shop',
        'app.kubernetes.io/version': '1.2.3',
        'pod-template-hash': '7d764666f9',
      },
      annotations: {
        'hauberk.dev/injected': '1',
        'kubectl.kubernetes.io/restartedAt': '2026-01-01T00:00:00Z',
        'example.com/notes': 'x'.repeat(2_000),
      },
      ownerReferences: [
        {
          apiVersion: 'apps/v1',
          kind: 'ReplicaSet',
          name: 'orders-7d764666f9',
          uid: 'd32b3808-2a2f-4719-aaad-d3e8031778fc',
          controller: true,
          blockOwnerDeletion: true,
        },
      ],
      managedFields: [{ manager: 'kubelet', fieldsV1: { fields: 'f:status '.repeat(200) } }],
    },
    spec: {
      serviceAccountName: 'orders',
      nodeName: 'node-1',
      initContainers: [
        container('hauberk-init', []),
        container('hauberk-sidecar', [{ name: 'metrics', containerPort: 15090, protocol: 'TCP' }]),
      ],
      containers: [
        container('orders', [
          { name: 'http', containerPort: 8080, protocol: 'TCP' },
          { name: 'grpc', containerPort: 9090, protocol: 'TCP' },
        ]),
      ],
      volumes: [{ name: 'token', projected: { sources: [{ serviceAccountToken: { expirationSeconds: 3607 } }] } }],
    },
    status: {
      phase: 'Running',
      podIP: `10.244.${i >> 8}.${i & 255}`,
      podIPs: [{ ip: `10.244.${i >> 8}.${i & 255}` }, { ip: `fd00:10:244::${i.toString(16)}` }],
      hostIP: '172.18.0.2',
      conditions: ['PodScheduled', 'Initialized', 'ContainersReady', 'Ready'].map(condition),
      containerStatuses: [{ name: 'orders', image: 'x', imageID: 'y'.repeat(200), restartCount: 0 }],
    },
  }
}

test('a pod keeps what translation reads of it', () => {
  assert.deepEqual(project('Pod', wholePod(1)), {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name: 'orders-7d764666f9-00001',
      namespace: 'shop',
      uid: 'e7a1b0c2-0000-4000-8000-000000000001',
      creationTimestamp: '2026-01-01T00:00:00Z',
      labels: {
        'app.kubernetes.io/name': 'orders',
        'app.kubernetes.io/part-of': 'shop',
        'app.kubernetes.io/version': '1.2.3',
        'pod-template-hash': '7d764666f9',
      },
      annotations: { 'hauberk.dev/injected': '1' },
      ownerReferences: [{ apiVersion: 'apps/v1', kind: 'ReplicaSet', name: 'orders-7d764666f9' }],
    },
    spec: {
      serviceAccountName: 'orders',
      initContainers: [
        { name: 'hauberk-init', ports: [] },
        { name: 'hauberk-sidecar', ports: [{ name: 'metrics', containerPort: 15090, protocol: 'TCP' }] },
      ],
      containers: [
        {
          name: 'orders',
          ports: [
            { name: 'http', containerPort: 8080, protocol: 'TCP' },
            { name: 'grpc', containerPort: 9090, protocol: 'TCP' },
          ],
        },
      ],
    },
    status: {
      phase: 'Running',
      podIP: '10.244.0.1',
      podIPs: [{ ip: '10.244.0.1' }, { ip: 'fd00:10:244::1' }],
      conditions: [{ type: 'Ready', status: 'True' }],
    },
  })
})

test('of an EndpointSlice only the zones of pods are kept', () => {
  const endpoint = (name: string, zone?: string, ready = true) => ({
    addresses: ['10.0.0.1'],
    conditions: { ready },
    nodeName: 'n1',
    targetRef: { kind: 'Pod', name, uid: 'x' },
    ...(zone !== undefined && { zone }),
  })
  const slice = (ready: boolean) => ({
    metadata: { name: 'orders-x', namespace: 'shop', labels: { 'kubernetes.io/service-name': 'orders' } },
    addressType: 'IPv4',
    endpoints: [endpoint('a', 'east', ready), endpoint('b')],
    ports: [{ port: 8080 }],
  })
  const kept = project('EndpointSlice', slice(true))
  assert.deepEqual(kept, {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: { name: 'orders-x', namespace: 'shop' },
    endpoints: [{ zone: 'east', targetRef: { kind: 'Pod', name: 'a' } }],
  })
  assert.deepEqual(project('EndpointSlice', slice(false)), kept)
  assert.equal(
    'endpoints' in project('EndpointSlice', { metadata: { name: 'empty', namespace: 'shop' }, endpoints: null }),
    true,
  )
})

test('a pod takes 1 KB at most, of the 10 it comes with', () => {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  const count = 4_000
  const share = createShare()
  assert.ok(JSON.stringify(wholePod(0)).length > 9_000)
  const kept: unknown[] = new Array(count)
  collect()
  const before = process.memoryUsage().heapUsed
  for (let i = 0; i < count; i++) kept[i] = project('Pod', JSON.parse(JSON.stringify(wholePod(i))), share)
  collect()
  const bytes = (process.memoryUsage().heapUsed - before) / count
  assert.equal(kept.length, count)
  assert.ok(bytes <= 1_024, `${bytes} bytes`)
})

test('pods of one template share what they have in common, and no more than is remembered', () => {
  const bounded = createShare(2)
  const kept = [{ a: 1 }, { a: 2 }, { a: 3 }].map((value) => [value, bounded(value)] as const)
  for (const [value, given] of kept) assert.equal(given, value)
  assert.equal(bounded({ a: 3 }), kept[2]?.[0])
  const again = { a: 1 }
  assert.equal(bounded(again), again, 'the oldest one was forgotten')
  const large = createShare()
  assert.equal(project('Pod', wholePod(1), large).spec, project('Pod', wholePod(2), large).spec)
})

test('a Deployment keeps its template, a Service its addresses, a Namespace its labels', () => {
  const metadata = { name: 'orders', namespace: 'shop', managedFields: [{}] }
  const { spec, metadata: podMetadata } = wholePod(1)
  const template = { metadata: podMetadata, spec }
  assert.deepEqual(project('Deployment', { metadata, spec: { replicas: 3, template }, status: { replicas: 3 } }).spec, {
    template: {
      metadata: { labels: podMetadata['labels'], annotations: { 'hauberk.dev/injected': '1' } },
      spec: project('Pod', wholePod(1)).spec,
    },
  })
  const service = {
    metadata,
    spec: {
      type: 'ClusterIP',
      clusterIP: '10.96.0.1',
      clusterIPs: ['10.96.0.1', 'fd00::1'],
      ipFamilies: ['IPv4', 'IPv6'],
      selector: { app: 'orders' },
      ports: [{ name: 'http', port: 80, targetPort: 'http', protocol: 'TCP' }],
      sessionAffinity: 'None',
    },
    status: { loadBalancer: {} },
  }
  const { ipFamilies: _, sessionAffinity: __, ...kept } = service.spec
  assert.deepEqual(project('Service', service), {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'orders', namespace: 'shop' },
    spec: kept,
  })
  assert.deepEqual(
    project('Namespace', { metadata: { name: 'shop', labels: { a: 'b' } }, spec: { finalizers: ['kubernetes'] } }),
    { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'shop', labels: { a: 'b' } } },
  )
})

test('of kinds of ours every field of the spec is kept, and the generation, but not the status', () => {
  const policy = {
    apiVersion: 'hauberk.dev/v1alpha1',
    metadata: { name: 'p', namespace: 'shop', generation: 4, annotations: { 'hauberk.dev/note': 'x', other: 'y' } },
    spec: { targetRefs: 5, fromTheFuture: { deny: true } },
    status: { conditions: [] },
  }
  assert.deepEqual(project('SecurityPolicy', policy), {
    apiVersion: 'hauberk.dev/v1alpha1',
    kind: 'SecurityPolicy',
    metadata: { name: 'p', namespace: 'shop', generation: 4, annotations: { 'hauberk.dev/note': 'x' } },
    spec: policy.spec,
  })
  assert.equal(
    project('HTTPRoute', { ...policy, apiVersion: 'gateway.networking.k8s.io/v1beta1' }).apiVersion,
    'gateway.networking.k8s.io/v1beta1',
  )
})

test('F22: whatever an API server sends, projecting it does not fail', () => {
  const garbage = fc.object({
    key: fc.constantFrom('spec', 'template', 'metadata', 'containers', 'ports', '__proto__'),
  })
  const kind = fc.constantFrom(...KINDS.map((known) => known.kind))
  fc.assert(
    fc.property(kind, garbage, fc.anything(), fc.anything(), (name, metadata, spec, status) => {
      const { metadata: kept } = project(name, { metadata: { ...metadata, name: 'x' }, spec, status })
      assert.equal(kept.name, 'x')
    }),
  )
})

test('T08: no annotation makes a pod a meshed one, or what is kept of it large', () => {
  const { metadata, ...pod } = wholePod(1)
  const annotationsOf = (annotations: object) =>
    project('Pod', { ...pod, metadata: { ...metadata, annotations } }).metadata.annotations
  const long = { 'hauberk.dev/local-ports': '{"8080": 31000}', 'hauberk.dev/notes': 'x'.repeat(200_000) }
  assert.equal(annotationsOf(long), undefined)
  const many = Object.fromEntries(Array.from({ length: 1_000 }, (_, i) => [`hauberk.dev/note-${i}`, 'x']))
  assert.equal(Object.keys(annotationsOf(many) ?? {}).length, 16)
})
