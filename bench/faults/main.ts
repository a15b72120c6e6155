/**
 * `npm run faults`: what must happen when everything around the mesh misbehaves, with real processes under real load.
 */
import { execFile, spawn } from 'node:child_process'
import { copyFile, mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs, promisify } from 'node:util'
import { createFaultPrinter } from './print.ts'
import type { FaultScenario } from './scenario.ts'
import { SCENARIOS } from './scenarios/all.ts'
import { isRoot } from './world/machine.ts'
import { killPrograms } from './world/program.ts'

const USAGE = `usage: npm run faults -- [options]

  --only NAME    one scenario; may be given again
  --list         the scenarios there are
  --short        fewer connections and less time under load: that it works, not how well
  --keep         leaves the files of the run where they are
  --help         this text

Some need root, for a network or a file system of their own: without it they are skipped, and that is said.
Exit codes: 0 nothing failed, 1 something did, 2 the command line is wrong.
`

const ROOT = join(import.meta.dirname, '..', '..')

const print = createFaultPrinter(process.stdout)

async function main(args: readonly string[]): Promise<number> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      only: { type: 'string', multiple: true, default: [] },
      list: { type: 'boolean', default: false },
      short: { type: 'boolean', default: false },
      keep: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
      // Of this program itself: it runs in the network of its own that a scenario needs, with the bundle that was made.
      isolated: { type: 'string' },
    },
  })
  if (values.help) return say(USAGE)
  if (values.list) return say(SCENARIOS.map(({ name, title }) => `${name.padEnd(24)} ${title}\n`).join(''))
  const unknown = values.only.find((name) => !SCENARIOS.some((scenario) => scenario.name === name))
  if (unknown !== undefined) {
    process.stderr.write(`there is no scenario ${unknown}: see --list\n`)
    return 2
  }
  const chosen = SCENARIOS.filter(({ name }) => values.only.length === 0 || values.only.includes(name))

  const startedMs = performance.now()
  const directory = await mkdtemp(join(tmpdir(), 'hauberk-faults-'))
  const counts = { passed: 0, failed: 0, skipped: 0 }
  try {
    const bundle = values.isolated ?? (await build(directory))
    for (const scenario of chosen) {
      const outcome = await runOne(scenario, {
        directory,
        bundle,
        isShort: values.short,
        isInside: values.isolated !== undefined,
      })
      counts[outcome] += 1
    }
  } finally {
    killPrograms()
    if (values.keep) print.line(`\nWhat is left of it: ${directory}`)
    else await rm(directory, { recursive: true, force: true })
  }
  if (values.isolated !== undefined) return counts.failed === 0 ? 0 : 1
  const seconds = Math.round((performance.now() - startedMs) / 1_000)
  print.line(`\n${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped, in ${seconds} s`)
  return counts.failed === 0 ? 0 : 1
}

async function build(directory: string): Promise<string> {
  print.doing('build the product')
  const bundle = join(directory, 'dist')
  // The program reads its version from above its bundle.
  await copyFile(join(ROOT, 'package.json'), join(directory, 'package.json'))
  await promisify(execFile)(process.execPath, [join(ROOT, 'tools', 'build.ts'), '--out', bundle])
  return bundle
}

interface RunOptions {
  readonly directory: string
  readonly bundle: string
  readonly isShort: boolean
  /** This process is in the network that was made for the scenario. */
  readonly isInside: boolean
}

async function runOne(scenario: FaultScenario, options: RunOptions): Promise<'passed' | 'failed' | 'skipped'> {
  const { name, title, isIsolated } = scenario
  const { directory, bundle, isShort, isInside } = options
  if (!isInside) print.begin(title)
  const lacks =
    scenario.lacks?.() ?? (isIsolated && !isRoot() ? 'it takes root to make a network of its own' : undefined)
  if (lacks !== undefined) {
    print.skipped(lacks)
    return 'skipped'
  }
  if (isIsolated && !isInside) return (await runIsolated(name, bundle, isShort)) ? 'passed' : 'failed'
  const own = join(directory, name)
  await mkdir(own, { mode: 0o700 })
  try {
    print.doing('under way')
    for await (const line of scenario.run({ directory: own, bundle, isShort })) {
      print.shown(line)
      print.doing('under way')
    }
    return 'passed'
  } catch (error) {
    print.failed(error)
    return 'failed'
  }
}

/** In a network namespace of its own, where only loopback is: what is dropped there, nobody else misses. */
function runIsolated(name: string, bundle: string, isShort: boolean): Promise<boolean> {
  const again = [
    process.execPath,
    import.meta.filename,
    '--only',
    name,
    '--isolated',
    bundle,
    ...(isShort ? ['--short'] : []),
  ]
  const child = spawn('unshare', ['--net', '--', 'sh', '-c', 'ip link set lo up && exec "$@"', 'sh', ...again], {
    stdio: 'inherit',
  })
  return new Promise((resolve) => {
    child.once('exit', (code) => resolve(code === 0))
    child.once('error', () => resolve(false))
  })
}

function say(text: string): number {
  process.stdout.write(text)
  return 0
}

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    killPrograms()
    process.exit(1)
  })
}
try {
  process.exitCode = await main(process.argv.slice(2))
} catch (error) {
  const isUsage = error instanceof TypeError && 'code' in error && String(error.code).startsWith('ERR_PARSE_ARGS')
  process.stderr.write(`${isUsage ? `${error.message}\n\n${USAGE}` : (error as Error).stack}\n`)
  process.exitCode = isUsage ? 2 : 1
}
process.exit()
