import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from '#fast-check'
import { missingOf } from './measure/programs.ts'
import { orderOf, ratios, summarise } from './measure/statistics.ts'
import { formatTable } from './measure/table.ts'
import { readBenchOptions, UsageError } from './options.ts'
import { describeNoise, formatScenario, formatVerdicts } from './report.ts'
import type { ScenarioResult } from './rounds.ts'
import type { Scenario } from './scenario.ts'
import { SCENARIOS } from './scenarios/scenarios.ts'

describe('statistics', () => {
  it('takes the middle value, or the mean of the two in the middle', () => {
    assert.deepEqual(summarise([9, 1, 5]), { median: 5, min: 1, max: 9 })
    assert.deepEqual(summarise([4, 1, 2, 9]), { median: 3, min: 1, max: 9 })
    assert.throws(() => summarise([]), RangeError)
  })

  it('never finds a median outside of what was measured', () => {
    fc.assert(
      fc.property(fc.array(fc.double({ noNaN: true, min: 0, max: 1e9 }), { minLength: 1 }), (values) => {
        const { median, min, max } = summarise(values)
        assert.ok(min <= median && median <= max)
        assert.ok(values.includes(min) && values.includes(max))
      }),
    )
  })

  it('compares each round with the same round of the reference', () => {
    assert.deepEqual(ratios([2, 9, 4], [1, 3, 8]), [2, 3, 0.5])
    assert.throws(() => ratios([1], [1, 2]), RangeError)
  })

  it('starts each round with another contestant and leaves nobody out', () => {
    assert.deepEqual(orderOf(['a', 'b', 'c'], 0), ['a', 'b', 'c'])
    assert.deepEqual(orderOf(['a', 'b', 'c'], 1), ['b', 'c', 'a'])
    assert.deepEqual(orderOf(['a', 'b', 'c'], 5), ['c', 'a', 'b'])
    assert.deepEqual(orderOf([], 3), [])
  })
})

describe('table', () => {
  it('has columns that line up, names to the left and figures to the right', () => {
    assert.equal(
      formatTable(
        ['', 'us'],
        [
          ['HAProxy', '9'],
          ['we', '10.5'],
        ],
      ),
      ['|         |   us |', '| ------- | ---: |', '| HAProxy |    9 |', '| we      | 10.5 |'].join('\n'),
    )
  })
})

describe('report', () => {
  it('shows medians, extremes, ratios of the same rounds and whether each goal was reached', () => {
    const text = formatScenario(SCENARIO, RESULT)
    assert.match(text, /\| HAProxy +\| +15\.0 \[10\.0 - 20\.0\] \| 1\.00 \[1\.00 - 1\.00\] \|/)
    assert.match(text, /\| Ours +\| +20\.0 \[20\.0 - 20\.0\] \| 1\.50 \[1\.00 - 2\.00\] \|/)
    assert.match(text, /\| Ours \/ HAProxy +\| 1\.50 \[1\.00 - 2\.00\] \| +<= 1\.50 \| +<= 1\.25 \| +enough \|/)
    assert.match(text, /\| Ours +\| 20\.0 \[20\.0 - 20\.0\] \| +<= 10\.0 \| +<= 5\.0 \| +MISSED \|/)
    assert.match(text, /TLSv1\.3/)
    assert.doesNotMatch(text, /void/)
  })

  it('names the rounds that did not count', () => {
    assert.match(formatScenario(SCENARIO, { ...RESULT, voided: ['ours: 3 refused'] }), /void.*\n- ours: 3 refused/)
  })

  it('says what was left out and why, and claims nothing of it', () => {
    const text = formatScenario(SCENARIO, RESULT)
    assert.match(text, /\| Absent \/ HAProxy +\| +\| <= 2\.00 \| <= 1\.00 \| NOT MEASURED \|/)
    assert.match(text, /LEFT OUT:\n- Absent: it is not installed/)
    assert.doesNotMatch(text, /\| Absent +\|/)
  })

  it('ends with all goals in one table', () => {
    const text = formatVerdicts([[SCENARIO, RESULT]])
    assert.match(text, /\| a: Ours \/ HAProxy +\| 1\.50/)
    assert.match(text, /\| a: Absent \/ HAProxy +\|.*NOT MEASURED/)
  })

  it('says when the machine was not ours alone', () => {
    assert.equal(describeNoise([RESULT]), undefined)
    assert.match(describeNoise([resultWith(0.5)]) ?? '', /SHARED: others used 0\.50 CPUs/)
  })
})

describe('command line', () => {
  it('has defaults that measure, and refuses what it does not understand', () => {
    const { rounds, seconds, scenarios, beside } = readBenchOptions([])
    assert.deepEqual(
      { rounds, seconds, scenarios, beside },
      { rounds: 5, seconds: 1, scenarios: [], beside: undefined },
    )
    assert.throws(() => readBenchOptions(['--rounds', '0']), UsageError)
    assert.throws(() => readBenchOptions(['--fast']), UsageError)
    assert.throws(() => readBenchOptions(['--beside', 'here']), UsageError)
    assert.equal(readBenchOptions(['--beside', 'before=/tmp/dist']).beside?.directory, '/tmp/dist')
  })

  it('takes names of scenarios with and without an option, each once', () => {
    assert.deepEqual(readBenchOptions(['--only', 'a,b', 'c', '--only', 'a']).scenarios, ['a', 'b', 'c'])
  })

  it('finds which programs are not installed', () => {
    const none = { ...process.env }
    assert.deepEqual(missingOf([]), [])
    process.env['PATH'] = '/nowhere'
    try {
      assert.deepEqual(missingOf(['wrk', 'gcc', 'wrk']), ['wrk', 'gcc'])
    } finally {
      process.env['PATH'] = none['PATH']
    }
  })
})

describe('scenarios', () => {
  it('have names of their own', () => {
    const names = SCENARIOS.map(({ name }) => name)
    assert.equal(new Set(names).size, names.length)
  })

  for (const { name, contestants, reference, goals, figures, ours } of SCENARIOS) {
    it(`${name} refers to contestants and figures that it has`, () => {
      const names = contestants.map((contestant) => contestant.name)
      assert.equal(new Set(names).size, names.length)
      const wanted = goals.flatMap(({ contestant, against }) => [contestant, against])
      for (const one of [reference, ...wanted]) if (one !== undefined) assert.ok(names.includes(one), one)
      const keys = figures.map(({ key }) => key)
      for (const { figure = 'cpuUs', goal, needed } of goals) {
        assert.ok(goal <= needed)
        assert.ok(keys.includes(figure), figure)
      }
      for (const other of ours?.({ name: 'before', directory: '/' }) ?? []) assert.ok(!names.includes(other.name))
    })
  }
})

const PEER = { programs: [], start: () => Promise.reject(new Error('not in a test')) }

const SCENARIO: Scenario = {
  name: 'a',
  title: 'A scenario',
  work: { programs: [], check: async () => undefined, measure: async () => ({}) },
  figures: [{ key: 'cpuUs', title: 'CPU us/request', unit: 'us', isRatio: true }],
  reference: 'haproxy',
  contestants: [
    { name: 'haproxy', title: 'HAProxy', peer: PEER, tokens: 0, refuses: [] },
    { name: 'ours', title: 'Ours', peer: PEER, tokens: 0, refuses: [] },
    { name: 'absent', title: 'Absent', peer: PEER, tokens: 0, refuses: [] },
  ],
  goals: [
    { contestant: 'ours', against: 'haproxy', needed: 1.5, goal: 1.25 },
    { contestant: 'ours', needed: 10, goal: 5 },
    { contestant: 'absent', against: 'haproxy', needed: 2, goal: 1 },
  ],
}

const RESULT = resultWith(0)

function resultWith(foreignCpus: number): ScenarioResult {
  const rounds = (...values: number[]) => values.map((cpuUs) => ({ cpuUs }))
  return {
    measured: new Map([
      ['haproxy', rounds(10, 20)],
      ['ours', rounds(20, 20)],
    ]),
    idleAnonymousBytes: new Map(),
    tls: 'TLSv1.3',
    voided: [],
    leftOut: new Map([['absent', 'it is not installed']]),
    foreignCpus: [foreignCpus],
  }
}
