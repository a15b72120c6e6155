import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from '#fast-check'
import { read } from '../../contract/codec.ts'
import { WorkloadConfig } from '../../contract/workload-config.ts'
import { afterEdits, edits } from './testing/arbitrary-world.ts'
import { translateAll } from './testing/world.ts'
import type { Translation } from './translate.ts'

describe('translate', () => {
  it('is a function: the order of the resources does not count', () => {
    const world = fc.array(edits(), { minLength: 20, maxLength: 40 }).map(afterEdits)
    fc.assert(
      fc.property(
        world.chain((resources) => fc.tuple(fc.constant(resources), shuffled(resources))),
        ([resources, others]) => assert.deepEqual(results(translateAll(others)), results(translateAll(resources))),
      ),
      { numRuns: 150 },
    )
  })

  it('makes the same of a world whether or not it remembers an earlier one', () => {
    const world = fc.array(edits({ garbage: true }), { minLength: 15, maxLength: 30 })
    fc.assert(
      fc.property(
        world,
        fc.array(fc.array(edits({ garbage: true }), { maxLength: 2 }), { maxLength: 6 }),
        (start, steps) => {
          const made = [...start]
          let translation = translateAll(afterEdits(made))
          for (const step of steps) {
            made.push(...step)
            translation = translateAll(afterEdits(made), {}, translation)
          }
          assert.deepEqual(results(translation), results(translateAll(afterEdits(made))))
        },
      ),
      { numRuns: 150 },
    )
  })

  it('F22: makes configs that sidecars understand, whatever is in the store', () => {
    fc.assert(
      fc.property(fc.array(edits({ garbage: true }), { minLength: 20, maxLength: 40 }), (made) => {
        for (const config of translateAll(afterEdits(made)).configs.values()) {
          const understood = read(WorkloadConfig, config)
          assert.ok(understood.ok, JSON.stringify(understood))
        }
      }),
      { numRuns: 200 },
    )
  })

  it('keeps the config of every workload that a change does not concern', () => {
    // Nobody of `shop` names `far`, so nothing that happens there may reach them.
    const near = fc.array(edits({ namespaces: ['shop'] }), { minLength: 10, maxLength: 20 })
    const far = edits({ namespaces: ['far'] }).filter(
      ({ key }) => key.includes('/far/') && !/^(?:HTTPRoute|TLSRoute|ReferenceGrant)/.test(key),
    )
    fc.assert(
      fc.property(near, fc.array(far, { minLength: 1, maxLength: 10 }), (start, more) => {
        const before = translateAll(afterEdits(start))
        const after = translateAll(afterEdits([...start, ...more]), {}, before)
        for (const [id, config] of before.configs) assert.equal(after.configs.get(id), config, id)
        const new_ = [...after.configs.keys()].filter((id) => !before.configs.has(id))
        assert.equal(after.translated, new_.length)
      }),
      { numRuns: 100 },
    )
  })
})

function shuffled<T>(items: readonly T[]): fc.Arbitrary<T[]> {
  return fc.shuffledSubarray([...items], { minLength: items.length, maxLength: items.length })
}

function results({ configs, endpoints, issuers, reports, pods }: Translation) {
  return {
    configs: sorted(configs),
    endpoints: sorted(endpoints),
    issuers: sorted(issuers),
    reports: sorted(reports),
    pods: sorted(pods),
  }
}

function sorted<T>(map: ReadonlyMap<string, T>): readonly (readonly [string, T])[] {
  return [...map].sort(([a], [b]) => (a < b ? -1 : 1))
}
