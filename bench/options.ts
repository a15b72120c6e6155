import { resolve } from 'node:path'
import { parseArgs } from 'node:util'
import type { Build } from './scenario.ts'

export interface BenchOptions {
  /** Names; empty: all. */
  readonly scenarios: readonly string[]
  readonly rounds: number
  readonly seconds: number
  readonly warmUpSeconds: number
  /** Another bundle of this program, for a row of its own beside each of ours. */
  readonly beside: Build | undefined
  /** Take V8 profiles of our rows. */
  readonly profile: boolean
  /** Leave the run's directory behind. */
  readonly keep: boolean
  /** Say which scenarios there are, and end. */
  readonly list: boolean
  readonly help: boolean
}

/** A command line that says nothing that can be done. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}

export const USAGE = `npm run bench -- [options] [scenario ...]

  --only NAME,...     these scenarios; as arguments without an option too (default: all)
  --rounds N          rounds that count (default 5)
  --seconds N         seconds of load for each proxy and round (default 1)
  --warm-up N         seconds of load for each proxy before the first round (default 5)
  --beside NAME=DIR   another bundle of hauberk (npm run build -- --out DIR), measured in the same rounds
  --profile           write V8 profiles of our rows to bench/results/profiles; the figures are worth less then
  --keep              leave the configs and logs of the run where they are
  --list              say which scenarios there are
  --help

Examples:
  npm run bench                                   the whole table: about half an hour
  npm run bench -- --only http1,tokens --seconds 4
  npm run bench -- --rounds 1 --warm-up 0         a short form, to see that it works
`

export function readBenchOptions(args: readonly string[]): BenchOptions {
  const parsed = parse(args)
  const { only, rounds, seconds, 'warm-up': warmUp, beside, profile, keep, list, help } = parsed.values
  const named = only.flatMap((names) => names.split(',')).filter((name) => name !== '')
  return {
    scenarios: [...new Set([...named, ...parsed.positionals])],
    rounds: whole('--rounds', rounds, 1, 100),
    seconds: whole('--seconds', seconds, 1, 600),
    warmUpSeconds: whole('--warm-up', warmUp, 0, 600),
    beside: beside === undefined ? undefined : readBeside(beside),
    profile,
    keep,
    list,
    help,
  }
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        only: { type: 'string', multiple: true, default: [] },
        rounds: { type: 'string', default: '5' },
        seconds: { type: 'string', default: '1' },
        'warm-up': { type: 'string', default: '5' },
        beside: { type: 'string' },
        profile: { type: 'boolean', default: false },
        keep: { type: 'boolean', default: false },
        list: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    })
  } catch (error) {
    throw new UsageError((error as Error).message)
  }
}

function whole(name: string, text: string, min: number, max: number): number {
  const value = Number(text)
  if (!Number.isInteger(value) || value < min || value > max) {
    throw new UsageError(`${name} is ${text}, and should be a whole number from ${min} to ${max}`)
  }
  return value
}

function readBeside(text: string): BenchOptions['beside'] {
  const equals = text.indexOf('=')
  if (equals < 1 || equals === text.length - 1)
    throw new UsageError(`--beside is ${text}, and should be NAME=DIRECTORY`)
  return { name: text.slice(0, equals), directory: resolve(text.slice(equals + 1)) }
}
