import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Ajv } from 'ajv'
import fc from '#fast-check'
import type { JsonSchema } from '../../model/section.ts'
import { SECTIONS } from '../../policies/sections.ts'
import { meshSecurityPolicySpecSchema } from './mesh-security-policy.ts'
import { securityPolicySpecSchema } from './security-policy.ts'
import { checkStructure, mergeProperties } from './structural.ts'

function faults(schema: JsonSchema, value: unknown): string[] {
  return checkStructure(schema, value, 'refuse').map(({ path, message }) => `${path} ${message}`)
}

describe('a structural schema', () => {
  it('refuses what it does not name, where it must know all', () => {
    const schema = { type: 'object', properties: { a: { type: 'string' } } }
    assert.deepEqual(faults(schema, { a: 'x', b: 1, 'odd name': 2 }), [
      'b is not a field',
      '["odd name"] is not a field',
    ])
    assert.deepEqual(checkStructure(schema, { b: 1 }, 'ignore'), [])
    assert.deepEqual(faults({ ...schema, 'x-kubernetes-preserve-unknown-fields': true }, { b: 1 }), [])
  })

  it('is not fooled by names that every object has', () => {
    const schema = { type: 'object', properties: {}, required: ['constructor'] }
    assert.deepEqual(faults(schema, {}), ['constructor is required'])
    assert.deepEqual(faults(schema, JSON.parse('{"constructor": 1, "__proto__": 2}')), [
      'constructor is not a field',
      '__proto__ is not a field',
    ])
  })

  it('says where in lists and maps', () => {
    const schema = {
      type: 'object',
      properties: {
        list: { type: 'array', maxItems: 2, items: { type: 'integer', minimum: 1 } },
        map: { type: 'object', additionalProperties: { type: 'string', pattern: '^a' } },
      },
    }
    assert.deepEqual(faults(schema, { list: [0, 'x'], map: { k: 'b' } }), [
      'list[0] is less than 1',
      'list[1] is string, not integer',
      'map.k does not match ^a',
    ])
    assert.deepEqual(faults(schema, { list: [1, 2, 3] }), ['list has more than 2 items'])
  })

  it('holds lists to their keys', () => {
    const map = {
      type: 'array',
      'x-kubernetes-list-type': 'map',
      'x-kubernetes-list-map-keys': ['n'],
      items: { type: 'object', properties: { n: { type: 'string' } } },
    }
    assert.deepEqual(faults(map, [{ n: 'a' }, { n: 'a' }]), [' has ["a"] twice'])
    const set = { type: 'array', 'x-kubernetes-list-type': 'set', items: { type: 'string' } }
    assert.deepEqual(faults(set, ['a', 'b', 'a']), [' has "a" twice'])
  })

  it('tells a bounded number of faults of an unbounded number', () => {
    const garbage = Object.fromEntries(Array.from({ length: 1_000 }, (_, i) => [`k${i}`, i]))
    assert.equal(checkStructure({ type: 'object' }, garbage, 'refuse').length, 16)
  })

  it('agrees with ajv about the schemas of policies', () => {
    const ajv = new Ajv({ strict: false, validateFormats: false })
    for (const schema of [securityPolicySpecSchema(SECTIONS), meshSecurityPolicySpecSchema(SECTIONS)]) {
      const validate = ajv.compile(closed(schema) as object)
      fc.assert(
        fc.property(valueFor(schema), (value) => {
          const keyed = checkStructure(withoutListTypes(schema) as JsonSchema, value, 'refuse')
          assert.equal(keyed.length === 0, validate(value), JSON.stringify({ value, keyed, ajv: validate.errors }))
        }),
        { numRuns: 300 },
      )
    }
  })
})

describe('the properties of several owners', () => {
  it('are one tree', () => {
    const merged = mergeProperties(
      { auth: { type: 'object', properties: { a: { type: 'string' } }, required: ['a'] } },
      { auth: { type: 'object', properties: { b: { type: 'string' } } }, own: { type: 'string' } },
    )
    assert.deepEqual(merged, {
      auth: { type: 'object', properties: { a: { type: 'string' }, b: { type: 'string' } }, required: ['a'] },
      own: { type: 'string' },
    })
  })

  it('may not disagree', () => {
    assert.throws(() => mergeProperties({ a: { type: 'string' } }, { a: { type: 'string' } }))
    assert.throws(() =>
      mergeProperties({ a: { type: 'object', maxProperties: 1 } }, { a: { type: 'object', maxProperties: 2 } }),
    )
  })
})

/** As ajv needs it to refuse what is not named. */
function closed(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(closed)
  if (typeof schema !== 'object' || schema === null) return schema
  const inner = Object.fromEntries(Object.entries(schema).map(([key, value]) => [key, closed(value)]))
  const isObject = inner['type'] === 'object' && inner['additionalProperties'] === undefined
  return isObject ? { ...inner, additionalProperties: false } : inner
}

function withoutListTypes(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(withoutListTypes)
  if (typeof schema !== 'object' || schema === null) return schema
  return Object.fromEntries(
    Object.entries(schema)
      .filter(([key]) => !key.startsWith('x-kubernetes-list'))
      .map(([key, value]) => [key, withoutListTypes(value)]),
  )
}

/** Values near a schema: mostly of its shape, now and then not. */
function valueFor(schema: JsonSchema): fc.Arbitrary<unknown> {
  const garbage = fc.constantFrom(5, -1, 1e9, 'x', '', true, {}, [], { zz: 1 })
  const fitting = (): fc.Arbitrary<unknown> => {
    if (Array.isArray(schema['enum'])) return fc.constantFrom(...(schema['enum'] as unknown[]))
    switch (schema['type']) {
      case 'object': {
        const properties = Object.entries((schema['properties'] ?? {}) as Record<string, JsonSchema>)
        const required = (schema['required'] ?? []) as string[]
        return fc.record(Object.fromEntries(properties.map(([name, inner]) => [name, valueFor(inner)])), {
          requiredKeys: required.filter((name) => properties.some(([known]) => known === name)),
        })
      }
      case 'array':
        return fc.array(valueFor((schema['items'] ?? {}) as JsonSchema), { minLength: 0, maxLength: 2 })
      case 'integer':
        return fc.constantFrom(1, 80, 443)
      case 'boolean':
        return fc.boolean()
      default:
        return fc.constantFrom('a', 'GET', '/a', '1s', 'https://a.example', '10.0.0.0/8', 'shop/a')
    }
  }
  return fc.oneof({ weight: 40, arbitrary: fitting() }, { weight: 1, arbitrary: garbage })
}
