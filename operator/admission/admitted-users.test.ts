import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { AuditEvent } from '../audit/audit.ts'
import type { AdmissionRequest } from './admission-review.ts'
import { createAdmittedUsers, MAX_ADMITTED } from './admitted-users.ts'
import { policyReviewed } from './audit-events.ts'

function requestOf(name: string, generation: number, more: Partial<AdmissionRequest> = {}): AdmissionRequest {
  return {
    uid: '1',
    kind: { group: 'hauberk.dev', version: 'v1alpha1', kind: 'SecurityPolicy' },
    subResource: '',
    name,
    namespace: 'shop',
    operation: 'UPDATE',
    user: 'alice@example.com',
    isDryRun: false,
    object: { metadata: { name, uid: `uid-${name}`, generation } },
    oldObject: null,
    ...more,
  }
}

test('as many requests are remembered as there is room for, the newest', () => {
  const users = createAdmittedUsers()
  for (let i = 0; i <= MAX_ADMITTED; i++) users.note(requestOf('a', i))
  assert.equal(users.ofChange('uid-a', 0), undefined)
  assert.equal(users.ofChange('uid-a', 1), 'alice@example.com')
  assert.equal(users.ofChange('uid-a', MAX_ADMITTED), 'alice@example.com')
})

test('a deletion is remembered beside the versions of what is deleted', () => {
  const users = createAdmittedUsers()
  users.note(requestOf('a', 1))
  const oldObject = { metadata: { name: 'a', uid: 'uid-a', generation: 1 } }
  users.note(requestOf('a', 1, { operation: 'DELETE', user: 'bob', object: null, oldObject }))
  assert.deepEqual([users.ofChange('uid-a', 1), users.ofDeletion('uid-a')], ['alice@example.com', 'bob'])
  users.note(requestOf('b', 1, { user: '' }))
  assert.equal(users.ofChange('uid-b', 1), undefined)
})

test('what was asked at admission is told with who asked, and with what was wrong', () => {
  const admitted = policyReviewed(requestOf('a', 2), { allowed: true, warnings: [] })
  assert.equal(admitted.action, 'policy-admitted')
  assert.deepEqual(withoutUndefined(admitted.fields), {
    'user.name': 'alice@example.com',
    'hauberk.audit.known_by': 'admission',
    'hauberk.audit.operation': 'UPDATE',
    'hauberk.resource.kind': 'SecurityPolicy',
    'hauberk.resource.namespace': 'shop',
    'hauberk.resource.name': 'a',
    'hauberk.resource.uid': 'uid-a',
    'hauberk.resource.generation': 2,
  })
  const issues = [{ code: 'unknown-field', path: 'spec.mtls', message: 'is none', severity: 'error' as const }]
  const refused = policyReviewed(requestOf('', 1, { operation: 'CREATE' }), { allowed: false, issues, warnings: [] })
  assert.equal(refused.action, 'policy-refused')
  assert.deepEqual(refused.fields['hauberk.issues'], ['unknown-field spec.mtls'])
})

function withoutUndefined(fields: AuditEvent['fields']): AuditEvent['fields'] {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined))
}
