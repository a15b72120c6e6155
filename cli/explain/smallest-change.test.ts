import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { policyYaml, workloadYaml } from '../testing/files.ts'
import { answerFor } from './answer.ts'
import { type AskWords, ask } from './ask.ts'
import { pipelineOf } from './testing/pipeline.ts'

const ISSUER = `apiVersion: hauberk.dev/v1alpha1
kind: TokenIssuer
metadata: {name: corp}
spec: {issuer: https://corp.example, audiences: [https://api.example], jwks: {uri: http://auth.shop/jwks}}
`

/** What `explain` says would help a request to a workload with this policy. */
function changesFor(policy: string, words: Partial<AskWords> & { readonly line: string }) {
  const yaml = [workloadYaml('orders'), policyYaml('orders', policy), ISSUER].join('---\n')
  const pipeline = pipelineOf(yaml, 'shop/orders')
  const [method, target] = words.line.split(' ')
  const asked = ask(pipeline, { method, target, headers: [], ...words })
  assert.ok(asked.kind === 'asked')
  const { outcome, changes, policyChange } = answerFor(pipeline, asked.asked, asked.notes)
  return { outcome, changes, policyChange }
}

const CLAIMS = { iss: 'https://corp.example', aud: 'https://api.example', sub: 'ann', scope: 'orders:read' }

const READ = `  authorization:
    allow:
    - {name: read, from: {serviceAccounts: [shop/web, shop/cron]}, to: {methods: [GET, HEAD], paths: ['/orders/{id}']}}
`
const OWN = `  authentication: {jwt: {issuers: [{name: corp}]}}
  authorization:
    allow:
    - {name: own, to: {methods: [GET], paths: ['/users/{userId}/orders']}, when: "claims.sub == path.userId && 'orders:read' in claims.scope"}
    - {name: staff, from: {claims: [{claim: /role, values: [staff]}]}}
`

describe('the smallest change that lets a request pass', () => {
  it('is another method, and the rule could take this one', () => {
    assert.deepEqual(changesFor(READ, { line: 'POST /orders/7', from: 'web' }), {
      outcome: 'denied',
      changes: [['use GET or HEAD']],
      policyChange: {
        kind: 'widen',
        rule: 'read',
        origin: 'shop/orders@1',
        additions: [{ field: 'to.methods', value: 'POST' }],
      },
    })
  })

  it('is another path, with the segments that the request has', () => {
    const { changes, policyChange } = changesFor(READ, { line: 'GET /order/7', from: 'web' })
    assert.deepEqual(changes, [['ask for /orders/7']])
    assert.deepEqual(policyChange?.kind === 'widen' && policyChange.additions, [
      { field: 'to.paths', value: '/order/7' },
    ])
  })

  it('is another caller, whichever of those that the rule names', () => {
    const { changes, policyChange } = changesFor(READ, { line: 'GET /orders/7', from: 'payments' })
    assert.deepEqual(changes, [['call as shop/web or shop/cron']])
    assert.deepEqual(policyChange?.kind === 'widen' && policyChange.additions, [
      { field: 'from.serviceAccounts', value: 'shop/payments' },
    ])
  })

  it('is a caller at all, where the port is Strict', () => {
    assert.deepEqual(changesFor(READ, { line: 'GET /orders/7' }).changes, [['call as shop/web or shop/cron']])
  })

  it('is several things at once, when each of them is needed', () => {
    assert.deepEqual(changesFor(READ, { line: 'PUT /orders/7', from: 'payments' }).changes, [
      ['call as shop/web or shop/cron', 'use GET or HEAD'],
    ])
  })

  it('is to ask for what is one’s own, or to be whom it belongs to', () => {
    const { changes, policyChange } = changesFor(OWN, { line: 'GET /users/bob/orders', from: 'web', claims: CLAIMS })
    assert.deepEqual(changes, [
      ['ask for /users/ann/orders'],
      ['send a token whose /sub is bob'],
      ['send a token whose /role is staff'],
    ])
    assert.equal(policyChange, undefined, 'no rule is suggested that takes away what the policy means')
  })

  it('is one word more in the scope', () => {
    const claims = { ...CLAIMS, scope: 'orders:write' }
    const { changes } = changesFor(OWN, { line: 'GET /users/ann/orders', from: 'web', claims })
    assert.deepEqual(changes?.[0], ['send a token whose scope has orders:read'])
  })

  it('is a token, of an issuer that counts and with what the rules ask of it', () => {
    assert.deepEqual(changesFor(OWN, { line: 'PUT /users/ann/orders', from: 'web' }).changes, [
      ['send a token of corp', 'send a token whose /role is staff'],
    ])
  })

  it('is a token for another audience', () => {
    const claims = { ...CLAIMS, aud: 'elsewhere' }
    const { changes } = changesFor(OWN, { line: 'GET /users/ann/orders', from: 'web', claims })
    assert.deepEqual(changes, [['send a token of corp']])
  })

  it('is to be somebody whom the deny rule does not mean', () => {
    const policy = `  authorization:
    deny: [{name: not-cron, from: {serviceAccounts: [shop/cron]}}]
    allow: [{name: read, from: {serviceAccounts: [shop/web, shop/cron]}}]
`
    assert.deepEqual(changesFor(policy, { line: 'GET /', from: 'cron' }).changes, [['call as shop/web']])
  })

  it('is an address or a header that the rule names', () => {
    const policy = `  authorization:
    allow: [{name: office, from: {ipBlocks: [10.0.0.0/8]}, to: {headers: [{name: x-tenant, values: [a]}]}}]
`
    assert.deepEqual(changesFor(policy, { line: 'GET /', from: 'web', clientIp: '192.0.2.1' }).changes, [
      ['call from an address in 10.0.0.0/8', 'send x-tenant: a'],
    ])
  })

  it('is a first policy where there is none', () => {
    const pipeline = pipelineOf(workloadYaml('bare'), 'shop/bare')
    const asked = ask(pipeline, { method: 'GET', target: '/a', from: 'web', headers: [] })
    assert.ok(asked.kind === 'asked')
    const { denial, policyChange } = answerFor(pipeline, asked.asked, [])
    assert.equal(denial, 'no-policy')
    assert.deepEqual(policyChange, {
      kind: 'create',
      rule: { name: 'web', from: { serviceAccounts: ['shop/web'] }, to: { methods: ['GET'], paths: ['/a'] } },
      service: { namespace: 'shop', name: 'bare' },
    })
  })

  it('is a rule of its own where no rule speaks of such a thing', () => {
    const { policyChange } = changesFor(READ, { line: 'PUT /admin/keys', from: 'payments' })
    assert.deepEqual(policyChange, {
      kind: 'add',
      rule: {
        name: 'payments',
        from: { serviceAccounts: ['shop/payments'] },
        to: { methods: ['PUT'], paths: ['/admin/keys'] },
      },
    })
  })

  it('is nothing for a request that is let through', () => {
    const { outcome, changes } = changesFor(READ, { line: 'GET /orders/7', from: 'web' })
    assert.deepEqual([outcome, changes], ['allowed', undefined])
  })

  it('is what the refusing rule says of itself where nothing that was tried would help', () => {
    const policy =
      '  authorization: {deny: [{name: closed, to: {paths: ["/{**}"]}}], allow: [{name: all, to: {methods: [GET]}}]}\n'
    assert.deepEqual(changesFor(policy, { line: 'GET /a', from: 'web' }).changes, [
      ['do not match one of: to.paths /{**}'],
    ])
  })
})
