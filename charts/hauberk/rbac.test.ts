import assert from 'node:assert/strict'
import { test } from 'node:test'
import { find, type Manifest, render, WITH_HELM } from './testing/helm.ts'

interface Rule {
  readonly apiGroups: readonly string[]
  readonly resources: readonly string[]
  readonly resourceNames?: readonly string[]
  readonly verbs: readonly string[]
}

/** `group/resource [names]: verbs`, one line for each resource. */
function linesOf({ rules }: Manifest): readonly string[] {
  return (rules as readonly Rule[])
    .flatMap(({ apiGroups, resources, resourceNames, verbs }) =>
      apiGroups.flatMap((group) =>
        resources.map((resource) => {
          const names = resourceNames === undefined ? '' : ` [${resourceNames.join(' ')}]`
          return `${group || 'core'}/${resource}${names}: ${verbs.join(' ')}`
        }),
      ),
    )
    .sort()
}

const rolesOf = (manifests: readonly Manifest[]) => manifests.filter(({ kind }) => /^(Cluster)?Role$/.test(kind))

test('T29: the operator may do this in the whole cluster, and nothing else', WITH_HELM, async () => {
  assert.deepEqual(linesOf(find(await render(), 'ClusterRole', 'hauberk-operator')), [
    'admissionregistration.k8s.io/mutatingwebhookconfigurations [hauberk-inject]: get patch',
    'admissionregistration.k8s.io/validatingwebhookconfigurations [hauberk-admission hauberk-pods]: get patch',
    `apiextensions.k8s.io/customresourcedefinitions [${[
      'gatewayclasses',
      'gateways',
      'grpcroutes',
      'httproutes',
      'referencegrants',
      'tcproutes',
      'tlsroutes',
    ]
      .map((kind) => `${kind}.gateway.networking.k8s.io`)
      .join(' ')}]: get`,
    'apps/deployments: get list watch',
    'authentication.k8s.io/tokenreviews: create',
    'core/configmaps [hauberk-trust-anchors]: get list watch create patch',
    'core/namespaces: get list watch',
    'core/pods: get list watch',
    'core/serviceaccounts: get list watch',
    'core/services: get list watch',
    'discovery.k8s.io/endpointslices: get list watch',
    'events.k8s.io/events: create patch',
    'gateway.networking.k8s.io/gatewayclasses/status: patch',
    'gateway.networking.k8s.io/gatewayclasses: create',
    'gateway.networking.k8s.io/gatewayclasses: get list watch',
    'gateway.networking.k8s.io/gateways/status: patch',
    'gateway.networking.k8s.io/gateways: get list watch',
    'gateway.networking.k8s.io/grpcroutes/status: patch',
    'gateway.networking.k8s.io/grpcroutes: get list watch',
    'gateway.networking.k8s.io/httproutes/status: patch',
    'gateway.networking.k8s.io/httproutes: get list watch',
    'gateway.networking.k8s.io/referencegrants: get list watch',
    'gateway.networking.k8s.io/tcproutes/status: patch',
    'gateway.networking.k8s.io/tcproutes: get list watch',
    'gateway.networking.k8s.io/tlsroutes/status: patch',
    'gateway.networking.k8s.io/tlsroutes: get list watch',
    'hauberk.dev/gatewayparameters/status: patch',
    'hauberk.dev/gatewayparameters: get list watch',
    'hauberk.dev/meshconfigs/status: patch',
    'hauberk.dev/meshconfigs: create',
    'hauberk.dev/meshconfigs: get list watch',
    'hauberk.dev/meshsecuritypolicies/status: patch',
    'hauberk.dev/meshsecuritypolicies: get list watch',
    'hauberk.dev/securitypolicies/status: patch',
    'hauberk.dev/securitypolicies: get list watch',
    'hauberk.dev/tokenissuers/status: patch',
    'hauberk.dev/tokenissuers: get list watch',
    'hauberk.dev/tokenrevocations/status: patch',
    'hauberk.dev/tokenrevocations: get list watch',
    'hauberk.dev/trafficpolicies/status: patch',
    'hauberk.dev/trafficpolicies: get list watch',
  ])
})

test('T29: the operator may do this in hauberk-system, and nothing else', WITH_HELM, async () => {
  const role = find(await render(), 'Role', 'hauberk-operator')
  assert.equal(role.metadata.namespace, 'hauberk-system')
  assert.deepEqual(linesOf(role), [
    'apps/deployments: get list watch create patch delete',
    'coordination.k8s.io/leases [hauberk-operator]: get update patch',
    'coordination.k8s.io/leases: create',
    'core/secrets [hauberk-ca-rotation]: update',
    'core/secrets [hauberk-metrics-client]: patch',
    'core/secrets: get create',
    'core/serviceaccounts: get list watch create patch delete',
    'core/services: get list watch create patch delete',
    'policy/poddisruptionbudgets: get list watch create patch delete',
  ])
})

test(
  'T29: whatever the values, no role has a wildcard, pods/exec, or a verb that raises its holder',
  WITH_HELM,
  async () => {
    const values = { 'secrets.clusterWide': true, 'meshConfig.create': true, 'networkPolicy.create': true }
    const roles = [...rolesOf(await render()), ...rolesOf(await render({ values }))]
    assert.ok(roles.length >= 6)
    for (const role of roles) {
      for (const { apiGroups, resources, verbs } of role.rules as readonly Rule[]) {
        for (const word of [...apiGroups, ...resources, ...verbs]) assert.ok(!word.includes('*'), word)
        for (const verb of ['escalate', 'bind', 'impersonate']) assert.ok(!verbs.includes(verb), verb)
        for (const resource of resources)
          assert.doesNotMatch(resource, /^pods\/|^nodes|\/(exec|attach|proxy|portforward|token)$/)
        assert.ok(!apiGroups.includes('rbac.authorization.k8s.io'))
      }
    }
  },
)

test('T29: Secrets of the cluster are read only where a value says so, and then only read', WITH_HELM, async () => {
  const secretsOf = (manifests: readonly Manifest[]) =>
    manifests
      .filter(({ kind }) => kind === 'ClusterRole')
      .flatMap(linesOf)
      .filter((line) => line.startsWith('core/secrets'))
  assert.deepEqual(secretsOf(await render()), [])
  assert.deepEqual(secretsOf(await render({ values: { 'secrets.clusterWide': true } })), ['core/secrets: get watch'])
})

test('who is bound to the roles of the operator is its service account alone', WITH_HELM, async () => {
  const bindings = (await render()).filter(({ kind }) => /^(Cluster)?RoleBinding$/.test(kind))
  for (const { metadata, roleRef, subjects } of bindings) {
    assert.equal(roleRef.name, metadata.name)
    assert.deepEqual(subjects, [{ kind: 'ServiceAccount', name: metadata.name, namespace: 'hauberk-system' }])
  }
  assert.deepEqual(bindings.map(({ kind, metadata }) => `${kind} ${metadata.name}`).sort(), [
    'ClusterRoleBinding hauberk-operator',
    'RoleBinding hauberk-operator',
    'RoleBinding hauberk-test',
  ])
})

test('what is made once wants a right only where it is made', WITH_HELM, async () => {
  const create = (manifests: readonly Manifest[]) =>
    linesOf(find(manifests, 'ClusterRole', 'hauberk-operator')).filter((line) =>
      /(classes|configs): create$/.test(line),
    )
  const nothing = { 'gatewayClass.create': false, 'meshConfig.create': false }
  assert.deepEqual(create(await render({ values: nothing })), [])
  assert.deepEqual(create(await render()), [
    'gateway.networking.k8s.io/gatewayclasses: create',
    'hauberk.dev/meshconfigs: create',
  ])
})
