/**
 * `npm run bench:scale`: one operator and a thousand sidecars or ten, with real connections.
 *
 * What is measured where is in README.md beside this file.
 */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { availableParallelism, loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { describeEnvironment } from '../measure/environment.ts'
import { killChildren } from '../world/child.ts'
import { measure } from './measure.ts'
import { createMesh } from './mesh.ts'
import { readScaleOptions, USAGE, UsageError } from './options.ts'
import { formatMachine, formatResult } from './report.ts'

const RESULTS = join(import.meta.dirname, '..', 'results')

const say = (text: string) => process.stdout.write(`${text}\n`)

/** Exit codes: 0 measured, 1 not, 2 wrong usage. */
async function main(args: readonly string[]): Promise<number> {
  const options = readScaleOptions(args)
  if (options.help) {
    say(USAGE)
    return 0
  }
  const { size, processes, rounds, renewals } = options
  const environment = describeEnvironment([])
  say(`${formatMachine(environment)}\n`)
  const directory = await mkdtemp(join(tmpdir(), 'hauberk-scale-'))
  const cpus = availableParallelism()
  const isPinned = options.pin && cpus > 1
  const cores = { operator: [cpus - 1], sidecars: Array.from({ length: cpus - 1 }, (_, i) => i) }
  const mesh = await createMesh({ size, processes, directory, cores: isPinned ? cores : undefined })
  let isMeasured = false
  try {
    const result = await measure(mesh, {
      sidecars: size.workloads * size.podsPerWorkload,
      podsPerWorkload: size.podsPerWorkload,
      rounds,
      renewals,
      settleMs: 12_000,
      quietMs: 1_500,
      progress: (line) => process.stderr.write(`${line}\n`),
    })
    isMeasured = true
    const loadAfter = Number((loadavg()[0] ?? 0).toFixed(2))
    say(`${formatResult(result)}\n`)
    say(
      `${isPinned ? 'The operator had a CPU that the sidecars did not use. ' : ''}Load average afterwards: ${loadAfter}.`,
    )
    await mkdir(RESULTS, { recursive: true })
    const at = new Date().toISOString()
    const file = join(RESULTS, `scale-${at.replaceAll(':', '-')}.json`)
    const written = { at, environment, loadAfter, isPinned, processes, size, result }
    await writeFile(file, `${JSON.stringify(written, undefined, 2)}\n`)
    say(`Every figure: ${file}`)
    return 0
  } finally {
    await mesh.close()
    if (isMeasured) await rm(directory, { recursive: true, force: true })
    else process.stderr.write(`Logs: ${directory}\n`)
  }
}

process.once('exit', killChildren)
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1))

try {
  process.exitCode = await main(process.argv.slice(2))
} catch (error) {
  const isUsage = error instanceof UsageError
  process.stderr.write(isUsage ? `${error.message}\n\n${USAGE}` : `bench: ${(error as Error).stack}\n`)
  process.exitCode = isUsage ? 2 : 1
}
