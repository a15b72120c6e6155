import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { parse } from 'yaml'
import { CHART, find, HELMS, lint, type Manifest, render, renderText, WITH_HELM } from './testing/helm.ts'

const GATEWAY_API = 'v1.6.1'
const read = (path: string) => readFileSync(join(CHART, path), 'utf8')
const crdsOf = (manifests: readonly Manifest[]) => manifests.filter(({ kind }) => kind === 'CustomResourceDefinition')

test(
  'helm lint has no complaint, with the values as they are and with those for high availability',
  WITH_HELM,
  async () => {
    for (const helm of HELMS) {
      await lint(helm)
      await lint(helm, '--values', join(CHART, 'values-ha.yaml'))
    }
  },
)

test('every version of Helm that is here renders the same', WITH_HELM, async (t) => {
  t.diagnostic(HELMS.map(({ version }) => version).join(', '))
  const texts = await Promise.all(HELMS.map((helm) => renderText({ crds: true }, helm)))
  for (const text of texts) assert.equal(text, texts[0])
})

test('the values as they are render testdata/default.yaml', WITH_HELM, async () => {
  // Made by: helm template hauberk charts/hauberk -n hauberk-system --set crds.install=false,gatewayApi.install=false
  assert.equal(await renderText(), read('testdata/default.yaml'))
})

test(
  'the values for high availability put three replicas on three nodes, and replace one at a time',
  WITH_HELM,
  async () => {
    const manifests = await render({ files: [join(CHART, 'values-ha.yaml')] })
    const { spec } = find(manifests, 'Deployment', 'hauberk-operator')
    assert.equal(spec.replicas, 3)
    assert.deepEqual(spec.strategy.rollingUpdate, { maxUnavailable: 1, maxSurge: 0 })
    const { affinity, topologySpreadConstraints } = spec.template.spec
    const [term] = affinity.podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution
    assert.equal(term.topologyKey, 'kubernetes.io/hostname')
    assert.equal(topologySpreadConstraints[0].topologyKey, 'topology.kubernetes.io/zone')
    assert.equal(find(manifests, 'PodDisruptionBudget', 'hauberk-operator').spec.maxUnavailable, 1)
  },
)

test('a single replica has no disruption budget: it would keep its node from being drained', WITH_HELM, async () => {
  const manifests = await render({ values: { 'operator.replicas': 1 } })
  assert.deepEqual(
    manifests.filter(({ kind }) => kind === 'PodDisruptionBudget'),
    [],
  )
})

test(
  'each pod of the chart is within the pod security standard `restricted`, with a read-only root',
  WITH_HELM,
  async () => {
    const manifests = await render()
    const pods = [
      find(manifests, 'Deployment', 'hauberk-operator').spec.template,
      find(manifests, 'Pod', 'hauberk-test'),
    ]
    for (const { spec } of pods) {
      assert.equal(spec.securityContext.runAsNonRoot, true)
      assert.deepEqual(spec.securityContext.seccompProfile, { type: 'RuntimeDefault' })
      for (const { securityContext, resources } of spec.containers) {
        assert.deepEqual(securityContext, {
          allowPrivilegeEscalation: false,
          readOnlyRootFilesystem: true,
          capabilities: { drop: ['ALL'] },
        })
        assert.ok(resources.limits.memory)
        assert.ok(resources.requests.cpu)
      }
      assert.equal(spec.hostNetwork, undefined)
    }
  },
)

test('another namespace than hauberk-system is refused, with the command that works', WITH_HELM, async () => {
  for (const helm of HELMS) {
    await assert.rejects(renderText({ namespace: 'default' }, helm), (error: Error & { stderr: string }) => {
      assert.match(error.stderr, /lives in the namespace hauberk-system/)
      assert.match(error.stderr, /helm install hauberk charts\/hauberk --namespace hauberk-system --create-namespace/)
      return true
    })
  }
})

test('a value that nobody knows is refused by its path', WITH_HELM, async () => {
  for (const [name, value] of [
    ['operator.replica', 3],
    ['operator.replicas', 0],
    ['operator.image.digest', 'latest'],
    ['metrics.client', 'prometheus'],
    ['sidecar.resources.limits.memory', 'much'],
    ['webhooks.timeoutSeconds', 31],
  ] as const) {
    await assert.rejects(render({ values: { [name]: value } }), (error: Error & { stderr: string }) => {
      const path = name.split('.').slice(0, name === 'operator.replica' ? 1 : undefined)
      assert.ok(error.stderr.includes(`/${path.join('/')}'`), error.stderr)
      return true
    })
  }
})

test('values.yaml and its schema name the same values, and the schema says what each is', () => {
  const schema = JSON.parse(read('values.schema.json')) as JsonSchema
  const values = parse(read('values.yaml')) as Record<string, unknown>
  const compare = (given: Record<string, unknown>, { properties = {} }: JsonSchema, path: string) => {
    const names = Object.keys(properties).filter((name) => `${path}${name}` !== 'global')
    assert.deepEqual(Object.keys(given).sort(), names.sort(), path)
    for (const [name, property] of Object.entries(properties)) {
      assert.ok((property.description ?? '').endsWith('.'), `${path}${name}`)
      const target = resolved(property)
      if (target.properties === undefined || `${path}${name}` === 'global') continue
      assert.equal(target.additionalProperties, false, `${path}${name}`)
      compare(given[name] as Record<string, unknown>, target, `${path}${name}.`)
    }
  }
  const resolved = (property: JsonSchema): JsonSchema => {
    const definition = /^#\/definitions\/(\w+)$/.exec(property.$ref ?? '')?.[1]
    return definition === undefined ? property : resolved(schema.definitions?.[definition] ?? {})
  }
  assert.equal(schema.additionalProperties, false)
  compare(values, schema, '')
})

interface JsonSchema {
  readonly $ref?: string
  readonly description?: string
  readonly additionalProperties?: boolean | JsonSchema
  readonly properties?: Readonly<Record<string, JsonSchema>>
  readonly definitions?: Readonly<Record<string, JsonSchema>>
}

test(
  'our definitions come with the chart, and uninstalling keeps them and whatever is of their kinds',
  WITH_HELM,
  async () => {
    const ours = crdsOf(await render({ crds: true })).filter(({ spec }) => spec.group === 'hauberk.dev')
    const expected = globSync('crds/*.yaml', { cwd: join(CHART, '../..') }).map((path) =>
      parse(readFileSync(join(CHART, '../..', path), 'utf8')),
    ) as Manifest[]
    assert.deepEqual(
      ours.map(({ spec }) => spec),
      expected.sort((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1)).map(({ spec }) => spec),
    )
    for (const { metadata } of ours) assert.equal(metadata.annotations?.['helm.sh/resource-policy'], 'keep')
  },
)

test(`the definitions of Gateway API are the standard channel of ${GATEWAY_API}, unchanged`, WITH_HELM, async () => {
  const rendered = crdsOf(await render({ crds: true })).filter(({ spec }) => spec.group !== 'hauberk.dev')
  const published = globSync('files/gateway-api/*.yaml', { cwd: CHART }).map((path) => parse(read(path))) as Manifest[]
  assert.equal(published.length, 10)
  for (const { metadata, spec } of published) {
    assert.equal(metadata.annotations?.['gateway.networking.k8s.io/bundle-version'], GATEWAY_API)
    assert.equal(metadata.annotations?.['gateway.networking.k8s.io/channel'], 'standard')
    const same = find(rendered, 'CustomResourceDefinition', metadata.name)
    assert.deepEqual(same.spec, spec)
    assert.deepEqual(same.metadata.annotations, { ...metadata.annotations, 'helm.sh/resource-policy': 'keep' })
  }
  assert.equal(rendered.length, published.length)
  assert.ok(read('values.yaml').includes(`Gateway API ${GATEWAY_API}, standard channel`))
})

test(
  'F21: pods of opted-in namespaces and our own kinds wait for the operator, and nothing else does',
  WITH_HELM,
  async () => {
    const webhooks = (await render())
      .filter(({ kind }) => kind.endsWith('WebhookConfiguration'))
      .flatMap(({ webhooks }) => webhooks as readonly Webhook[])
    const closed = webhooks.filter(({ failurePolicy }) => failurePolicy !== 'Ignore')
    assert.deepEqual(closed.map(({ name }) => name).sort(), [
      'changes.hauberk.dev',
      'inject.hauberk.dev',
      'pods.hauberk.dev',
      'policies.hauberk.dev',
    ])
    for (const { name, namespaceSelector, matchConditions, rules } of closed) {
      if (name === 'policies.hauberk.dev') {
        for (const { apiGroups } of rules) assert.deepEqual(apiGroups, ['hauberk.dev'])
        continue
      }
      for (const { resources } of rules) for (const resource of resources) assert.match(resource, /^pods(\/|$)/)
      // Who has a sidecar is protected also where the label of the namespace is gone (T28).
      if (name === 'changes.hauberk.dev') assert.match(matchConditions?.[0]?.expression ?? '', /'hauberk-sidecar'/)
      else assert.deepEqual(namespaceSelector?.matchLabels, { 'hauberk.dev/inject': 'enabled' })
      const [exclusion] = namespaceSelector?.matchExpressions ?? []
      assert.equal(`${exclusion?.key} ${exclusion?.operator}`, 'kubernetes.io/metadata.name NotIn')
      assert.ok(exclusion?.values.includes('hauberk-system'))
    }
  },
)

test(
  'T28: no webhook can be left by a label of a pod, and none names its path: that is a secret',
  WITH_HELM,
  async () => {
    const configurations = (await render()).filter(({ kind }) => kind.endsWith('WebhookConfiguration'))
    assert.equal(configurations.length, 3)
    for (const { metadata, webhooks } of configurations) {
      assert.equal(metadata.annotations?.['helm.sh/hook'], undefined, 'a hook would outlive the release')
      for (const { clientConfig, objectSelector, sideEffects } of webhooks as readonly Webhook[]) {
        assert.deepEqual(clientConfig, {
          service: { namespace: 'hauberk-system', name: 'hauberk-operator', port: 443 },
        })
        assert.equal(objectSelector, undefined)
        assert.equal(sideEffects, 'None')
      }
    }
  },
)

interface Webhook {
  readonly name: string
  readonly clientConfig: unknown
  readonly failurePolicy?: string
  readonly sideEffects: string
  readonly objectSelector?: unknown
  readonly matchConditions?: readonly { readonly expression: string }[]
  readonly namespaceSelector?: {
    readonly matchLabels?: Readonly<Record<string, string>>
    readonly matchExpressions: readonly [{ key: string; operator: string; values: readonly string[] }]
  }
  readonly rules: readonly { readonly apiGroups: readonly string[]; readonly resources: readonly string[] }[]
}

test('images are named by tag, and by digest where one is given', WITH_HELM, async () => {
  const digest = `sha256:${'a'.repeat(64)}`
  const values = { 'operator.image.repository': 'registry.example/mesh/operator', 'operator.image.digest': digest }
  const { spec } = find(await render({ values }), 'Deployment', 'hauberk-operator').spec.template
  assert.equal(spec.containers[0].image, `registry.example/mesh/operator@${digest}`)
  assert.ok(spec.containers[0].args.includes('--sidecar-image=hauberk-sidecar:0.1.0'))
})

test(
  'T28: a client certificate is asked of the API server where it is said who signs it, and by which names',
  WITH_HELM,
  async () => {
    const certificates = { configMap: 'api-server-ca', names: ['kube-apiserver', 'webhooks.example'] }
    const manifests = await render({ values: { 'webhooks.clientCertificates': certificates } })
    const { containers, volumes } = find(manifests, 'Deployment', 'hauberk-operator').spec.template.spec
    assert.deepEqual(volumes[1], { name: 'webhook-client-ca', configMap: { name: 'api-server-ca' } })
    const [{ args, volumeMounts }] = containers
    assert.ok(args.includes(`--webhook-client-ca=${volumeMounts[1].mountPath}/ca.crt`))
    assert.ok(args.includes('--webhook-client-names=kube-apiserver,webhooks.example'))
    await assert.rejects(render({ values: { 'webhooks.clientCertificates': { configMap: 'api-server-ca' } } }), /names/)
  },
)

test('what the operator makes once is in its arguments as JSON', WITH_HELM, async () => {
  const argument = async (values: Readonly<Record<string, unknown>>) => {
    const { spec } = find(await render({ values }), 'Deployment', 'hauberk-operator').spec.template
    const [text] = spec.containers[0].args.filter((arg: string) => arg.startsWith('--default-resources='))
    return JSON.parse(text.slice('--default-resources='.length)) as readonly Manifest[]
  }
  const names = (manifests: readonly Manifest[]) => manifests.map(({ kind, metadata }) => `${kind} ${metadata.name}`)
  assert.deepEqual(names(await argument({})), ['GatewayClass hauberk', 'MeshConfig default'])
  assert.deepEqual(await argument({ 'gatewayClass.create': false, 'meshConfig.create': false }), [])
  const spec = { trustDomain: 'prod.example', egress: [{ name: 'a', hosts: ['*.b.example'], ports: [443] }] }
  const [, meshConfig] = await argument({ 'meshConfig.spec': spec })
  assert.deepEqual(meshConfig?.spec, spec)
  // A value beside it leaves the way to the API server open.
  const [, other] = await argument({ 'meshConfig.spec.trustDomain': 'prod.example' })
  const egress = [{ name: 'kubernetes-api', hosts: ['kubernetes.default.svc'], ports: [443] }]
  assert.deepEqual(other?.spec, { trustDomain: 'prod.example', egress })
})

test('monitors, dashboards and NetworkPolicies are there only where they are asked for', WITH_HELM, async () => {
  const optional = (manifests: readonly Manifest[]) =>
    manifests
      .filter(({ kind, metadata }) => /Monitor$|^NetworkPolicy$/.test(kind) || metadata.name.includes('dashboard'))
      .map(({ kind, metadata }) => `${kind} ${metadata.namespace}/${metadata.name}`)
      .sort()
  assert.deepEqual(optional(await render()), [])
  const values = {
    'metrics.serviceMonitor.create': true,
    'metrics.podMonitor.create': true,
    'dashboards.create': true,
    'networkPolicy.create': true,
    'networkPolicy.tcpOnlyNamespaces': ['shop', 'identity'],
  }
  assert.deepEqual(optional(await render({ values })), [
    'ConfigMap hauberk-system/hauberk-dashboard-gateway',
    'ConfigMap hauberk-system/hauberk-dashboard-mesh',
    'ConfigMap hauberk-system/hauberk-dashboard-security',
    'ConfigMap hauberk-system/hauberk-dashboard-workload',
    'NetworkPolicy hauberk-system/hauberk-default',
    'NetworkPolicy hauberk-system/hauberk-gateways',
    'NetworkPolicy hauberk-system/hauberk-operator',
    'NetworkPolicy identity/hauberk-tcp-only',
    'NetworkPolicy shop/hauberk-tcp-only',
    'PodMonitor hauberk-system/hauberk-sidecars',
    'ServiceMonitor hauberk-system/hauberk-operator',
  ])
})

test('T11: where only TCP may pass, nothing but DNS has another protocol', WITH_HELM, async () => {
  const { spec } = find(
    await render({ values: { 'networkPolicy.tcpOnlyNamespaces': ['shop'] } }),
    'NetworkPolicy',
    'hauberk-tcp-only',
  )
  assert.deepEqual(spec.policyTypes, ['Ingress', 'Egress'])
  for (const { ports } of [...spec.ingress, ...spec.egress]) {
    for (const { protocol, port } of ports) assert.ok(protocol === 'TCP' || port === 53)
  }
})

test(
  'Prometheus reads metrics with the certificate that is made for it, unless they are plaintext',
  WITH_HELM,
  async () => {
    const endpoint = async (values: Readonly<Record<string, unknown>>) => {
      const all = { ...values, 'metrics.serviceMonitor.create': true }
      return find(await render({ values: all }), 'ServiceMonitor', 'hauberk-operator').spec.endpoints[0]
    }
    const { scheme, tlsConfig } = await endpoint({})
    assert.equal(scheme, 'https')
    assert.deepEqual(tlsConfig.cert, { secret: { name: 'hauberk-metrics-client', key: 'tls.crt' } })
    assert.deepEqual(tlsConfig.keySecret, { name: 'hauberk-metrics-client', key: 'tls.key' })
    const plain = await endpoint({ 'metrics.plaintext': true })
    assert.equal(plain.scheme, 'http')
    assert.equal(plain.tlsConfig, undefined)
  },
)

test('each metric that a dashboard asks for is one that docs/metrics.md names', () => {
  const documented = readFileSync(join(CHART, '../../docs/metrics.md'), 'utf8')
  for (const path of globSync('files/dashboards/*.json', { cwd: CHART })) {
    const { panels } = JSON.parse(read(path)) as Dashboard
    const asked = panels.flatMap(({ targets }) => targets.flatMap(({ expr }) => expr.match(/hauberk_\w+/g) ?? []))
    assert.ok(asked.length >= panels.length)
    for (const name of asked) assert.ok(documented.includes(`\`${name.replace(/_bucket$/, '')}\``), name)
  }
})

interface Dashboard {
  readonly panels: readonly { readonly targets: readonly { readonly expr: string }[] }[]
}

test('audit logs are kept in the volume that is said, where the operator writes them', WITH_HELM, async () => {
  const claim = { persistentVolumeClaim: { claimName: 'audit' } }
  const values = { 'operator.auditVolume': { emptyDir: null, ...claim } }
  const { containers, volumes } = find(await render({ values }), 'Deployment', 'hauberk-operator').spec.template.spec
  assert.deepEqual(volumes, [{ name: 'audit', ...claim }])
  const [{ args, volumeMounts }] = containers
  assert.ok(args.includes(`--audit-directory=${volumeMounts[0].mountPath}`))
})
