import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import { MAX_REVOCATIONS, MAX_REVOKED_TEXT } from '../../contract/revocations.ts'
import type { Resource } from '../../model/resource.ts'
import { checkSpec } from '../resources/spec.ts'
import { TOKEN_REVOCATION_SPEC_SCHEMA, type TokenRevocationSpec } from '../resources/token-revocation.ts'
import { snapshotOf } from '../store/snapshot.ts'
import { resourcesIn } from './testing/world.ts'
import { translate } from './translate.ts'

const deps = { sha256: (text: string) => createHash('sha256').update(text).digest('base64url'), mesh: { roots: [] } }

const WORLD = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: orders, namespace: shop}
spec:
  template:
    metadata: {labels: {app: orders}}
    spec:
      serviceAccountName: orders
      containers: [{name: app, ports: [{name: http, containerPort: 8080}]}]
---
apiVersion: v1
kind: Service
metadata: {name: orders, namespace: shop}
spec: {selector: {app: orders}, ports: [{name: http, port: 80, targetPort: http}]}
---
apiVersion: hauberk.dev/v1alpha1
kind: TokenIssuer
metadata: {name: corp}
spec: {issuer: https://corp.example, audiences: [shop], jwks: {uri: https://corp.example/jwks}}
---
apiVersion: hauberk.dev/v1alpha1
kind: SecurityPolicy
metadata: {name: orders, namespace: shop}
spec:
  targetRefs: [{kind: Service, name: orders}]
  authentication: {jwt: {issuers: [{name: corp}]}}
`

const LIFETIME = `
apiVersion: hauberk.dev/v1alpha1
kind: MeshConfig
metadata: {name: default}
spec: {maxTokenLifetime: 15m}
`

function revocation(name: string, spec: TokenRevocationSpec, creationTimestamp?: string): Resource {
  const metadata = { name, ...(creationTimestamp !== undefined && { creationTimestamp }) }
  return { apiVersion: 'hauberk.dev/v1alpha1', kind: 'TokenRevocation', metadata, spec }
}

function translated(yaml: readonly string[], ...revocations: readonly Resource[]) {
  return translate(snapshotOf([...resourcesIn([WORLD, ...yaml].join('---\n')), ...revocations]), deps)
}

const AT = '2026-11-23T12:00:00Z'
const AT_MS = Date.parse(AT)

test('TokenRevocations become what sidecars are told, for the workloads that take such tokens', () => {
  const { revocations, reports } = translated(
    [],
    revocation('b', { issuer: 'corp', sub: 'ann', issuedBefore: AT }),
    revocation('a', { jti: 'j1', until: AT }),
    revocation('c', { kid: 'key-1', issuer: 'gone' }),
  )
  assert.deepEqual(revocations, [
    { name: 'a', jti: 'j1', untilMs: AT_MS },
    { name: 'b', issuer: 'corp', sub: 'ann', issuedBefore: AT_MS / 1_000 },
    { name: 'c', issuer: 'gone', kid: 'key-1' },
  ])
  const selected = ['a', 'b', 'c'].map((name) => reports.get(`TokenRevocation/${name}`)?.selected)
  assert.deepEqual(selected, [['shop/orders'], ['shop/orders'], []])
  assert.equal(reports.get('TokenRevocation/c')?.resolvedRefs?.reason, 'RefNotFound')
})

test('it is over once every token that it concerns has expired, where the mesh bounds how long tokens live', () => {
  const { revocations } = translated(
    [LIFETIME],
    revocation('before', { issuedBefore: AT }),
    revocation('jti', { jti: 'j1' }, AT),
    revocation('jti-of-a-file', { jti: 'j1' }),
    revocation('shorter', { issuedBefore: AT, until: AT }),
    revocation('user', { sub: 'ann' }, AT),
  )
  const end = AT_MS + 15 * 60_000 + 300_000
  assert.deepEqual(
    revocations.map(({ name, untilMs }) => [name, untilMs]),
    [
      ['before', end],
      ['jti', end],
      ['jti-of-a-file', undefined],
      ['shorter', AT_MS],
      ['user', undefined],
    ],
  )
})

test('one that says nothing of tokens, or of a day that there is not, is not accepted', () => {
  const { revocations, reports } = translated(
    [],
    revocation('all', { issuer: 'corp' }),
    revocation('odd', { sub: 'ann', until: '2026-13-41T00:00:00Z' }),
  )
  assert.deepEqual(revocations, [])
  for (const name of ['all', 'odd'])
    assert.equal(reports.get(`TokenRevocation/${name}`)?.accepted?.status, 'False', name)
  assert.equal(checkSpec(TOKEN_REVOCATION_SPEC_SCHEMA, { jti: 'a', surprise: 1 }).length, 1)
  // What the schema takes, sidecars are told.
  for (const [length, issues] of [
    [MAX_REVOKED_TEXT, 0],
    [MAX_REVOKED_TEXT + 1, 1],
  ] as const) {
    assert.equal(checkSpec(TOKEN_REVOCATION_SPEC_SCHEMA, { sub: 'x'.repeat(length) }).length, issues)
  }
})

test('a push is for who takes tokens, and the same revocations are the same object', () => {
  const one = snapshotOf([...resourcesIn(WORLD), revocation('a', { jti: 'j1' })])
  const first = translate(one, deps)
  const again = translate(snapshotOf([...resourcesIn(WORLD), revocation('a', { jti: 'j1' })]), deps, first)
  assert.equal(again.revocations, first.revocations)
})

test('each revocation beyond what sidecars hold is an issue', () => {
  const many = Array.from({ length: MAX_REVOCATIONS + 2 }, (_, i) =>
    revocation(`r${String(i).padStart(6, '0')}`, { jti: 'j' }),
  )
  const { reports } = translated([], ...many)
  const found = [...reports.values()].filter(({ issues }) => issues.some(({ code }) => code === 'too-many-revocations'))
  assert.equal(found.length, 2)
})
