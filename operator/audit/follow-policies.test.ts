import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { LastChange, Resource } from '../../model/resource.ts'
import { createStore } from '../store/store.ts'
import type { AuditEvent } from './audit.ts'
import { followPolicies, type KnownUsers } from './follow-policies.ts'

function policy(name: string, spec: unknown, generation = 1, lastChange?: LastChange): Resource {
  return {
    apiVersion: 'hauberk.dev/v1alpha1',
    kind: 'SecurityPolicy',
    metadata: { name, namespace: 'shop', uid: `uid-${name}`, generation, ...(lastChange && { lastChange }) },
    spec,
  }
}

function start(source: 'kubernetes' | 'files', ...resources: readonly Resource[]) {
  /** Of changes by uid and generation, of deletions by uid. */
  const asked = new Map<string, string>()
  const users: KnownUsers = {
    ofChange: (uid, generation) => asked.get(`${uid} ${generation}`),
    ofDeletion: (uid) => asked.get(`${uid}`),
  }
  const store = createStore()
  store.apply(resources.map((resource) => ({ type: 'set', resource })))
  const events: AuditEvent[] = []
  const stop = followPolicies(
    store,
    { record: (event) => events.push(event) },
    { source, users, locate: ({ metadata }) => (source === 'files' ? `shop/${metadata.name}.yaml:3` : undefined) },
  )
  store.synced()
  return { store, events, stop, asked }
}

test('what there is at the start is told as a whole, and what comes, changes and goes one by one', () => {
  const { store, events } = start('kubernetes', policy('a', {}), policy('b', { mode: 'Enforce' }))
  assert.deepEqual(
    events.map(({ action, fields }) => [action, fields['hauberk.audit.policies']]),
    [['audit-started', 2]],
  )
  assert.match(String(events[0]?.fields['hauberk.audit.policies_digest']), /^[0-9a-f]{64}$/)
  const change: LastChange = { manager: 'kubectl-edit', operation: 'Update', time: '2026-01-02T03:04:05Z' }
  store.apply([
    { type: 'set', resource: policy('b', { mode: 'DryRun' }, 2, change) },
    { type: 'set', resource: policy('c', {}) },
    { type: 'removed', ref: { kind: 'SecurityPolicy', namespace: 'shop', name: 'a' } },
  ])
  assert.deepEqual(
    events.slice(1).map(({ action, fields }) => [action, fields['hauberk.resource.name']]),
    [
      ['policy-changed', 'b'],
      ['policy-created', 'c'],
      ['policy-deleted', 'a'],
    ],
  )
  const { 'hauberk.resource.digest': digest, ...fields } = events[1]?.fields ?? {}
  assert.match(String(digest), /^[0-9a-f]{64}$/)
  assert.deepEqual(fields, {
    'hauberk.resource.kind': 'SecurityPolicy',
    'hauberk.resource.namespace': 'shop',
    'hauberk.resource.name': 'b',
    'hauberk.resource.uid': 'uid-b',
    'hauberk.resource.generation': 2,
    'hauberk.audit.source': 'kubernetes',
    'hauberk.audit.manager': 'kubectl-edit',
    'hauberk.audit.operation': 'Update',
    'hauberk.audit.changed_at': '2026-01-02T03:04:05Z',
    'hauberk.audit.known_by': 'managed-fields',
    'user.name': undefined,
    'hauberk.audit.user_known_by': undefined,
    'file.path': undefined,
  })
})

test('who deleted something is in no object, and nobody is named', () => {
  const change: LastChange = { manager: 'helm', operation: 'Update', time: '2026-01-02T03:04:05Z' }
  const { store, events } = start('kubernetes', policy('a', {}, 1, change))
  store.apply([{ type: 'removed', ref: { kind: 'SecurityPolicy', namespace: 'shop', name: 'a' } }])
  assert.equal(events[1]?.action, 'policy-deleted')
  assert.equal(events[1]?.fields['hauberk.audit.manager'], undefined)
})

test('pods, and changes that change nothing, are told of by nobody', () => {
  const { store, events, stop } = start('kubernetes', policy('a', {}))
  const pod: Resource = { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'p', namespace: 'shop' }, spec: {} }
  const later: LastChange = { manager: 'x', operation: 'Apply', time: '2026-01-02T03:04:05Z' }
  store.apply([
    { type: 'set', resource: pod },
    { type: 'set', resource: policy('a', {}, 1, later) },
  ])
  assert.equal(events.length, 1)
  stop()
  store.apply([{ type: 'set', resource: policy('a', { mode: 'Off' }, 2) }])
  assert.equal(events.length, 1)
})

test('from files, the file says who: whoever may write it', () => {
  const { store, events } = start('files')
  store.apply([{ type: 'set', resource: policy('a', {}) }])
  assert.equal(events[1]?.fields['file.path'], 'shop/a.yaml:3')
  assert.equal(events[1]?.fields['hauberk.audit.source'], 'files')
  assert.equal(events[1]?.fields['hauberk.audit.known_by'], undefined)
})

test('who asked for a version is known from admission alone, and marked so', () => {
  const { store, events, asked } = start('kubernetes', policy('a', {}), policy('b', {}))
  asked.set('uid-a 2', 'alice@example.com').set('uid-b', 'bob')
  store.apply([
    { type: 'set', resource: policy('a', { mode: 'Off' }, 2) },
    { type: 'removed', ref: { kind: 'SecurityPolicy', namespace: 'shop', name: 'b' } },
  ])
  store.apply([{ type: 'set', resource: policy('a', { mode: 'DryRun' }, 3) }])
  assert.deepEqual(
    events.slice(1).map(({ action, fields }) => [action, fields['user.name'], fields['hauberk.audit.user_known_by']]),
    [
      ['policy-changed', 'alice@example.com', 'admission'],
      ['policy-deleted', 'bob', 'admission'],
      // Another operator was asked about this one.
      ['policy-changed', undefined, undefined],
    ],
  )
})
