/**
 * `npm run bench`: what a request costs in our sidecar, beside other proxies, in the same rounds.
 *
 * What is measured, and how fairly, is in README.md beside this file.
 */
import { execFileSync } from 'node:child_process'
import { mkdir, writeFile } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { makeTools } from './load/tools.ts'
import { describeEnvironment } from './measure/environment.ts'
import { missingOf } from './measure/programs.ts'
import { type BenchOptions, readBenchOptions, USAGE, UsageError } from './options.ts'
import { describeNoise, formatEnvironment, formatScenario, formatVerdicts } from './report.ts'
import { runScenario, type ScenarioResult } from './rounds.ts'
import type { Contestant, Scenario } from './scenario.ts'
import { SCENARIOS } from './scenarios/scenarios.ts'
import { killChildren } from './world/child.ts'
import { openWorld } from './world/open-world.ts'
import { killAll } from './world/process.ts'

const RESULTS = join(import.meta.dirname, 'results')

const say = (text: string) => process.stdout.write(`${text}\n`)

/** Exit codes: 0 measured, 1 not or not all of it, 2 wrong usage. */
async function main(args: readonly string[]): Promise<number> {
  const options = readBenchOptions(args)
  if (options.help) {
    say(USAGE)
    return 0
  }
  if (options.list) {
    const width = Math.max(...SCENARIOS.map(({ name }) => name.length))
    for (const { name, title } of SCENARIOS) say(`${name.padEnd(width)}  ${title}`)
    return 0
  }
  const scenarios = chosen(options)
  const lacking = missingOf(scenarios.flatMap(({ work }) => work.programs))
  const able = scenarios.filter(({ work }) => missingOf(work.programs).length === 0)
  const peerPrograms = scenarios.flatMap(({ contestants }) => contestants.flatMap(({ peer }) => peer.programs))
  const missing = [...new Set([...lacking, ...missingOf(peerPrograms)])]
  if (missing.length > 0) {
    say(
      `*** NOT INSTALLED: ${missing.join(', ')}. What needs it is left out. On Debian and Ubuntu: bench/install-peers.sh ***\n`,
    )
  }
  if (process.platform !== 'linux' || availableParallelism() < 2) {
    say('Nothing was measured: it takes Linux and two CPUs, one for the proxy and one for the rest.')
    return 1
  }
  if (able.length === 0 || missingOf(['taskset', 'gcc', 'nginx']).length > 0) {
    say('Nothing was measured.')
    return 1
  }

  const began = performance.now()
  const environment = describeEnvironment([...peerPrograms, ...scenarios.flatMap(({ work }) => work.programs)])
  say(`${formatEnvironment(environment)}\n`)
  const profiles = options.profile ? join(RESULTS, 'profiles') : undefined
  if (profiles !== undefined) await mkdir(profiles, { recursive: true })
  const tokens = Math.max(1, ...able.flatMap(({ contestants }) => contestants.map((contestant) => contestant.tokens)))
  const { world, close } = await openWorld({ tokens, profiles })
  // What this process does itself, such as asking the backend, is to disturb no proxy.
  execFileSync('taskset', ['-acp', String(world.cores.rest), String(process.pid)], { stdio: 'ignore' })
  try {
    const tools = await makeTools(world)
    const done: (readonly [Scenario, ScenarioResult])[] = []
    const failed: string[] = []
    for (const scenario of able) {
      const progress = (line: string) => process.stderr.write(`${scenario.name}: ${line}\n`)
      try {
        const result = await runScenario(world, scenario, tools, { ...options, progress, lacks })
        done.push([scenario, result])
        say(`${formatScenario(scenario, result)}\n`)
      } catch (error) {
        // What the others did is worth knowing all the same.
        failed.push(`${scenario.name}: ${(error as Error).message}`)
        say(`*** FAILED: ${failed.at(-1)} ***\n`)
        process.stderr.write(`${(error as Error).stack}\n`)
      }
    }
    say(`${formatVerdicts(done)}\n`)
    for (const { name, work } of scenarios.filter((scenario) => !able.includes(scenario))) {
      say(`LEFT OUT: ${name}, because ${missingOf(work.programs).join(', ')} is not installed`)
    }
    const noise = describeNoise(done.map(([, result]) => result))
    if (noise !== undefined) say(noise)
    await mkdir(RESULTS, { recursive: true })
    const at = new Date().toISOString()
    const file = join(RESULTS, `${at.replaceAll(':', '-')}.json`)
    const { rounds, seconds, warmUpSeconds } = options
    const written = {
      at,
      environment,
      rounds,
      seconds,
      warmUpSeconds,
      noise,
      missing,
      failed,
      scenarios: done.map(asJson),
    }
    await writeFile(file, `${JSON.stringify(written, undefined, 2)}\n`)
    say(`Every round: ${file} (${((performance.now() - began) / 60_000).toFixed(1)} min)`)
    if (failed.length > 0) say(`\n*** FAILED, and not in any table:\n${failed.map((why) => `- ${why}`).join('\n')}`)
    return failed.length > 0 ? 1 : 0
  } finally {
    await close(options.keep)
    if (options.keep) say(`Configs and logs: ${world.directory}`)
  }
}

function lacks({ peer }: Contestant): string | undefined {
  const lacked = missingOf(peer.programs)
  return lacked.length === 0 ? undefined : `${lacked.join(', ')} is not installed`
}

function asJson([{ name, title, reference, goals }, result]: readonly [Scenario, ScenarioResult]) {
  const { measured, idleAnonymousBytes, tls, voided, leftOut, foreignCpus } = result
  return {
    ...{ name, title, reference, goals, tls, voided, foreignCpus },
    leftOut: Object.fromEntries(leftOut),
    idleAnonymousBytes: Object.fromEntries(idleAnonymousBytes),
    measured: Object.fromEntries(measured),
  }
}

function chosen({ scenarios: names, beside }: BenchOptions): readonly Scenario[] {
  const unknown = names.filter((name) => !SCENARIOS.some((scenario) => scenario.name === name))
  if (unknown.length > 0) {
    throw new UsageError(
      `there is no scenario ${unknown.join(', ')}; there are ${SCENARIOS.map(({ name }) => name).join(', ')}`,
    )
  }
  const wanted = names.length === 0 ? SCENARIOS : SCENARIOS.filter(({ name }) => names.includes(name))
  if (beside === undefined) return wanted
  return wanted.map((scenario) => ({
    ...scenario,
    contestants: [...scenario.contestants, ...(scenario.ours?.(beside) ?? [])],
  }))
}

process.once('exit', () => {
  killAll()
  killChildren()
})
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1))

try {
  process.exitCode = await main(process.argv.slice(2))
} catch (error) {
  const isUsage = error instanceof UsageError
  process.stderr.write(isUsage ? `${error.message}\n\n${USAGE}` : `bench: ${(error as Error).stack}\n`)
  process.exitCode = isUsage ? 2 : 1
}
// Whoever was started and not stopped by a failure ends with this process, and does not keep it.
process.exit()
