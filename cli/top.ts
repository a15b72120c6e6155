import { type Command, InvalidArgumentError, Option } from 'commander'
import { type EdgesReport, edgesSince, type MeshEdge } from '../operator/live/mesh-edges.ts'
import { sleep, systemClock } from '../runtime/clock.ts'
import { addMeshOptions, type MeshFlags, WHICH_MESH } from './choose-mesh.ts'
import { endSignal } from './end-signal.ts'
import { type EdgesSource, openEdges } from './live/ask-edges.ts'
import { describeGaps, formatRates } from './live/edges-text.ts'
import { printDocument } from './output/document.ts'
import { addOutputOption, type OutputFormat } from './output-format.ts'
import { type Output, painterOf } from './paint.ts'
import { printableIn } from './printable.ts'

const ORDERS = ['requests', 'denied', 'failed', 'p99'] as const

interface TopOptions extends MeshFlags {
  readonly output: OutputFormat
  readonly interval: number
  readonly count?: number
  readonly sort: (typeof ORDERS)[number]
}

/** `hauberk top`: what goes over which edge right now. */
export function defineTop(command: Command): void {
  addMeshOptions(addOutputOption(command))
    .option('--interval <seconds>', 'how long is counted for each table, 1 to 60', parseInterval, 2)
    .option(
      '--count <tables>',
      'how many tables (default: until it is ended, and one where it is no terminal)',
      parseCount,
    )
    .addOption(new Option('--sort <by>', 'what stands first').choices(ORDERS).default('requests'))
    .addHelpText('after', HELP)
    .action(async (options: TopOptions) => {
      const source = await openEdges(options)
      try {
        await follow(source, options, process.stdout, endSignal({ exitWithParent: false }))
      } finally {
        source.close()
      }
    })
}

const HELP = `
Examples:
  hauberk top                            what goes on, anew every two seconds, until ctrl-c
  hauberk top -n shop --sort denied      where most is refused
  hauberk top --count 1 --interval 10 -o json

Latencies are of requests as the called side's sidecar sees them, to within 19 %. See hauberk edges for the words of the columns,
and hauberk tap for single requests.

${WHICH_MESH}

Exit codes: 0 told, 1 failed, 2 wrong usage.`

/** Home, and clear to the end: what is shown is replaced without a flicker. */
const REPLACE = '\u001b[H\u001b[J'

async function follow(source: EdgesSource, options: TopOptions, out: Output, signal: AbortSignal): Promise<void> {
  const { output, interval, sort } = options
  const isScreen = output === 'table' && out.isTTY === true
  const count = options.count ?? (out.isTTY === true ? Number.POSITIVE_INFINITY : 1)
  let before = await source.ask()
  let askedAtMs = systemClock.monotonic()
  for (let table = 0; table < count; table++) {
    await sleep(systemClock, interval * 1_000, { signal }).catch(() => {})
    if (signal.aborted) return
    const report = await source.ask()
    const nowMs = systemClock.monotonic()
    const seconds = (nowMs - askedAtMs) / 1_000
    const edges = busiest(edgesSince(before.edges, report.edges), sort)
    before = report
    askedAtMs = nowMs
    if (output !== 'table') {
      printDocument({ ...report, seconds, edges }, output, out)
      continue
    }
    const text = formatRates(printableIn(edges), seconds, painterOf(out))
    const gaps = describeGaps(report).map((gap) => `${gap}\n`)
    if (isScreen) out.write(`${REPLACE}${header(report, interval)}\n\n${text}${gaps.join('')}`)
    else out.write(`${table === 0 ? '' : '\n'}${text}`)
    if (!isScreen) for (const gap of gaps) process.stderr.write(gap)
  }
}

function header({ told }: EdgesReport, interval: number): string {
  return `hauberk top: ${told} ${told === 1 ? 'sidecar' : 'sidecars'}, the last ${interval} s, ctrl-c ends`
}

/** Those that anything goes over. */
function busiest(edges: readonly MeshEdge[], sort: TopOptions['sort']): readonly MeshEdge[] {
  const of = (edge: MeshEdge) => (sort === 'p99' ? (edge.p99Ms ?? 0) : edge[sort])
  return edges
    .filter(({ requests, denied, connections, open }) => requests + denied + connections + open > 0)
    .sort((a, b) => of(b) - of(a))
}

function parseInterval(text: string): number {
  const seconds = Number(text)
  if (!(seconds >= 1 && seconds <= 60)) throw new InvalidArgumentError('It is 1 to 60 seconds.')
  return seconds
}

function parseCount(text: string): number {
  const count = Number(text)
  if (!Number.isInteger(count) || count < 1) throw new InvalidArgumentError('It is a number, 1 at least.')
  return count
}
