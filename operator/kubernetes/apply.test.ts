import assert from 'node:assert/strict'
import { test } from 'node:test'
import { applyObject } from './apply.ts'
import { createOnly } from './create.ts'
import { isConflict, isNotFound } from './errors.ts'
import { resourcePath } from './path.ts'
import { scriptServer } from './testing/api-server.ts'

const policy = {
  apiVersion: 'hauberk.dev/v1alpha1',
  kind: 'SecurityPolicy',
  metadata: { namespace: 'shop', name: 'orders' },
  status: { conditions: [] },
}

test('paths are those of the Kubernetes API, and no name can leave its place', () => {
  const pods = { apiVersion: 'v1', plural: 'pods' }
  assert.equal(resourcePath(pods), '/api/v1/pods')
  assert.equal(resourcePath({ ...pods, namespace: 'shop', name: 'a' }), '/api/v1/namespaces/shop/pods/a')
  assert.equal(
    resourcePath({ apiVersion: 'apps/v1', plural: 'deployments', namespace: 'x', name: 'y', subresource: 'status' }),
    '/apis/apps/v1/namespaces/x/deployments/y/status',
  )
  assert.equal(resourcePath({ ...pods, namespace: '../..', name: 'a/b' }), '/api/v1/namespaces/..%2F../pods/a%2Fb')
  for (const name of ['', '.', '..'])
    assert.throws(() => resourcePath({ ...pods, namespace: 'shop', name }), RangeError)
})

test('an apply says who applies, and takes fields from others only when told to', async (t) => {
  const { client, asked } = await scriptServer(t, ({ query }, answer) => {
    if (query.get('force') === 'true') answer.json(200, policy)
    else answer.refuse(409, 'Conflict')
  })
  const options = { plural: 'securitypolicies', fieldManager: 'hauberk-operator', subresource: 'status' }
  await assert.rejects(applyObject(client, policy, options), isConflict)
  assert.equal((await applyObject(client, policy, { ...options, force: true, dryRun: true })).metadata.name, 'orders')
  const [first, second] = asked
  assert.equal(first?.method, 'PATCH')
  assert.equal(first?.path, '/apis/hauberk.dev/v1alpha1/namespaces/shop/securitypolicies/orders/status')
  assert.equal(first?.headers['content-type'], 'application/apply-patch+yaml')
  assert.deepEqual(first?.body, policy)
  assert.equal(first?.query.toString(), 'fieldManager=hauberk-operator')
  assert.equal(second?.query.toString(), 'fieldManager=hauberk-operator&force=true&dryRun=All')
})

test('create-only gives what was there before, unchanged', async (t) => {
  const there = { ...policy, metadata: { ...policy.metadata, uid: 'other' } }
  const { client, asked } = await scriptServer(t, ({ method }, answer) => {
    if (method === 'POST') answer.refuse(409, 'AlreadyExists')
    else answer.json(200, there)
  })
  assert.deepEqual(await createOnly(client, policy, { plural: 'securitypolicies' }), { created: false, object: there })
  assert.deepEqual(
    asked.map(({ method }) => method),
    ['POST', 'GET'],
  )
})

test('create-only tries again when the other one is gone by then, and not for ever', async (t) => {
  let deletions = 1
  const { client } = await scriptServer(t, ({ method }, answer) => {
    if (method === 'GET') {
      deletions -= 1
      answer.refuse(404, 'NotFound')
    } else if (deletions === 0) answer.json(201, policy)
    else answer.refuse(409, 'AlreadyExists')
  })
  assert.equal((await createOnly(client, policy, { plural: 'securitypolicies' })).created, true)
  deletions = 100
  await assert.rejects(createOnly(client, policy, { plural: 'securitypolicies' }), isNotFound)
})
