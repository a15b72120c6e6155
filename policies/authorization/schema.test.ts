import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Ajv } from 'ajv'
import { schemaFaults } from '../testing/schema-conventions.ts'
import { AUTHORIZATION_FLOOR_SCHEMA, AUTHORIZATION_SCHEMA } from './schema.ts'

const validate = new Ajv({ strict: false, formats: { int32: true } }).compile(AUTHORIZATION_SCHEMA)

describe('the schema of authorization', () => {
  it('keeps to the conventions of our CRDs', () => {
    assert.deepEqual(schemaFaults('authorization', AUTHORIZATION_SCHEMA), [])
    assert.deepEqual(schemaFaults('authorization', AUTHORIZATION_FLOOR_SCHEMA, 'floor', false), [])
  })

  it('takes the policy of the documentation', () => {
    const spec = {
      default: 'Deny',
      deny: [{ name: 'dev-no-export', from: { namespaces: ['dev'] }, to: { paths: ['/export/{**}'] } }],
      allow: [
        {
          name: 'own-orders',
          from: {
            serviceAccounts: ['shop/storefront', 'storefront'],
            spiffeIds: ['spiffe://cluster.local/ns/shop/sa/storefront'],
            ipBlocks: ['10.0.0.0/8', '2001:db8::/32'],
            claims: [{ claim: '/org/dept', values: ['eng'] }],
          },
          to: {
            methods: ['GET', 'M-SEARCH'],
            hosts: ['*.shop.example'],
            paths: ['/users/{userId}/orders'],
            ports: [8080],
            headers: [{ name: 'x-tenant' }],
          },
          when: "claims.sub == path.userId && 'orders:read' in claims.scope",
        },
      ],
    }
    assert.ok(validate(spec), JSON.stringify(validate.errors))
  })

  for (const [why, spec] of [
    ['nothing is said', {}],
    ['a rule has no name', { allow: [{ to: { methods: ['GET'] } }] }],
    ['a name is no label', { allow: [{ name: 'Own Orders' }] }],
    ['from is empty', { allow: [{ name: 'a', from: {} }] }],
    ['a list is empty', { allow: [{ name: 'a', from: { namespaces: [] } }] }],
    ['an identity is a pattern', { allow: [{ name: 'a', from: { serviceAccounts: ['shop/*'] } }] }],
    ['a SPIFFE ID has a wildcard', { allow: [{ name: 'a', from: { spiffeIds: ['spiffe://mesh/*'] } }] }],
    ['a method is in lower case', { allow: [{ name: 'a', to: { methods: ['get'] } }] }],
    ['a path does not start with a slash', { allow: [{ name: 'a', to: { paths: ['admin'] } }] }],
    ['default is no word of ours', { default: 'deny' }],
  ] as const) {
    it(`refuses a policy in which ${why}`, () => assert.ok(!validate(spec)))
  }
})
