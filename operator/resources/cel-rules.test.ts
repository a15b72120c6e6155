import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SECTIONS } from '../../policies/sections.ts'
import { checkCelRules, parseRule, rulesIn } from './cel-rules.ts'
import { KINDS } from './kinds.ts'

test('every CEL rule of our kinds is one that this evaluator understands', () => {
  const rules = KINDS.flatMap(({ specSchema }) => (specSchema === undefined ? [] : rulesIn(specSchema(SECTIONS))))
  assert.ok(rules.length > 0)
  for (const rule of rules) assert.doesNotThrow(() => parseRule(rule), rule)
})

test('a rule that cannot be evaluated has not said yes', () => {
  const schema = { type: 'object', 'x-kubernetes-validations': [{ rule: 'self.missing > 3', message: 'no' }] }
  assert.equal(checkCelRules(schema, {}).length, 1)
})

test('a rule about a change is left to the API server', () => {
  const schema = { type: 'string', 'x-kubernetes-validations': [{ rule: 'self == oldSelf', message: 'fixed' }] }
  assert.deepEqual(checkCelRules(schema, 'x'), [])
})
