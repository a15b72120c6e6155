import { accessSync, constants, readdirSync } from 'node:fs'
import { homedir } from 'node:os'
import { delimiter, join } from 'node:path'
import type { Program } from '../scenario.ts'

/** Where `bench/install-peers.sh` puts what Debian does not have. */
export const PEERS_HOME = process.env['HAUBERK_BENCH_PEERS'] ?? join(homedir(), '.cache', 'hauberk-bench')

/** Those of `programs` that are not here. */
export function missingOf(programs: readonly Program[]): readonly Program[] {
  return [...new Set(programs)].filter((program) => find(program) === undefined)
}

/** Path of a program. Throws when it is not here. */
export function pathOf(program: Program): string {
  const path = find(program)
  if (path === undefined) throw new Error(`${program} is not installed: see bench/install-peers.sh`)
  return path
}

/** What `install-peers.sh` installed comes before what PATH has: its version is known. */
function find(program: Program): string | undefined {
  const own = ownPathOf(program)
  if (own !== undefined && isExecutable(own)) return own
  const directories = (process.env['PATH'] ?? '').split(delimiter)
  return directories.map((directory) => join(directory, program)).find(isExecutable)
}

function ownPathOf(program: Program): string | undefined {
  if (program === 'oha') return join(PEERS_HOME, 'oha', 'bin', 'oha')
  if (program !== 'envoy') return undefined
  // The program that pip puts on PATH is a few lines of Python that start this one.
  const library = join(PEERS_HOME, 'envoy', 'lib')
  const python = entriesOf(library).find((name) => name.startsWith('python'))
  return python && join(library, python, 'site-packages', 'envoy', '_bin', 'envoy')
}

function entriesOf(directory: string): readonly string[] {
  try {
    return readdirSync(directory)
  } catch {
    return []
  }
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}
