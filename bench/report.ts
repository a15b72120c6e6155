import type { Environment } from './measure/environment.ts'
import { ratios, type Summary, summarise } from './measure/statistics.ts'
import { formatTable } from './measure/table.ts'
import type { Measured, ScenarioResult } from './rounds.ts'
import type { Goal, Scenario } from './scenario.ts'

/** A scenario's figures, as people read them. */
export function formatScenario(scenario: Scenario, result: ScenarioResult): string {
  const { contestants, reference, title } = scenario
  const { measured, idleAnonymousBytes, tls, voided } = result
  const of = (name: string, read: (one: Measured) => number) => measured.get(name)!.map(read)
  const cpu = ({ cpuUsPerRequest }: Measured) => cpuUsPerRequest
  const referenceTitle = contestants.find(({ name }) => name === reference)?.title ?? reference

  const rows = contestants.map(({ name, title: rowTitle }) => [
    rowTitle,
    span(summarise(of(name, cpu)), 1),
    span(summarise(ratios(of(name, cpu), of(reference, cpu))), 2),
    summarise(of(name, (one) => one.requestsPerSecond)).median.toFixed(0),
    `${(100 * summarise(of(name, (one) => one.cpuShare)).median).toFixed(0)} %`,
    mebibytes(idleAnonymousBytes.get(name) ?? 0),
    mebibytes(summarise(of(name, (one) => one.anonymousBytes)).median),
  ])
  const header = ['', 'CPU us/request', 'ratio', 'requests/s', 'of its core', 'RssAnon idle', 'loaded']
  const goals = scenario.goals.map((goal) => goalRow(goal, scenario, result))
  const parts = [
    `## ${title}`,
    `Median [min - max] of ${measured.get(reference)!.length} rounds; ratios are to "${referenceTitle}" in the same round.\nEvery connection: ${tls}.`,
    formatTable(header, rows),
    formatTable(['CPU per request against', 'ratio', 'needed', 'goal', ''], goals),
  ]
  if (voided.length > 0)
    parts.push(`Rounds that were void and made again:\n${voided.map((why) => `- ${why}`).join('\n')}`)
  return parts.join('\n\n')
}

/** What else was going on; undefined when the machine was ours. */
export function describeNoise(results: readonly ScenarioResult[]): string | undefined {
  const foreign = results.flatMap(({ measured }) => [...measured.values()].flat().map(({ foreignCpus }) => foreignCpus))
  const { median, max } = summarise(foreign)
  if (max < QUIET_CPUS) return undefined
  return `The machine was shared: others used ${median.toFixed(2)} CPUs in the median round and ${max.toFixed(2)} in the worst. Trust the ratios more than the figures, and neither to a tenth.`
}

/** Of a CPU; less is the kernel's own business. */
const QUIET_CPUS = 0.1

export function formatEnvironment(environment: Environment): string {
  const { cpu, cpus, memoryGiB, kernel, system, node, openssl, peers, commit, loadAverage } = environment
  return [
    `${cpus} x ${cpu}, ${memoryGiB} GiB, ${system}, Linux ${kernel}, load average ${loadAverage} before the start`,
    `Hauberk ${commit} on Node ${node} (OpenSSL ${openssl}); ${Object.values(peers).join('; ')}`,
  ].join('\n')
}

function goalRow({ contestant, against, needed, goal }: Goal, { contestants }: Scenario, { measured }: ScenarioResult) {
  const cpuOf = (name: string) => measured.get(name)!.map(({ cpuUsPerRequest }) => cpuUsPerRequest)
  const ratio = summarise(ratios(cpuOf(contestant), cpuOf(against)))
  const titleOf = (wanted: string) => contestants.find(({ name }) => name === wanted)?.title ?? wanted
  const verdict = ratio.median <= goal ? 'goal reached' : ratio.median <= needed ? 'enough' : 'missed'
  return [
    `${titleOf(contestant)} / ${titleOf(against)}`,
    span(ratio, 2),
    `<= ${needed.toFixed(2)}`,
    `<= ${goal.toFixed(2)}`,
    verdict,
  ]
}

function span({ median, min, max }: Summary, digits: number): string {
  return `${median.toFixed(digits)} [${min.toFixed(digits)} - ${max.toFixed(digits)}]`
}

function mebibytes(bytes: number): string {
  return `${(bytes / 2 ** 20).toFixed(1)} MiB`
}
