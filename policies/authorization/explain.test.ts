import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { requestOf } from '../testing/request.ts'
import type { AuthorizationConfig } from './config.ts'
import { explain } from './explain.ts'

const origin = 'shop/orders@3'

function configOf(words: Partial<AuthorizationConfig>): AuthorizationConfig {
  return { trustDomain: 'mesh', onlyFrom: [], deny: [], allow: [], otherwise: 'deny', ...words }
}

describe('an explanation of authorization', () => {
  it('tells of each rule the first field that failed, and of the nearest one what would have to change', () => {
    const config = configOf({
      deny: [{ name: 'no-dev', origin, from: { namespaces: ['dev'] } }],
      allow: [
        {
          name: 'own-orders',
          origin,
          from: { serviceAccounts: ['shop/storefront'] },
          to: { methods: ['GET', 'PUT'], paths: ['/users/{userId}/orders'] },
        },
        { name: 'health', origin, to: { paths: ['/healthz'] } },
      ],
    })
    const request = requestOf({ from: 'shop/storefront', method: 'POST', path: '/users/7/orders' })
    assert.deepEqual(explain(config, request, {}), [
      {
        filter: 'authorization',
        rule: 'no-dev',
        effect: 'deny',
        origin,
        outcome: 'not-matched',
        field: 'from.namespaces',
        expected: 'dev',
        got: 'shop',
      },
      {
        filter: 'authorization',
        rule: 'own-orders',
        effect: 'allow',
        origin,
        outcome: 'not-matched',
        field: 'to.methods',
        expected: 'GET, PUT',
        got: 'POST',
        change: 'use one of GET, PUT',
      },
      {
        filter: 'authorization',
        rule: 'health',
        effect: 'allow',
        origin,
        outcome: 'not-matched',
        field: 'to.paths',
        expected: '/healthz',
        got: '/users/7/orders',
        change: 'ask for /healthz',
      },
      {
        filter: 'authorization',
        outcome: 'denied',
        denial: 'not-allowed',
        field: 'default',
        expected: 'a rule that allows it',
        got: 'no allow rule matched',
        change: 'for own-orders (shop/orders@3): use one of GET, PUT',
      },
    ])
  })

  it('tells which part of an expression failed, and what it saw', () => {
    const config = configOf({
      allow: [
        {
          name: 'own-orders',
          origin,
          to: { paths: ['/users/{userId}/orders'] },
          when: "'orders:read' in claims.scope && claims.sub == path.userId",
        },
      ],
    })
    const claims = { sub: 'ann', scope: 'orders:read' }
    const facts = { token: { issuer: 'corp', iss: 'https://corp', claims, expiresAt: 0 } }
    const [consideration] = explain(config, requestOf({ path: '/users/bob/orders' }), facts)
    assert.equal(consideration?.field, 'when')
    assert.equal(
      consideration?.got,
      'claims.sub == path.userId came to false; claims.sub is "ann"; path.userId is "bob"',
    )
    const [withoutToken] = explain(config, requestOf({ path: '/users/bob/orders' }), {})
    assert.equal(
      withoutToken?.got,
      `"orders:read" in claims.scope came to No such key: scope; claims.scope is No such key: scope`,
    )
  })

  it('tells what a deny rule went by', () => {
    const config = configOf({
      deny: [{ name: 'no-export', origin, from: { namespaces: ['dev'] }, to: { paths: ['/export/{**}'] } }],
      allow: [{ name: 'all', origin }],
    })
    assert.deepEqual(explain(config, requestOf({ from: 'dev/toolbox', path: '/Export/x' }), {}), [
      {
        filter: 'authorization',
        rule: 'no-export',
        effect: 'deny',
        origin,
        outcome: 'denied',
        denial: 'denied-by-rule',
        change: 'do not match one of: from.namespaces dev; or to.paths /export/{**}',
      },
      { filter: 'authorization', rule: 'all', effect: 'allow', origin, outcome: 'matched' },
    ])
  })

  it('shows no value of a header', () => {
    const config = configOf({ allow: [{ name: 'a', origin, to: { headers: [{ name: 'x-key', values: ['k1'] }] } }] })
    const told = JSON.stringify(explain(config, requestOf({ headers: { 'x-key': 'sesame' } }), {}))
    assert.ok(!told.includes('sesame'))
  })

  it('says of a workload without a policy that it has none', () => {
    const [only, ...others] = explain(configOf({ otherwise: 'no-policy' }), requestOf(), {})
    assert.equal(only?.denial, 'no-policy')
    assert.equal(only?.change, 'write a SecurityPolicy with authorization.allow for it')
    assert.equal(others.length, 0)
  })
})
