import { type Command, InvalidArgumentError } from 'commander'
import { addMeshOptions, type MeshFlags, WHICH_MESH } from './choose-mesh.ts'
import { isTelling, parseDecision } from './dev/decision.ts'
import { formatDecision } from './dev/live-line.ts'
import { endSignal } from './end-signal.ts'
import { CommandError, EXIT } from './exit-code.ts'
import { openTapSources, type TapSources } from './live/tap-sources.ts'
import { escapeJson } from './output/document.ts'
import { type Output, painterOf } from './paint.ts'
import { printable } from './printable.ts'

interface TapOptions extends MeshFlags {
  readonly output: 'text' | 'json'
  readonly from?: string
  readonly path?: string
  readonly method?: string
  readonly denied?: true
  readonly maxRate: number
  readonly count?: number
}

/** `hauberk tap`: decisions as they are made. */
export function defineTap(command: Command): void {
  addMeshOptions(
    command
      .argument(
        '[workload...]',
        'whose: namespace/name, a name, or gateway; on a cluster also pod/NAME, service/NAME (default: all)',
      )
      .option(
        '--from <caller>',
        'of this service account (namespace/name), SPIFFE ID or IP address; outside: who has shown no certificate of the mesh',
      )
      .option('--path <prefix>', 'whose path begins with this')
      .option('--method <method>', 'of this method')
      .option('--denied', 'refusals, and what a dry run would refuse')
      .option(
        '--max-rate <number>',
        'decisions a second of each sidecar, 1 to 1000; how many are beyond is said',
        parseRate,
        100,
      )
      .option('--count <number>', 'end after so many', parseCount)
      .option('-o, --output <format>', 'text, or json: a line each as the decision log has it', parseFormat, 'text'),
  )
    .addHelpText('after', HELP)
    .action(async (words: readonly string[], options: TapOptions) => {
      const sources = await openTapSources(words, options)
      try {
        await follow(sources, options, { isOfAll: words.length === 0, out: process.stdout })
      } finally {
        sources.close()
      }
    })
}

const HELP = `
Examples:
  hauberk tap orders                              what comes to orders, and what it calls, as it is decided
  hauberk tap --denied                            every refusal of the mesh; hauberk explain ID says more of one
  hauberk tap gateway --path /api/ --method POST
  hauberk tap orders --from shop/storefront -o json | jq .

Without a workload, a request that goes through is shown once, by the sidecar in front of the service. Bodies, tokens, headers and
queries are nowhere in it. While nobody taps, nothing is kept. What comes faster than --max-rate, or than it is read, is not shown,
and its number is said.

${WHICH_MESH}

On a cluster it needs create on pods/exec where the sidecars are. At most 16 sidecars are tapped at once, and each has 8 taps.
Exit codes: 0 ended by you, 1 failed, 2 wrong usage.`

interface Follow {
  /** No workload was named. */
  readonly isOfAll: boolean
  readonly out: Output
}

async function follow({ sources, omitted }: TapSources, options: TapOptions, { isOfAll, out }: Follow): Promise<void> {
  const { output, count = Number.POSITIVE_INFINITY } = options
  if (omitted > 0) process.stderr.write(`${omitted} sidecars are left out: name workloads, or a namespace\n`)
  const paint = painterOf(out)
  const enough = new AbortController()
  const signal = AbortSignal.any([endSignal({ exitWithParent: false }), enough.signal])
  let shown = 0
  const show = (text: string) => {
    if (shown >= count) return
    out.write(text)
    if (++shown >= count) enough.abort()
  }
  const onLine = (of: string) => (line: string) => {
    if (line === '') return
    const lost = lostIn(line)
    if (lost !== undefined) return void process.stderr.write(`${printable(of)}: ${lost} more were not shown\n`)
    const decision = parseDecision(line)
    if (decision === undefined || (isOfAll && !isTelling(decision))) return
    show(output === 'json' ? `${escapeJson(line)}\n` : `${formatDecision(decision, paint)}\n`)
  }
  const path = pathOf(options)
  const outcomes = await Promise.allSettled(
    sources.map(async (source) => {
      try {
        await source.follow(path, onLine(source.of), signal)
      } catch (error) {
        if (error instanceof CommandError) process.stderr.write(`${printable(error.message)}\n`)
        throw error
      }
    }),
  )
  const [broken] = outcomes.flatMap((outcome) => (outcome.status === 'rejected' ? [outcome.reason] : []))
  if (broken === undefined) return
  if (broken instanceof CommandError) throw new CommandError(EXIT.failure)
  throw broken
}

function pathOf({ from, path, method, denied, maxRate }: TapOptions): string {
  const query = new URLSearchParams({ rate: String(maxRate) })
  for (const [name, value] of Object.entries({ from, path, method })) if (value !== undefined) query.set(name, value)
  if (denied === true) query.set('denied', 'true')
  return `/tap?${query}`
}

/** How many decisions a line says are missing. */
function lostIn(line: string): number | undefined {
  const found = /^\{"message":"lost","hauberk\.lost":(\d{1,15})\}$/.exec(line)?.[1]
  return found === undefined ? undefined : Number(found)
}

function parseRate(text: string): number {
  const rate = Number(text)
  if (!Number.isInteger(rate) || rate < 1 || rate > 1_000) throw new InvalidArgumentError('It is 1 to 1000.')
  return rate
}

function parseCount(text: string): number {
  const count = Number(text)
  if (!Number.isInteger(count) || count < 1) throw new InvalidArgumentError('It is a number, 1 at least.')
  return count
}

function parseFormat(text: string): TapOptions['output'] {
  if (text !== 'text' && text !== 'json') throw new InvalidArgumentError('It is text or json.')
  return text
}
