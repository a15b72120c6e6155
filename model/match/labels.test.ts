import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { LabelSelector } from '../resource.ts'
import { parseLabelSelector } from './labels.ts'

function selects(selector: LabelSelector, labels: Record<string, string> | undefined): boolean {
  const parsed = parseLabelSelector(selector)
  assert.ok(parsed.ok)
  return parsed.value(labels)
}

describe('a label selector', () => {
  it('selects everything when it is empty', () => {
    assert.equal(selects({}, undefined), true)
    assert.equal(selects({ matchLabels: {} }, { app: 'orders' }), true)
  })

  it('wants all of its labels', () => {
    const selector = { matchLabels: { app: 'orders', tier: 'backend' } }
    assert.equal(selects(selector, { app: 'orders', tier: 'backend', more: '' }), true)
    assert.equal(selects(selector, { app: 'orders' }), false)
    assert.equal(selects(selector, undefined), false)
  })

  it('takes In, NotIn, Exists and DoesNotExist as Kubernetes does', () => {
    const by = (operator: 'In' | 'NotIn' | 'Exists' | 'DoesNotExist', ...values: string[]): LabelSelector => ({
      matchExpressions: [{ key: 'env', operator, ...(values.length > 0 ? { values } : {}) }],
    })
    assert.equal(selects(by('In', 'dev', 'test'), { env: 'dev' }), true)
    assert.equal(selects(by('In', 'dev'), {}), false)
    assert.equal(selects(by('NotIn', 'dev'), { env: 'prod' }), true)
    assert.equal(selects(by('NotIn', 'dev'), {}), true)
    assert.equal(selects(by('NotIn', 'dev'), { env: 'dev' }), false)
    assert.equal(selects(by('Exists'), { env: '' }), true)
    assert.equal(selects(by('DoesNotExist'), { env: '' }), false)
    assert.equal(selects(by('DoesNotExist'), undefined), true)
  })

  it('does not find labels on a prototype', () => {
    assert.equal(selects({ matchExpressions: [{ key: 'constructor', operator: 'Exists' }] }, {}), false)
  })

  it('tells all that is wrong, and where', () => {
    const parsed = parseLabelSelector({
      matchLabels: { 'bad key': 'x', ok: '-bad-' },
      matchExpressions: [
        { key: 'a', operator: 'In' },
        { key: 'b', operator: 'Exists', values: ['x'] },
      ],
    })
    assert.ok(!parsed.ok)
    assert.deepEqual(
      parsed.issues.map(({ path }) => path),
      ['matchLabels["bad key"]', 'matchLabels["ok"]', 'matchExpressions[0].values', 'matchExpressions[1].values'],
    )
  })
})
