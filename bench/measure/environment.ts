import { execFileSync } from 'node:child_process'
import { accessSync, constants, readFileSync } from 'node:fs'
import { cpus, loadavg, release, totalmem } from 'node:os'
import { delimiter, join } from 'node:path'

/** What a figure is worth nothing without. */
export interface Environment {
  readonly cpu: string
  readonly cpus: number
  readonly memoryGiB: number
  readonly kernel: string
  readonly system: string
  /** Over a minute, before anything was started. */
  readonly loadAverage: number
  readonly node: string
  readonly openssl: string
  /** By program. */
  readonly peers: Readonly<Record<string, string>>
  readonly commit: string
}

export function describeEnvironment(programs: readonly string[]): Environment {
  const processors = cpus()
  return {
    cpu: processors[0]?.model.trim() ?? 'unknown',
    cpus: processors.length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    kernel: release(),
    system: /^PRETTY_NAME="(.*)"$/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1] ?? 'unknown',
    loadAverage: Number((loadavg()[0] ?? 0).toFixed(2)),
    node: process.version,
    openssl: process.versions.openssl ?? 'unknown',
    peers: Object.fromEntries(
      programs.flatMap((program) => {
        const arguments_ = VERSION_ARGUMENTS[program]
        return arguments_ === undefined ? [] : [[program, firstLine(program, arguments_)]]
      }),
    ),
    commit: commit(),
  }
}

/** Those of `programs` that PATH does not have. */
export function missingOf(programs: readonly string[]): readonly string[] {
  const directories = (process.env['PATH'] ?? '').split(delimiter)
  return [...new Set(programs)].filter((program) => !directories.some((directory) => isExecutable(directory, program)))
}

const VERSION_ARGUMENTS: Readonly<Record<string, readonly string[]>> = {
  haproxy: ['-v'],
  nginx: ['-v'],
  wrk: ['-v'],
}

function isExecutable(directory: string, program: string): boolean {
  try {
    accessSync(join(directory, program), constants.X_OK)
    return true
  } catch {
    return false
  }
}

function firstLine(program: string, arguments_: readonly string[]): string {
  // wrk and nginx say it on stderr, and wrk fails at the same time.
  const output = execFileSync('sh', ['-c', '"$0" "$@" 2>&1 || true', program, ...arguments_], { encoding: 'utf8' })
  return output.split('\n', 1)[0]?.trim() ?? ''
}

function commit(): string {
  const git = (...arguments_: string[]) => execFileSync('git', arguments_, { encoding: 'utf8' }).trim()
  try {
    const hash = git('rev-parse', '--short', 'HEAD')
    const changed = git('status', '--porcelain', '--', 'sidecar', 'policies', 'model', 'contract', 'runtime')
    return changed === '' ? hash : `${hash} with changes`
  } catch {
    return 'unknown'
  }
}
