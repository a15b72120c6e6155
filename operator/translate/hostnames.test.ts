import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from '#fast-check'
import { parseHostPattern } from '../../model/match/host.ts'
import { groupByPrecedence, intersectHostnames } from './hostnames.ts'

describe('hostnames of a route at a listener', () => {
  it('are every one where neither says any, and those of the one that does', () => {
    assert.deepEqual(intersectHostnames([], undefined), [])
    assert.deepEqual(intersectHostnames([], 'a.example'), ['a.example'])
    assert.deepEqual(intersectHostnames(['a.example'], undefined), ['a.example'])
  })

  it('take a host exactly if both do', () => {
    const label = fc.constantFrom('a', 'b')
    const host = fc.array(label, { minLength: 1, maxLength: 4 }).map((labels) => labels.join('.'))
    const pattern = fc.tuple(fc.boolean(), host).map(([wild, name]) => (wild ? `*.${name}` : name))
    const takes = (patterns: readonly string[], name: string) =>
      patterns.length === 0 ||
      patterns.some((text) => {
        const parsed = parseHostPattern(text)
        return parsed.ok && parsed.value.matches(name)
      })
    fc.assert(
      fc.property(
        fc.array(pattern, { maxLength: 3 }),
        fc.option(pattern, { nil: undefined }),
        host,
        (route, listener, name) => {
          const both = intersectHostnames(route, listener)
          const expected = takes(route, name) && takes(listener === undefined ? [] : [listener], name)
          assert.equal(both !== undefined && takes(both, name), expected)
        },
      ),
      { numRuns: 2_000 },
    )
  })

  it('stand in groups of one precedence, of which a request meets one hostname at most', () => {
    assert.deepEqual(groupByPrecedence(['*.example', 'b.example', '*.a.example', 'c.example']), [
      { hostnames: ['b.example', 'c.example'], precedence: Number.POSITIVE_INFINITY },
      { hostnames: ['*.example'], precedence: 9 },
      { hostnames: ['*.a.example'], precedence: 11 },
    ])
  })
})
