import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from '#fast-check'
import type { Resource } from '../../model/resource.ts'
import { EMPTY, type ResourceChange, snapshotOf } from './snapshot.ts'

function resource(kind: string, namespace: string | undefined, name: string, value = 0): Resource {
  return { apiVersion: 'v1', kind, metadata: { name, ...(namespace && { namespace }) }, spec: { value } }
}

describe('a snapshot', () => {
  it('finds resources by key, by namespace and by kind, in the order of their names', () => {
    const [b, a, node] = [resource('Pod', 'y', 'b'), resource('Pod', 'x', 'a'), resource('Node', undefined, 'n')]
    const snapshot = snapshotOf([b, node, a])
    assert.equal(snapshot.get('Pod', 'x', 'a'), a)
    assert.equal(snapshot.get('Pod', 'y', 'a'), undefined)
    assert.equal(snapshot.get('Node', undefined, 'n'), node)
    assert.deepEqual(snapshot.inNamespace('Pod', 'y'), [b])
    assert.deepEqual(snapshot.ofKind('Pod'), [a, b])
    assert.deepEqual(snapshot.ofKind('Node'), [node])
    assert.deepEqual(snapshot.namespaces(), ['x', 'y'])
  })

  it('is not changed by what comes after it', () => {
    const before = snapshotOf([resource('Pod', 'x', 'a')])
    const after = before.with([{ kind: 'Pod', namespace: 'x', name: 'a', resource: undefined }])
    assert.equal(before.ofKind('Pod').length, 1)
    assert.deepEqual(after.ofKind('Pod'), [])
    assert.equal(after.version, before.version + 1)
  })

  it('shares with the next one all that did not change', () => {
    const before = snapshotOf([resource('Pod', 'x', 'a'), resource('Pod', 'y', 'a'), resource('Service', 'x', 'a')])
    const lists = [before.inNamespace('Pod', 'y'), before.ofKind('Service')]
    const after = before.with([{ kind: 'Pod', namespace: 'x', name: 'a', resource: resource('Pod', 'x', 'a', 1) }])
    assert.equal(after.inNamespace('Pod', 'y'), lists[0])
    assert.equal(after.ofKind('Service'), lists[1])
    assert.notEqual(after.ofKind('Pod'), before.ofKind('Pod'))
  })

  it('is the same one when it is told what it knows', () => {
    const before = snapshotOf([resource('Pod', 'x', 'a')])
    const same = before.with([
      { kind: 'Pod', namespace: 'x', name: 'a', resource: resource('Pod', 'x', 'a') },
      { kind: 'Pod', namespace: 'x', name: 'gone', resource: undefined },
    ])
    assert.equal(same, before)
  })

  it('tells what changed since any earlier one, whatever came between', () => {
    const change = fc.record({
      kind: fc.constantFrom('Pod', 'Service'),
      namespace: fc.constantFrom(undefined, 'x', 'y'),
      name: fc.constantFrom('a', 'b'),
      value: fc.option(fc.integer({ min: 0, max: 2 }), { nil: undefined }),
    })
    fc.assert(
      fc.property(fc.array(fc.array(change, { maxLength: 4 }), { maxLength: 8 }), (batches) => {
        const model = new Map<string, { readonly value: number }>()
        const history = [{ snapshot: EMPTY, model: new Map(model) }]
        for (const batch of batches) {
          const changes = batch.map(({ kind, namespace, name, value }): ResourceChange => {
            const key = namespace === undefined ? `${kind}/${name}` : `${kind}/${namespace}/${name}`
            if (value === undefined) model.delete(key)
            else if (model.get(key)?.value !== value) model.set(key, { value })
            const next = value === undefined ? undefined : resource(kind, namespace, name, value)
            return { kind, namespace, name, resource: next }
          })
          const { snapshot } = history.at(-1)!
          history.push({ snapshot: snapshot.with(changes), model: new Map(model) })
        }
        const now = history.at(-1)!
        for (const then of history) {
          const keys = [...new Set([...now.model.keys(), ...then.model.keys()])]
          const expected = keys.filter((key) => now.model.get(key) !== then.model.get(key)).sort()
          assert.deepEqual(now.snapshot.changedSince(then.snapshot), expected)
        }
      }),
    )
  })
})
