import { parseArgs } from 'node:util'
import type { WorldSize } from './world.ts'

export interface ScaleOptions {
  readonly size: WorldSize
  /** Processes that the sidecars are spread over. */
  readonly processes: number
  /** Edits of the policy for all. */
  readonly rounds: number
  /** Sidecars that renew at once. */
  readonly renewals: number
  /** Give the operator a CPU that the sidecars do not use. */
  readonly pin: boolean
  readonly help: boolean
}

/** A command line that says nothing that can be done. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}

export const USAGE = `npm run bench:scale -- [options]

  --sidecars N     sidecars (default 1,000); five of each workload
  --processes N    processes that they are in (default: one for 2,500)
  --rounds N       edits of the policy for all (default 5)
  --renewals N     sidecars that renew their certificates at once (default 1,000, or all if they are fewer)
  --no-pin         let the operator and the sidecars share all CPUs
  --help

Example:
  npm run bench:scale -- --sidecars 1000
`

const PODS_PER_WORKLOAD = 5
const SIDECARS_PER_PROCESS = 2_500
const RENEWALS = 1_000

export function readScaleOptions(args: readonly string[]): ScaleOptions {
  const values = parse(args)
  const sidecars = whole('--sidecars', values.sidecars, PODS_PER_WORKLOAD, 20_000)
  if (sidecars % PODS_PER_WORKLOAD !== 0) throw new UsageError(`--sidecars is no multiple of ${PODS_PER_WORKLOAD}`)
  const processes = values.processes ?? String(Math.ceil(sidecars / SIDECARS_PER_PROCESS))
  return {
    size: { workloads: sidecars / PODS_PER_WORKLOAD, podsPerWorkload: PODS_PER_WORKLOAD },
    processes: whole('--processes', processes, 1, 64),
    rounds: whole('--rounds', values.rounds, 1, 100),
    renewals: whole('--renewals', values.renewals ?? String(Math.min(RENEWALS, sidecars)), 1, sidecars),
    pin: !values['no-pin'],
    help: values.help,
  }
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        sidecars: { type: 'string', default: '1000' },
        processes: { type: 'string' },
        rounds: { type: 'string', default: '5' },
        renewals: { type: 'string' },
        'no-pin': { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    }).values
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
