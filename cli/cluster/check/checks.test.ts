import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ReportedOperator } from '../../../operator/cluster/cluster-report.ts'
import { policyYaml, workloadYaml } from '../../testing/files.ts'
import type { ClusterFacts, SidecarFacts } from '../facts.ts'
import type { Conditioned, Named, Pod } from '../objects.ts'
import { type Look, seenOr } from '../read.ts'
import { ABSENT, configOf, seenAs, soundFacts, soundPod, soundResource } from '../testing/facts.ts'
import { SECTIONS } from './checks.ts'
import { reportOf } from './report.ts'
import { formatReport } from './report-text.ts'

const sound = await soundFacts()
const plain = (_: unknown, text: string) => text

function checkOf(facts: ClusterFacts, id: string) {
  const found = reportOf(facts)
    .sections.flatMap(({ checks }) => checks)
    .find((each) => each.id === id)
  assert.ok(found, id)
  return found
}

test('of a mesh in which nothing is wrong every check is made, and none complains', () => {
  const report = reportOf(sound)
  const bad = report.sections.flatMap(({ checks }) => checks).filter(({ outcome }) => outcome !== 'ok')
  assert.deepEqual(bad, [])
  assert.equal(report.summary.checks, SECTIONS.flatMap(({ checks }) => checks).length)
  assert.match(formatReport(report, plain), /\n✓ nothing to complain about \(\d+ checks\)\n$/)
})

test('what a cluster says is shown on the terminal and does not write to it', () => {
  const evil = '\u001b[2J\u001b[H✓ nothing to complain about\r\n\u009b1A'
  const silent = sound.sidecars.map((sidecar): SidecarFacts => ({ ...sidecar, certificates: [], silent: evil }))
  const text = formatReport(reportOf({ ...sound, sidecars: silent }), plain)
  assert.match(text, /\\u\{1b\}\[2J/)
  assert.doesNotMatch(text, /[^\P{Cc}\n]/u)
})

type Change = (facts: ClusterFacts) => Partial<ClusterFacts>

const first = <T>(look: Look<readonly T[]>): T => {
  const [one] = seenOr(look, [])
  assert.ok(one)
  return one
}
const value = <T>(look: Look<T> | undefined): T => {
  assert.ok(look?.kind === 'seen')
  return look.value
}
/** As the operator that leads says of itself. */
const withOperator =
  ({ metrics }: Pick<ReportedOperator, 'metrics'>): Change =>
  ({ status }) => {
    assert.ok(!('silent' in status) && status.operator)
    const { metrics: _, ...operator } = status.operator
    return { status: { ...status, operator: { ...operator, ...(metrics && { metrics }) } } }
  }
const withDefinition =
  (name: string, look: (before: ClusterFacts) => ReturnType<ClusterFacts['definitions']['get']>): Change =>
  (facts) => ({ definitions: new Map([...facts.definitions, [name, look(facts) ?? ABSENT]]) })
const withWebhook =
  (name: string, change: (webhook: object) => object): Change =>
  ({ webhooks }) => {
    const before = value(webhooks.get(name))
    const changed = { ...before, webhooks: (before.webhooks ?? []).map((each) => ({ ...each, ...change(each) })) }
    return { webhooks: new Map([...webhooks, [name, seenAs(changed)]]) }
  }
const withSidecar =
  (change: Partial<SidecarFacts>): Change =>
  ({ sidecars }) => ({ sidecars: sidecars.map((each) => ({ ...each, ...change })) })
const withResource =
  (kind: string, change: (resource: Conditioned) => Partial<Conditioned>): Change =>
  ({ resources }) => {
    const before = first(value(new Map([[kind, seenAs(resources.get(kind) ?? ABSENT)]]).get(kind)))
    return { resources: new Map([...resources, [kind, seenAs([{ ...before, ...change(before) }])]]) }
  }
const withCondition = (kind: string, type: string, reason: string, message: string): Change =>
  withResource(kind, (resource) => ({
    status: {
      ...resource.status,
      conditions: (resource.status?.conditions ?? []).map((each) =>
        each.type === type ? { ...each, status: 'False', reason, message } : each,
      ),
    },
  }))
const withStatus =
  (change: (status: Exclude<ClusterFacts['status'], { silent: string }>) => object): Change =>
  ({ status }) => {
    assert.ok(!('silent' in status))
    return { status: { ...status, ...change(status) } }
  }
const withPods =
  (...pods: readonly Pod[]): Change =>
  (facts) => ({ pods: seenAs([...seenOr(facts.pods, []), ...pods]) })
const withNamespace =
  (namespace: Named): Change =>
  (facts) => ({ namespaces: seenAs([...seenOr(facts.namespaces, []), namespace]) })

const NAKED: Pod = { metadata: { namespace: 'shop', name: 'naked-1' }, spec: { containers: [] }, status: {} }
/** Of a workload whose policy takes tokens, in a mesh with this bound of their life. */
const verifying = (forward: string, maxTokenLifetime?: string) => {
  const issuer = [
    'apiVersion: hauberk.dev/v1alpha1\nkind: TokenIssuer\nmetadata: {name: corp}\nspec:\n  issuer: https://corp.example',
    '  audiences: [shop]\n  jwks: {uri: https://corp.example/jwks}\n',
  ].join('\n')
  const mesh = 'apiVersion: hauberk.dev/v1alpha1\nkind: MeshConfig\nmetadata: {name: default}\nspec:'
  const bound = maxTokenLifetime === undefined ? '' : `${mesh} {maxTokenLifetime: ${maxTokenLifetime}}\n---\n`
  const spec = `  authentication:\n    jwt: {required: true, issuers: [{name: corp}], forward: ${forward}}\n`
  return configOf(`${bound}${issuer}---\n${[workloadYaml('orders'), policyYaml('orders', spec)].join('---\n')}`)
}
const workload = (spec: string) => configOf([workloadYaml('orders'), policyYaml('orders', spec)].join('---\n'))

/** What is wrong, by check: how facts become so, what it comes to, and what is said. */
const CASES: readonly (readonly [
  id: string,
  change: Change,
  outcome: 'error' | 'warning' | 'info',
  message: RegExp,
])[] = [
  [
    'api-reachable',
    () => ({ version: { kind: 'failed', why: 'no answer within 10000 ms', isForbidden: false } }),
    'error',
    /no answer/,
  ],
  ['kubernetes-version', () => ({ version: seenAs('v1.29.9') }), 'error', /it is v1\.29\.9/],
  [
    'permissions',
    () => ({ pods: { kind: 'failed', why: 'pods is forbidden', isForbidden: true } }),
    'error',
    /you may not read pods: what depends/,
  ],
  [
    'gateway-api-definitions',
    withDefinition('httproutes.gateway.networking.k8s.io', () => ABSENT),
    'error',
    /is not there/,
  ],
  [
    'gateway-api-release',
    withDefinition('gateways.gateway.networking.k8s.io', ({ definitions }) => {
      const before = value(definitions.get('gateways.gateway.networking.k8s.io'))
      return seenAs({ ...before, metadata: { name: before.metadata.name } })
    }),
    'warning',
    /several releases: .*v1\.6\.1/,
  ],
  [
    'definitions',
    withDefinition('tokenissuers.hauberk.dev', ({ definitions }) =>
      seenAs({
        ...value(definitions.get('tokenissuers.hauberk.dev')),
        spec: { versions: [{ name: 'v1', served: true }] },
      }),
    ),
    'error',
    /does not serve v1alpha1, only v1/,
  ],
  [
    'definitions-release',
    withDefinition('meshconfigs.hauberk.dev', ({ definitions }) => {
      const before = value(definitions.get('meshconfigs.hauberk.dev'))
      const text = JSON.stringify(before).replace('"trustedHops"', '"trustedHopz"')
      return seenAs(JSON.parse(text) as typeof before)
    }),
    'error',
    /is of another release and drops spec\.trustedHops/,
  ],
  ['operator-installed', () => ({ deployment: ABSENT }), 'error', /no mesh is installed/],
  [
    'operator-ready',
    ({ deployment, pods }) => ({
      deployment: seenAs({ ...value(deployment), status: { readyReplicas: 0 } }),
      pods: seenAs(
        value(pods).map((pod) => ({
          ...pod,
          status: { containerStatuses: [{ name: 'operator', state: { waiting: { reason: 'ImagePullBackOff' } } }] },
        })),
      ),
    }),
    'error',
    /0 of 2 replicas are ready: operator-1 ImagePullBackOff/,
  ],
  [
    'operator-replicas',
    ({ deployment }) => ({ deployment: seenAs({ ...value(deployment), spec: { replicas: 1 } }) }),
    'warning',
    /has one replica/,
  ],
  ['operator-replicas', () => ({ disruptionBudget: ABSENT }), 'warning', /no PodDisruptionBudget/],
  [
    'operators-answer',
    () => ({ operators: [{ pod: 'operator-2', readiness: { ok: false, why: 'webhooks are not in place' } }] }),
    'error',
    /webhooks are not in place/,
  ],
  ['leader', () => ({ lease: ABSENT }), 'error', /no operator has led yet/],
  [
    'leader',
    ({ lease, nowMs }) => ({
      lease: seenAs({
        ...value(lease),
        spec: { ...value(lease).spec, renewTime: new Date(nowMs - 60_000).toISOString() },
      }),
    }),
    'error',
    /was last renewed by operator-1_uid at/,
  ],
  [
    'leader',
    ({ lease }) => ({
      lease: seenAs({ ...value(lease), spec: { ...value(lease).spec, holderIdentity: 'gone_uid' } }),
    }),
    'warning',
    /gone_uid, who holds it, is gone/,
  ],
  ['mesh-status', () => ({ status: { silent: 'exit code 1' } }), 'error', /cannot be asked: exit code 1/],
  [
    'metrics-read',
    withOperator({ metrics: { since: sound.nowMs - 1_000_000, readAt: sound.nowMs - 960_000 } }),
    'warning',
    /nobody has read its metrics for 16 minutes/,
  ],
  ['metrics-read', withOperator({}), 'warning', /lets nobody read its metrics/],
  ['versions', () => ({ release: '0.2.0' }), 'warning', /this program is 0\.2\.0 and the operator 0\.1\.0/],
  [
    'versions',
    withStatus(({ workloads }) => ({
      workloads: workloads.map((each) => ({
        ...each,
        sidecars: each.sidecars.map((one) => ({ ...one, release: '0.0.9' })),
      })),
    })),
    'warning',
    /has sidecars of 0\.0\.9/,
  ],
  ['mesh-config', () => ({ meshConfig: ABSENT }), 'info', /the built-in defaults hold/],
  [
    'webhooks-present',
    ({ webhooks }) => ({ webhooks: new Map([...webhooks, ['hauberk-inject', ABSENT]]) }),
    'error',
    /has no inject\.hauberk\.dev: pods are not injected/,
  ],
  ['webhooks-present', () => ({ deployment: ABSENT }), 'error', /is there without an operator/],
  [
    'webhooks-lead-here',
    withWebhook('hauberk-pods', () => ({ clientConfig: { url: 'https://elsewhere.example/pods' } })),
    'error',
    /pods\.hauberk\.dev leads to https:\/\/elsewhere\.example/,
  ],
  [
    'webhooks-trust',
    withWebhook('hauberk-admission', () => ({ clientConfig: {} })),
    'error',
    /caBundle of policies\.hauberk\.dev holds no certificate/,
  ],
  [
    'webhooks-fail-closed',
    withWebhook('hauberk-inject', () => ({ failurePolicy: 'Ignore' })),
    'error',
    /failurePolicy of inject\.hauberk\.dev is Ignore/,
  ],
  [
    'webhooks-fail-closed',
    withWebhook('hauberk-pods', () => ({ namespaceSelector: {} })),
    'error',
    /does not go by the label/,
  ],
  [
    'injection-answers',
    () => ({ injection: { kind: 'not-called', webhook: 'inject.hauberk.dev', why: 'x509: certificate has expired' } }),
    'error',
    /cannot call inject\.hauberk\.dev: x509/,
  ],
  [
    'injection-answers',
    () => ({ injection: { kind: 'taken', object: { spec: { containers: [{ name: 'check' }] } } } }),
    'error',
    /is taken without a sidecar/,
  ],
  ['review-answers', () => ({ review: { kind: 'taken', object: {} } }), 'error', /nobody reviews policies/],
  [
    'ca-root',
    withStatus(({ certificateAuthority: authority }) => ({
      certificateAuthority: {
        ...authority,
        roots: authority?.roots.map((root) => ({ ...root, notAfter: new Date(Date.now() + 86_400_000).toISOString() })),
      },
    })),
    'warning',
    /\(Signing\) ends in /,
  ],
  [
    'ca-issuing',
    ({ sidecars, nowMs }) => ({
      sidecars: sidecars.map((each) => ({
        ...each,
        issuers: each.issuers.map((row) => ({
          ...row,
          notBefore: new Date(nowMs - 86_400_000).toISOString(),
          notAfterMs: nowMs + 60_000,
        })),
      })),
    }),
    'warning',
    /ends in 1m/,
  ],
  [
    'ca-rotation',
    withStatus(({ certificateAuthority: authority }) => ({
      certificateAuthority: { ...authority, phase: 'signing', waiting: 1, waitingFor: ['shop/orders-1'] },
    })),
    'warning',
    /signing; 1 to go: shop\/orders-1/,
  ],
  [
    'ca-rotation',
    withStatus(({ certificateAuthority: authority }) => ({
      certificateAuthority: { ...authority, problem: 'it is no CA' },
    })),
    'error',
    /cannot be had: it is no CA/,
  ],
  [
    'trust-anchors',
    ({ trustAnchors }) => ({
      trustAnchors: seenAs(value(trustAnchors).filter(({ metadata }) => metadata.namespace !== 'shop')),
    }),
    'error',
    /pods of the namespace cannot start/,
  ],
  [
    'trust-anchors',
    ({ trustAnchors }) => ({ trustAnchors: seenAs(value(trustAnchors).map((each) => ({ ...each, data: {} }))) }),
    'error',
    /holds other roots/,
  ],
  ['namespaces', () => ({ namespaces: seenAs([{ metadata: { name: 'other' } }]) }), 'warning', /no namespace has/],
  [
    'pod-security',
    withNamespace({
      metadata: {
        name: 'strict',
        labels: { 'hauberk.dev/inject': 'enabled', 'pod-security.kubernetes.io/enforce': 'restricted' },
      },
    }),
    'error',
    /refuses the NET_ADMIN/,
  ],
  ['pods-injected', withPods(NAKED), 'error', /has no sidecar and nothing protects it: it was made before/],
  [
    'pods-injected',
    withPods({ ...NAKED, metadata: { ...NAKED.metadata, labels: { 'hauberk.dev/inject': 'disabled' } } }),
    'error',
    /asks for SkipInjection, which no entry of optOuts allows/,
  ],
  [
    'pods-ready',
    withPods({
      ...soundPod(),
      metadata: { namespace: 'shop', name: 'orders-2' },
      status: {
        ...soundPod().status,
        conditions: [{ type: 'Ready', status: 'False' }],
        containerStatuses: [{ name: 'orders', ready: false, state: { waiting: { reason: 'ErrImagePull' } } }],
      },
    }),
    'warning',
    /is not ready \(orders: ErrImagePull\): requests for it are answered 503/,
  ],
  [
    'opt-outs',
    (facts) => ({
      ...withPods({ ...NAKED, spec: { hostNetwork: true } })(facts),
      meshConfig: seenAs({
        ...soundResource('MeshConfig', undefined, 'default'),
        spec: { optOuts: [{ name: 'cni', namespaces: ['shop'], allow: ['HostNetwork'] }] },
      }),
    }),
    'info',
    /has no sidecar \(HostNetwork\), as optOuts cni of MeshConfig allows/,
  ],
  [
    'opt-outs',
    withPods({
      ...soundPod(),
      metadata: {
        namespace: 'shop',
        name: 'orders-2',
        annotations: { 'hauberk.dev/exclude-outbound-ports': '9000' },
      },
    }),
    'info',
    /keeps traffic from its sidecar: hauberk\.dev\/exclude-outbound-ports: 9000/,
  ],
  [
    'sidecars-ready',
    ({ sidecars }) => ({
      sidecars: sidecars.map((each) => ({
        ...each,
        pod: {
          ...each.pod,
          isRunning: false,
          state: { name: 'hauberk-sidecar', state: { waiting: { reason: 'CrashLoopBackOff' } } },
        },
      })),
    }),
    'error',
    /its sidecar does not run: CrashLoopBackOff/,
  ],
  ['sidecars-answer', withSidecar({ silent: 'you may not run programs' }), 'error', /you may not run programs/],
  [
    'sidecar-certificates',
    ({ sidecars, nowMs }) => ({
      sidecars: sidecars.map((each) => ({
        ...each,
        certificates: each.certificates.map((row) => ({ ...row, notAfterMs: nowMs + 60_000 })),
      })),
    }),
    'warning',
    /was not renewed at half of its life/,
  ],
  [
    'sidecar-certificates',
    ({ sidecars }) => ({
      sidecars: sidecars.map((each) => ({
        ...each,
        certificates: each.certificates.map((row) => ({ ...row, problem: 'it has expired' })),
      })),
    }),
    'error',
    /it has expired/,
  ],
  [
    'sidecar-identities',
    ({ sidecars }) => ({
      sidecars: sidecars.map((each) => ({
        ...each,
        pod: { ...each.pod, spiffeId: 'spiffe://cluster.local/ns/shop/sa/other' },
      })),
    }),
    'error',
    /should be spiffe:\/\/cluster\.local\/ns\/shop\/sa\/other/,
  ],
  ['limit-store', withSidecar({ limitStore: 'silent' }), 'warning', /gets no answer from the store of shared limits/],
  ['sidecar-roots', withSidecar({ roots: ['00'] }), 'warning', /trusts other roots/],
  [
    'sidecars-connected',
    withStatus(({ workloads }) => ({ workloads: workloads.map((each) => ({ ...each, sidecars: [] })) })),
    'error',
    /is not connected to any operator/,
  ],
  [
    'sidecars-connected',
    withStatus(({ workloads }) => ({
      workloads: workloads.map((each) => ({ ...each, sidecars: [] })),
      operator: {
        ...{ name: 'operator-1', release: '0.1.0', contract: 1, leads: true, kinds: [], webhooksInPlace: true },
        replicas: [],
      },
    })),
    'warning',
    /may be connected to operator-2, which has not told the leader/,
  ],
  [
    'sidecars-obey',
    withStatus(({ workloads }) => ({ workloads: workloads.map((each) => ({ ...each, version: 'v2' })) })),
    'warning',
    /has not acknowledged v2/,
  ],
  [
    'sidecars-obey',
    withStatus(({ workloads }) => ({
      workloads: workloads.map((each) => ({
        ...each,
        version: 'v2',
        sidecars: each.sidecars.map((one) => ({
          ...one,
          refused: { version: 'v2', issues: [{ code: 'contract', severity: 'error', path: 'a', message: 'is odd' }] },
        })),
      })),
    })),
    'error',
    /refuses the newest configuration .*a: is odd/,
  ],
  [
    'statuses-current',
    withResource('SecurityPolicy', ({ metadata }) => ({ metadata: { ...metadata, generation: 2 } })),
    'warning',
    /a status of generation 1, and is of 2/,
  ],
  [
    'policies-accepted',
    withCondition('SecurityPolicy', 'Accepted', 'Invalid', 'spec.authorization is odd.'),
    'error',
    /Invalid: spec\.authorization is odd/,
  ],
  [
    'references-resolved',
    withCondition('TokenIssuer', 'ResolvedRefs', 'RefNotPermitted', 'The Secret may not be read.'),
    'error',
    /RefNotPermitted: The Secret/,
  ],
  [
    'secret-grants',
    ({ secrets }) => ({ secrets: secrets.map((each) => ({ ...each, access: false })) }),
    'error',
    /the operator may not read tls \(named by Gateway\/shop\/shop\)/,
  ],
  [
    'policies-programmed',
    withCondition('SecurityPolicy', 'Programmed', 'Unmeshed', 'Pods without a sidecar: shop/naked.'),
    'error',
    /Unmeshed: Pods without/,
  ],
  [
    'policies-programmed',
    withCondition('SecurityPolicy', 'Programmed', 'Reconciling', '0 of 1.'),
    'warning',
    /Reconciling/,
  ],
  [
    'token-keys',
    withStatus(() => ({ issuers: [{ name: 'corp', keys: 0, failure: 'connection refused' }] })),
    'error',
    /answered 503: connection refused/,
  ],
  ['token-lifetime', withSidecar({ config: verifying('Strip') }), 'warning', /sets no maxTokenLifetime/],
  [
    'token-lifetime',
    withSidecar({ config: verifying('Strip', '1h') }),
    'warning',
    /takes tokens that live for up to 60 minutes/,
  ],
  ['tokens-kept', withSidecar({ config: verifying('Keep', '15m') }), 'warning', /is given its callers' tokens/],
  [
    'dry-runs',
    withResource('SecurityPolicy', ({ status }) => ({
      status: { ...status, dryRun: { wouldDeny: 3, topRule: 'own' } },
    })),
    'info',
    /would have refused 3 requests, most by own/,
  ],
  ['no-policy', withSidecar({ config: configOf(workloadYaml('orders')) }), 'warning', /403 no-policy/],
  [
    'plaintext-in',
    withSidecar({ config: workload('  mtls: {mode: Permissive}\n') }),
    'warning',
    /takes plaintext: Permissive/,
  ],
  [
    'plaintext-out',
    ({ sidecars }) => ({
      sidecars: sidecars.map((each) => {
        const config = configOf()
        const db = { service: 'legacy/db', port: 5432, protocol: 'tcp' } as const
        const service = { ...db, hosts: ['db.legacy'], upstream: 'legacy/db:5432', requestTimeoutMs: 0 }
        const upstream = { ...db, tls: 'plaintext' as const, spiffeIds: [] }
        return {
          ...each,
          config: {
            ...config,
            outbound: { ...config.outbound, services: [service] },
            upstreams: { 'legacy/db:5432': upstream },
          },
        }
      }),
    }),
    'warning',
    /is called in plaintext, as egress of MeshConfig lets shop\/orders do/,
  ],
  [
    'allows-everybody',
    withSidecar({ config: workload('  authorization:\n    allow:\n    - {name: all}\n') }),
    'warning',
    /lets everybody/,
  ],
  ['gateway-class', withResource('GatewayClass', () => ({ spec: {} })), 'warning', /no Gateway is served/],
  [
    'gateways-programmed',
    withCondition('Gateway', 'Programmed', 'Pending', 'its Deployment is not available'),
    'error',
    /Programmed is False: Pending/,
  ],
  [
    'gateway-addresses',
    withResource('Gateway', ({ status }) => ({ status: { ...status, addresses: [] } })),
    'warning',
    /has no address/,
  ],
  [
    'routes-attached',
    withResource('HTTPRoute', ({ status }) => ({
      status: {
        parents: (status?.parents ?? []).map((parent) => ({
          ...parent,
          conditions: [{ type: 'Accepted', status: 'False', reason: 'NoMatchingParent', message: 'no such listener' }],
        })),
      },
    })),
    'error',
    /Accepted at shop is False: NoMatchingParent/,
  ],
]

for (const [id, change, severity, message] of CASES) {
  test(`${id} finds: ${message.source.replaceAll('\\', '')}`, () => {
    const { outcome, problems } = checkOf({ ...sound, ...change(sound) }, id)
    assert.equal(outcome, severity === 'info' ? 'ok' : severity)
    const said = problems.map((problem) => `${problem.severity} ${problem.message}`).join('\n')
    assert.match(said, new RegExp(`${severity} [^\\n]*${message.source}`))
  })
}

test('who asks about one namespace is only warned of what is of the cluster and may not be read', () => {
  const deployment = { kind: 'failed', why: 'forbidden', isForbidden: true } as const
  assert.equal(checkOf({ ...sound, deployment }, 'permissions').outcome, 'error')
  assert.equal(checkOf({ ...sound, deployment, scope: 'shop' }, 'permissions').outcome, 'warning')
  assert.equal(checkOf({ ...sound, deployment }, 'operator-ready').outcome, 'skipped')
})

test('every check has a case in which it finds something', () => {
  const tried = new Set(CASES.map(([id]) => id))
  const ids = SECTIONS.flatMap(({ checks }) => checks.map(({ id }) => id))
  assert.deepEqual(
    ids.filter((id) => !tried.has(id)),
    [],
  )
})

test('a grant that is missing is printed whole, to be pasted: with the Secrets that were granted before', () => {
  const secrets = [
    ...sound.secrets,
    { namespace: 'shop', name: 'keys', by: ['TokenIssuer/corp'], access: false },
  ] as const
  const text = formatReport(reportOf({ ...sound, secrets }), plain)
  assert.match(text, /^apiVersion: rbac\.authorization\.k8s\.io\/v1\nkind: Role$/m)
  assert.match(text, /^ {2}resourceNames: \["keys", "tls"\]$/m)
  assert.match(text, /see docs\/troubleshooting\.md#secret-grants/)
})

test('without an API server everything else is skipped, and says why', () => {
  const away = { kind: 'failed', why: 'connect ECONNREFUSED', isForbidden: false } as const
  const nothing = { kind: 'not-tried', why: 'the API server does not answer' } as const
  const report = reportOf({
    ...sound,
    ...{ version: away, deployment: away, disruptionBudget: away, lease: away, meshConfig: away, namespaces: away },
    ...{ pods: away, trustAnchors: away, injection: nothing, review: nothing },
    definitions: new Map([...sound.definitions.keys()].map((name) => [name, away])),
    webhooks: new Map([...sound.webhooks.keys()].map((name) => [name, away])),
    resources: new Map([...sound.resources.keys()].map((kind) => [kind, away])),
    ...{ operators: [], sidecars: [], secrets: [], status: { silent: 'no operator runs' } },
  })
  const checks = report.sections.flatMap((section) => section.checks)
  assert.deepEqual(
    checks.filter(({ outcome }) => outcome === 'error' || outcome === 'warning').map(({ id }) => id),
    ['api-reachable'],
  )
})

test('tokens of a quarter of an hour that end at the sidecar are as they should be', () => {
  const facts = { ...sound, ...withSidecar({ config: verifying('Strip', '15m') })(sound) }
  assert.equal(checkOf(facts, 'token-lifetime').detail, '15 min at most')
  for (const id of ['token-lifetime', 'tokens-kept']) assert.equal(checkOf(facts, id).outcome, 'ok', id)
})
