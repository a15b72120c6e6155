import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { cpus, loadavg, release, totalmem } from 'node:os'
import type { Program } from '../scenario.ts'
import { missingOf, pathOf } from './programs.ts'

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

export function describeEnvironment(programs: readonly Program[]): Environment {
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
      [...new Set(programs)].flatMap((program) => {
        const arguments_ = VERSION_ARGUMENTS[program]
        if (arguments_ === undefined || missingOf([program]).length > 0) return []
        return [[program, firstLine(pathOf(program), arguments_)]]
      }),
    ),
    commit: commit(),
  }
}

const VERSION_ARGUMENTS: Readonly<Partial<Record<Program, readonly string[]>>> = {
  haproxy: ['-v'],
  nginx: ['-v'],
  wrk: ['-v'],
  h2load: ['--version'],
  envoy: ['--version'],
  oha: ['--version'],
}

function firstLine(program: string, arguments_: readonly string[]): string {
  // wrk and nginx say it on stderr, and wrk fails at the same time.
  const output = execFileSync('sh', ['-c', '"$0" "$@" 2>&1 || true', program, ...arguments_], { encoding: 'utf8' })
  return (
    output
      .trim()
      .split('\n', 1)[0]
      ?.replace(/^\/\S*\/envoy +version: /, 'envoy ')
      .trim() ?? ''
  )
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
