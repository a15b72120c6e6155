import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Resource } from '../../model/resource.ts'
import type { Change } from '../sources/source.ts'
import { createStore } from './store.ts'

function set(name: string, value = 0): Change {
  const resource: Resource = { apiVersion: 'v1', kind: 'Pod', metadata: { namespace: 'x', name }, spec: { value } }
  return { type: 'set', resource }
}

describe('a store', () => {
  it('says nothing before every source has told all that it had at its start', () => {
    const store = createStore(2)
    let told = 0
    store.onChange(() => {
      told += 1
    })
    store.apply([set('a')])
    store.synced()
    assert.deepEqual([told, store.isSynced()], [0, false])
    store.synced()
    assert.deepEqual([told, store.isSynced()], [1, true])
  })

  it('shows changes that belong together at once, and tells of them once', () => {
    const store = createStore()
    store.synced()
    const seen: string[][] = []
    store.onChange(() => {
      seen.push(
        store
          .snapshot()
          .ofKind('Pod')
          .map(({ metadata }) => metadata.name),
      )
    })
    store.apply([set('a'), set('b')])
    store.apply([{ type: 'removed', ref: { kind: 'Pod', namespace: 'x', name: 'a' } }, set('c')])
    assert.deepEqual(seen, [
      ['a', 'b'],
      ['b', 'c'],
    ])
  })

  it('does not tell of a change that is none', () => {
    const store = createStore()
    store.synced()
    store.apply([set('a')])
    let told = 0
    const stop = store.onChange(() => {
      told += 1
    })
    store.apply([set('a')])
    store.apply([{ type: 'removed', ref: { kind: 'Pod', namespace: 'x', name: 'b' } }])
    assert.equal(told, 0)
    store.apply([set('a', 1)])
    assert.equal(told, 1)
    stop()
    store.apply([set('a', 2)])
    assert.equal(told, 1)
  })
})
