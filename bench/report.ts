import type { Environment } from './measure/environment.ts'
import { ratios, type Summary, summarise } from './measure/statistics.ts'
import { formatTable } from './measure/table.ts'
import type { ScenarioResult } from './rounds.ts'
import type { Figure, Goal, Scenario } from './scenario.ts'

/** A scenario's figures, as people read them. */
export function formatScenario(scenario: Scenario, result: ScenarioResult): string {
  const { contestants, reference, title, notes, figures } = scenario
  const { measured, idleAnonymousBytes, tls, voided, leftOut } = result
  const there = contestants.filter(({ name }) => measured.has(name))
  const [first] = there
  const parts = [`## ${scenario.name}: ${title}`]
  if (notes !== undefined) parts.push(notes)
  if (first === undefined) parts.push('NOTHING WAS MEASURED.')
  else {
    const rounds = measured.get(first.name)!.length
    const isCompared = reference !== undefined && measured.has(reference)
    const referenceTitle = contestants.find(({ name }) => name === reference)?.title
    const compared = isCompared ? `; ratios are to "${referenceTitle}" in the same round` : ''
    const spoken = tls === undefined ? '' : `\nEvery connection: ${tls}.`
    const hasIdle = idleAnonymousBytes.size > 0
    const header = [
      '',
      ...figures.flatMap((figure) => headersOf(figure, isCompared)),
      ...(hasIdle ? ['RssAnon idle'] : []),
    ]
    const rows = there.map(({ name, title: rowTitle }) => [
      rowTitle,
      ...figures.flatMap((figure) => cellsOf(figure, result, name, isCompared ? reference : undefined)),
      ...(hasIdle ? [`${((idleAnonymousBytes.get(name) ?? 0) / 2 ** 20).toFixed(1)} MiB`] : []),
    ])
    parts.push(`Median [min - max] of ${rounds} rounds${compared}.${spoken}`, formatTable(header, rows))
  }
  const goals = goalRows(scenario, result)
  if (goals.length > 0) parts.push(formatTable(GOAL_HEADER, goals))
  if (leftOut.size > 0) {
    const titleOf = (name: string) => contestants.find((contestant) => contestant.name === name)?.title ?? name
    parts.push(`LEFT OUT:\n${[...leftOut].map(([name, why]) => `- ${titleOf(name)}: ${why}`).join('\n')}`)
  }
  if (voided.length > 0) {
    parts.push(`Rounds that were void and made again:\n${voided.map((why) => `- ${why}`).join('\n')}`)
  }
  return parts.join('\n\n')
}

const GOAL_HEADER = ['', 'measured', 'needed', 'goal', '']

/** Everything that is aimed at, in one table. */
export function formatVerdicts(all: readonly (readonly [Scenario, ScenarioResult])[]): string {
  const rows = all.flatMap(([scenario, result]) =>
    goalRows(scenario, result).map(([title = '', ...rest]) => [`${scenario.name}: ${title}`, ...rest]),
  )
  return `## All that is aimed at\n\n${formatTable(GOAL_HEADER, rows)}`
}

function headersOf({ title, isRatio = false }: Figure, isCompared: boolean): readonly string[] {
  return isRatio && isCompared ? [title, 'ratio'] : [title]
}

function cellsOf(
  figure: Figure,
  { measured }: ScenarioResult,
  name: string,
  reference: string | undefined,
): readonly string[] {
  const values = valuesOf(measured, name, figure.key)
  if (values === undefined) return figure.isRatio && reference !== undefined ? ['', ''] : ['']
  const cell = figure.isRatio ? span(values, figure) : show(summarise(values).median, figure)
  if (!figure.isRatio || reference === undefined) return [cell]
  const references = valuesOf(measured, reference, figure.key)
  return [
    cell,
    references === undefined ? '' : spanOf(summarise(ratios(values, references)), (value) => value.toFixed(2)),
  ]
}

function goalRows(scenario: Scenario, { measured }: ScenarioResult): readonly (readonly string[])[] {
  const titleOf = (wanted: string) => scenario.contestants.find(({ name }) => name === wanted)?.title ?? wanted
  return scenario.goals.map((goal) => {
    const { contestant, against, figure: key = 'cpuUs', needed, goal: aim } = goal
    const figure = scenario.figures.find((candidate) => candidate.key === key)
    const title = `${titleOf(contestant)}${against === undefined ? '' : ` / ${titleOf(against)}`}${key === 'cpuUs' ? '' : `, ${figure?.title ?? key}`}`
    const text = against === undefined && figure !== undefined ? (value: number) => show(value, figure) : twoDigits
    const bounds = [`<= ${text(needed)}`, `<= ${text(aim)}`]
    const values = valuesFor(goal, key, measured)
    if (values === undefined) return [title, '', ...bounds, 'NOT MEASURED']
    const summary = summarise(values)
    return [title, spanOf(summary, text), ...bounds, verdictOf(summary.median, goal)]
  })
}

function valuesFor(
  { contestant, against }: Goal,
  key: string,
  measured: ScenarioResult['measured'],
): readonly number[] | undefined {
  const values = valuesOf(measured, contestant, key)
  if (against === undefined || values === undefined) return values
  const references = valuesOf(measured, against, key)
  return references === undefined ? undefined : ratios(values, references)
}

export function verdictOf(median: number, { needed, goal }: Pick<Goal, 'needed' | 'goal'>): string {
  return median <= goal ? 'goal reached' : median <= needed ? 'enough' : 'MISSED'
}

/** Undefined when there is no such contestant, or it has no such figure. */
function valuesOf(measured: ScenarioResult['measured'], name: string, key: string): readonly number[] | undefined {
  const values = (measured.get(name) ?? []).map((figures) => figures[key])
  if (values.length === 0) return undefined
  return values.every((value) => value !== undefined) ? values : undefined
}

/** What else was going on; undefined when the machine was ours. */
export function describeNoise(results: readonly ScenarioResult[]): string | undefined {
  const foreign = results.flatMap(({ foreignCpus }) => foreignCpus)
  if (foreign.length === 0) return undefined
  const { median, max } = summarise(foreign)
  if (max < QUIET_CPUS) return undefined
  return `*** THE MACHINE WAS SHARED: others used ${median.toFixed(2)} CPUs in the median measurement and ${max.toFixed(2)} in the worst. Trust the ratios more than the figures, and neither to a tenth. ***`
}

/** Of a CPU; less is the kernel's own business. */
const QUIET_CPUS = 0.15

export function formatEnvironment(environment: Environment): string {
  const { cpu, cpus, memoryGiB, kernel, system, node, openssl, peers, commit, loadAverage } = environment
  return [
    `${cpus} x ${cpu}, ${memoryGiB} GiB, ${system}, Linux ${kernel}, load average ${loadAverage} before the start`,
    `Hauberk ${commit} on Node ${node} (OpenSSL ${openssl}); ${Object.values(peers).join('; ')}`,
  ].join('\n')
}

function span(values: readonly number[], figure: Figure): string {
  return spanOf(summarise(values), (value) => show(value, figure))
}

function spanOf({ median, min, max }: Summary, text: (value: number) => string): string {
  return `${text(median)} [${text(min)} - ${text(max)}]`
}

const twoDigits = (value: number) => value.toFixed(2)

function show(value: number, { unit }: Figure): string {
  switch (unit) {
    case 'us':
      return value.toFixed(1)
    case 'ms':
      return value < 10 ? value.toFixed(2) : value.toFixed(1)
    case 'count':
      return value.toFixed(0)
    case 'share':
      return `${(100 * value).toFixed(value < 0.01 ? 2 : 0)} %`
    case 'MiB':
    case 'KiB':
      return `${value.toFixed(1)} ${unit}`
  }
}
