import { SIDECAR_CONTAINER, TRUST_ANCHORS_CONFIG_MAP, TRUST_ANCHORS_KEY } from '../../../contract/pod.ts'
import { CONTRACT_VERSION, type WorkloadConfig } from '../../../contract/workload-config.ts'
import { createTestCa } from '../../../model/x509/testing/test-ca.ts'
import { WEBHOOK_CONFIGURATIONS, WEBHOOK_SERVICE } from '../../../operator/admission/ca-bundle.ts'
import { webhookPath } from '../../../operator/admission/secret-path.ts'
import type { ClusterReport } from '../../../operator/cluster/cluster-report.ts'
import { customResourceDefinitions } from '../../../operator/crds/custom-resource-definitions.ts'
import { GATEWAY_API_CRDS } from '../../../operator/gateways/class-status.ts'
import { CONTROLLER_NAME } from '../../../operator/resources/gateway.ts'
import type { StatusReport } from '../../../operator/status/report.ts'
import { SECTIONS } from '../../../policies/sections.ts'
import { judgeCertificates } from '../../certs/certificate-row.ts'
import { pipelineOf } from '../../explain/testing/pipeline.ts'
import { policyYaml, workloadYaml } from '../../testing/files.ts'
import { fingerprintsOf } from '../collect.ts'
import type { ClusterFacts, SidecarFacts } from '../facts.ts'
import { meshedPodOf } from '../meshed-pod.ts'
import type { Conditioned, Definition, Pod, WebhookConfiguration } from '../objects.ts'
import type { Look } from '../read.ts'

export const RELEASE = '0.1.0'

export function seenAs<T>(value: T): Look<T> {
  return { kind: 'seen', value }
}

const ABSENT = { kind: 'absent' } as const

/** A policy that lets the storefront call orders. */
const ORDERS = [
  workloadYaml('orders'),
  policyYaml(
    'orders',
    '  authorization:\n    allow:\n    - {name: read, from: {serviceAccounts: [shop/storefront]}}\n',
  ),
].join('---\n')

/** What a sidecar obeys, of YAML for `shop/orders`. */
export function configOf(yaml = ORDERS): WorkloadConfig {
  return pipelineOf(yaml, 'shop/orders').config
}

const TRUE = (type: string) => ({ type, status: 'True', reason: type, message: '', observedGeneration: 1 })

/** A resource of ours that everybody obeys. */
export function soundResource(kind: string, namespace: string | undefined, name: string): Conditioned {
  const conditions = ['Accepted', 'ResolvedRefs', 'Programmed'].map(TRUE)
  const metadata = { name, generation: 1, ...(namespace !== undefined && { namespace }) }
  const workloads = { selected: 1, acknowledged: 1, summary: '1/1' }
  return { kind, metadata, spec: {}, status: { observedGeneration: 1, conditions, workloads } }
}

/** A pod of orders whose sidecar is ready. */
export function soundPod(): Pod {
  const told = {
    contract: 1,
    workload: 'shop/orders',
    role: 'sidecar',
    trustDomain: 'cluster.local',
    serviceAccount: 'orders',
    operator: { host: 'o', port: 15_012, spiffeId: 'spiffe://cluster.local/ns/hauberk-system/sa/hauberk-operator' },
    probes: [],
    exclude: { inboundPorts: [], outboundPorts: [], outboundCidrs: [] },
    metrics: { allow: [], plaintext: false },
    drainSeconds: 5,
    decisionLog: 'denied',
    logLevel: 'info',
  }
  return {
    metadata: { namespace: 'shop', name: 'orders-1', labels: { app: 'orders' } },
    spec: {
      initContainers: [{ name: SIDECAR_CONTAINER, env: [{ name: 'HAUBERK_SIDECAR', value: JSON.stringify(told) }] }],
      containers: [{ name: 'app' }],
    },
    status: {
      phase: 'Running',
      conditions: [TRUE('Ready')],
      initContainerStatuses: [{ name: SIDECAR_CONTAINER, ready: true, restartCount: 0, state: { running: {} } }],
    },
  }
}

function operatorPod(name: string): Pod {
  return {
    metadata: { namespace: 'hauberk-system', name, labels: { 'app.kubernetes.io/name': 'hauberk-operator' } },
    status: { phase: 'Running', conditions: [TRUE('Ready')] },
  }
}

/** A mesh of one workload with one policy, in which nothing is wrong. */
export async function soundFacts(): Promise<ClusterFacts> {
  const nowMs = Date.now()
  const ca = await createTestCa('hauberk root')
  const leaf = await ca.issue({ notBeforeMs: nowMs - 3_600_000, notAfterMs: nowMs + 82_800_000 })
  const roots = { roots: [ca.root], nowMs }
  const svid = judgeCertificates('shop/orders-1', leaf.chain, roots)
  const issuer = judgeCertificates('shop/orders-1', ca.root, roots)
  const pod = soundPod()
  const meshed = meshedPodOf(pod)
  if (!svid.ok || !issuer.ok || meshed === undefined) throw new Error('the certificates of this test are sound')
  const config = configOf()
  const [root = ''] = fingerprintsOf(ca.root)
  const yearMs = 365 * 86_400_000
  const authority = {
    phase: 'stable' as const,
    roots: [{ fingerprint: root, notAfter: new Date(nowMs + yearMs).toISOString(), use: 'Signing' as const }],
    waitingFor: [],
    waiting: 0,
  }
  const sidecar: SidecarFacts = {
    ...{ pod: meshed, certificates: [svid.row], roots: [root], config, limitStore: 'answers' as const },
    issuers: [{ ...issuer.row, notBefore: new Date(nowMs - 1_000).toISOString(), notAfterMs: nowMs + yearMs }],
  }
  const status: StatusReport & Pick<ClusterReport, 'operator'> = {
    operator: {
      ...{ name: 'operator-1', release: RELEASE, contract: CONTRACT_VERSION, leads: true, leader: 'operator-1' },
      ...{ kinds: [], webhooksInPlace: true, metrics: { since: nowMs - 3_600_000, readAt: nowMs - 30_000 } },
      replicas: [
        { replica: 'operator-2', release: RELEASE, connected: true, sidecars: 0, self: { trusts: [root], root } },
      ],
    },
    resources: [],
    workloads: [
      {
        workload: 'shop/orders',
        role: 'sidecar',
        spiffeId: config.identity.spiffeId,
        version: config.version,
        sidecars: [{ pod: 'shop/orders-1', release: RELEASE, acknowledged: config.version }],
      },
    ],
    issuers: [{ name: 'corp', keys: 1 }],
    certificateAuthority: authority,
    fileIssues: [],
  }
  const gatewayClass = soundResource('GatewayClass', undefined, 'hauberk')
  const gateway = soundResource('Gateway', 'shop', 'shop')
  const route = soundResource('HTTPRoute', 'shop', 'shop')
  const parents = [{ parentRef: { name: 'shop' }, controllerName: CONTROLLER_NAME, conditions: [TRUE('Accepted')] }]
  return {
    ...{ nowMs, release: RELEASE, context: 'kind-test', server: 'https://127.0.0.1:6443', scope: undefined },
    version: seenAs('v1.35.0'),
    definitions: definitions(),
    webhooks: webhooks(ca.root),
    injection: { kind: 'taken', object: { spec: { initContainers: [{ name: SIDECAR_CONTAINER }] } } },
    review: { kind: 'refused', why: 'cannot be read', by: 'policies.hauberk.dev' },
    deployment: seenAs({
      metadata: { name: 'hauberk-operator', labels: { 'app.kubernetes.io/version': RELEASE } },
      spec: { replicas: 2 },
      status: { readyReplicas: 2, updatedReplicas: 2 },
    }),
    disruptionBudget: seenAs({ metadata: { name: 'hauberk-operator' } }),
    lease: seenAs({
      metadata: { name: 'hauberk-operator' },
      spec: {
        holderIdentity: 'operator-1_uid',
        leaseDurationSeconds: 15,
        renewTime: new Date(nowMs - 1_000).toISOString(),
      },
    }),
    meshConfig: seenAs({ ...soundResource('MeshConfig', undefined, 'default') }),
    namespaces: seenAs([
      { metadata: { name: 'shop', labels: { 'hauberk.dev/inject': 'enabled' } } },
      { metadata: { name: 'hauberk-system' } },
      { metadata: { name: 'other' } },
    ]),
    pods: seenAs([pod, operatorPod('operator-1'), operatorPod('operator-2')]),
    trustAnchors: seenAs(
      ['shop', 'hauberk-system'].map((namespace) => ({
        metadata: { namespace, name: TRUST_ANCHORS_CONFIG_MAP },
        data: { [TRUST_ANCHORS_KEY]: ca.root },
      })),
    ),
    resources: new Map([
      ['SecurityPolicy', seenAs([soundResource('SecurityPolicy', 'shop', 'orders')])],
      ['MeshSecurityPolicy', seenAs([])],
      ['TrafficPolicy', seenAs([soundResource('TrafficPolicy', 'shop', 'orders')])],
      ['TokenIssuer', seenAs([soundResource('TokenIssuer', undefined, 'corp')])],
      ['TokenRevocation', seenAs([])],
      ['GatewayParameters', seenAs([])],
      ['GatewayClass', seenAs([{ ...gatewayClass, spec: { controllerName: CONTROLLER_NAME } }])],
      [
        'Gateway',
        seenAs([
          {
            ...gateway,
            spec: { gatewayClassName: 'hauberk' },
            status: { ...gateway.status, addresses: [{ value: '172.18.0.2' }] },
          },
        ]),
      ],
      ['HTTPRoute', seenAs([{ ...route, spec: { parentRefs: [{ name: 'shop' }] }, status: { parents } }])],
    ]),
    operators: ['operator-1', 'operator-2'].map((name) => ({ pod: name, readiness: { ok: true, body: '' } })),
    status,
    sidecars: [sidecar],
    secrets: [{ namespace: 'shop', name: 'tls', by: ['Gateway/shop/shop'], access: true }],
  }
}

function definitions(): ClusterFacts['definitions'] {
  const established = { conditions: [{ type: 'Established', status: 'True' }] }
  const ours = customResourceDefinitions(SECTIONS) as unknown as readonly Definition[]
  const others = GATEWAY_API_CRDS.map(
    (name): Definition => ({
      metadata: {
        name,
        annotations: {
          'gateway.networking.k8s.io/bundle-version': 'v1.6.1',
          'gateway.networking.k8s.io/channel': 'standard',
        },
      },
      spec: { versions: ['v1', 'v1beta1'].map((version) => ({ name: version, served: true })) },
    }),
  )
  return new Map([...ours, ...others].map((each) => [each.metadata.name, seenAs({ ...each, status: established })]))
}

function webhooks(root: string): ClusterFacts['webhooks'] {
  return new Map(
    WEBHOOK_CONFIGURATIONS.map(({ name, webhooks: known }) => {
      const configuration: WebhookConfiguration = {
        metadata: { name },
        webhooks: known.map((webhook) => ({
          name: webhook.name,
          failurePolicy: 'Fail',
          namespaceSelector: { matchLabels: { 'hauberk.dev/inject': 'enabled' } },
          clientConfig: {
            service: { ...WEBHOOK_SERVICE, path: webhookPath(webhook.leadsTo, 'ab'.repeat(32)) },
            caBundle: Buffer.from(root).toString('base64'),
          },
        })),
      }
      return [name, seenAs(configuration)]
    }),
  )
}

export { ABSENT }
