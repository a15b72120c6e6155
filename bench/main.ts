/**
 * `npm run bench`: how much of a CPU a request costs in our sidecar, beside other proxies, in the same rounds.
 *
 * What is measured, and how fairly, is in README.md beside this file.
 */
import { execFile } from 'node:child_process'
import { copyFile, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { GENERATOR_PROGRAMS, makeGenerator } from './load/wrk.ts'
import { describeEnvironment, missingOf } from './measure/environment.ts'
import { type BenchOptions, readBenchOptions, USAGE, UsageError } from './options.ts'
import { describeNoise, formatEnvironment, formatScenario } from './report.ts'
import { runScenario, type ScenarioResult } from './rounds.ts'
import type { Scenario } from './scenario.ts'
import { SCENARIOS } from './scenarios/scenarios.ts'
import { startBackend } from './world/backend.ts'
import { makeCertificates } from './world/certificates.ts'
import { killAll } from './world/process.ts'
import { makeTokens } from './world/tokens.ts'
import type { World } from './world/world.ts'

const ROOT = join(import.meta.dirname, '..')
const RESULTS = join(import.meta.dirname, 'results')

const say = (text: string) => process.stdout.write(`${text}\n`)

/** Exit codes: 0 measured, 1 not, 2 wrong usage. */
async function main(args: readonly string[]): Promise<number> {
  const options = readBenchOptions(args)
  if (options.help) {
    say(USAGE)
    return 0
  }
  const scenarios = chosen(options)
  const programs = [
    ...GENERATOR_PROGRAMS,
    'nginx',
    ...scenarios.flatMap(({ contestants }) => contestants.flatMap(({ peer }) => peer.programs)),
  ]
  const missing = missingOf(programs)
  if (missing.length > 0) {
    say(`Nothing was measured: ${missing.join(', ')} is not installed. On Debian and Ubuntu: bench/install-peers.sh`)
    return 1
  }
  if (process.platform !== 'linux' || availableParallelism() < 2) {
    say('Nothing was measured: it takes Linux and two CPUs, one for the proxy and one for the rest.')
    return 1
  }

  const environment = describeEnvironment([...new Set(programs)])
  say(`${formatEnvironment(environment)}\n`)
  const directory = await mkdtemp(join(tmpdir(), 'hauberk-bench-'))
  const world = await makeWorld(directory, options)
  try {
    const generator = await makeGenerator(world)
    const results: ScenarioResult[] = []
    for (const scenario of scenarios) {
      const progress = (line: string) => process.stderr.write(`${scenario.name}: ${line}\n`)
      const result = await runScenario(world, scenario, generator, { ...options, progress })
      results.push(result)
      say(`${formatScenario(scenario, result)}\n`)
    }
    const noise = describeNoise(results)
    if (noise !== undefined) say(noise)
    await mkdir(RESULTS, { recursive: true })
    const { rounds, seconds, warmUpSeconds } = options
    const file = join(RESULTS, `${new Date().toISOString().replaceAll(':', '-')}.json`)
    const written = {
      at: new Date().toISOString(),
      environment,
      rounds,
      seconds,
      warmUpSeconds,
      noise,
      scenarios: scenarios.map(({ name, reference, load, goals }, i) => {
        const { measured, idleAnonymousBytes, tls, voided } = results[i]!
        return {
          ...{ name, reference, load, goals, tls, voided },
          idleAnonymousBytes: Object.fromEntries(idleAnonymousBytes),
          measured: Object.fromEntries(measured),
        }
      }),
    }
    await writeFile(file, `${JSON.stringify(written, undefined, 2)}\n`)
    say(`Every round: ${file}`)
    return 0
  } finally {
    await world.backend.stop()
    if (options.keep) say(`Configs and logs: ${directory}`)
    else await rm(directory, { recursive: true, force: true })
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
    contestants: [...scenario.contestants, ...scenario.ours(beside)],
  }))
}

async function makeWorld(directory: string, { profile }: BenchOptions): Promise<World> {
  // The last CPU for the proxy: interrupts tend to be served by the first.
  const cores = { proxy: availableParallelism() - 1, rest: 0 }
  const bundle = join(directory, 'dist')
  // The program reads its version from above its bundle.
  await copyFile(join(ROOT, 'package.json'), join(directory, 'package.json'))
  await promisify(execFile)(process.execPath, [join(ROOT, 'tools', 'build.ts'), '--out', bundle])
  const profiles = join(RESULTS, 'profiles')
  if (profile) await mkdir(profiles, { recursive: true })
  return {
    directory,
    cores,
    bundle,
    certificates: await makeCertificates(directory),
    tokens: await makeTokens(MOST_TOKENS),
    backend: await startBackend(join(directory, 'backend'), cores.rest),
    ...(profile && { profiles }),
  }
}

/** As many as any contestant takes in turn. */
const MOST_TOKENS = 2_000

process.once('exit', killAll)
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1))

try {
  process.exitCode = await main(process.argv.slice(2))
} catch (error) {
  const isUsage = error instanceof UsageError
  process.stderr.write(isUsage ? `${error.message}\n\n${USAGE}` : `bench: ${(error as Error).stack}\n`)
  process.exitCode = isUsage ? 2 : 1
}
