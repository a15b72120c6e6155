import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseAllDocuments } from 'yaml'
import { secretGrantYaml } from './secret-grant.ts'

test('each namespace grants the Secrets that are named there, to the operator and for nothing but reading', () => {
  const yaml = secretGrantYaml([
    { namespace: 'vault', name: 'c' },
    { namespace: 'shop', name: 'b' },
    { namespace: 'shop', name: '1' },
    { namespace: 'shop', name: 'b' },
  ])
  const documents = parseAllDocuments(yaml).map((document) => document.toJS() as Record<string, unknown>)
  const name = 'hauberk-secrets'
  const rules = (resourceNames: readonly string[]) => [
    { apiGroups: [''], resources: ['secrets'], resourceNames, verbs: ['get', 'watch'] },
  ]
  const roleRef = { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name }
  const subjects = [{ kind: 'ServiceAccount', name: 'hauberk-operator', namespace: 'hauberk-system' }]
  const apiVersion = 'rbac.authorization.k8s.io/v1'
  assert.deepEqual(documents, [
    { apiVersion, kind: 'Role', metadata: { name, namespace: 'shop' }, rules: rules(['1', 'b']) },
    { apiVersion, kind: 'RoleBinding', metadata: { name, namespace: 'shop' }, roleRef, subjects },
    { apiVersion, kind: 'Role', metadata: { name, namespace: 'vault' }, rules: rules(['c']) },
    { apiVersion, kind: 'RoleBinding', metadata: { name, namespace: 'vault' }, roleRef, subjects },
  ])
})

test('no Secret is no YAML', () => {
  assert.equal(secretGrantYaml([]), '')
})
