import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FILTERS } from './filters.ts'
import { SECTIONS } from './sections.ts'
import { schemaFaults } from './testing/schema-conventions.ts'

test('filters stand in the order in which a request must meet them', () => {
  const names = FILTERS.map(({ name }) => name)
  const before = (first: string, second: string) =>
    assert.ok(names.indexOf(first) < names.indexOf(second), `${first} first`)
  assert.equal(names[0], 'response', 'what refusals look like is known before anybody refuses')
  before('cors', 'jwt') // Browsers send preflights without credentials.
  before('cors', 'oidc')
  before('oidc', 'jwt') // A session's token is verified as any other.
  before('jwt', 'authorization') // Rules speak of claims.
  before('introspection', 'authorization')
  before('authorization', 'external-authorization') // Nobody is asked about what the rules refuse.
  before('external-authorization', 'rate-limit')
  before('authorization', 'rate-limit') // Who may not call spends nobody's allowance.
  assert.equal(new Set(names).size, names.length)
})

test('every section configures a filter that there is, and every filter has its section', () => {
  assert.deepEqual(SECTIONS.map(({ filter }) => filter).sort(), FILTERS.map(({ name }) => name).sort())
})

test('no two denials have one name, and filters that refuse by one name have that denial in common', () => {
  const names = [...new Set(FILTERS.flatMap(({ denials }) => denials))].map(({ name }) => name)
  assert.equal(new Set(names).size, names.length)
})

test('the schemas of all sections keep to the conventions of our CRDs', () => {
  for (const { schema } of SECTIONS) {
    for (const [property, tree] of Object.entries(schema)) assert.deepEqual(schemaFaults(property, tree), [])
  }
})
