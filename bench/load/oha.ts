import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { pathOf } from '../measure/programs.ts'
import { type Figures, type Program, type Stage, VoidRound, type Work } from '../scenario.ts'
import { checkAnswers } from './check.ts'
import { EXTRA_SECONDS, measureSteady } from './steady.ts'
import { HTTP1_ALPN } from './tools.ts'

/** Requests that are sent when their time has come, whether or not those before them were answered. */
export interface RateLoad {
  /** Requests a second, all connections together. */
  readonly rate: number
  readonly connections: number
  readonly path: string
  /** No TLS. */
  readonly isPlain?: boolean
  /** Count what is not answered with 200 as `lost`, in place of making the round void. */
  readonly countsLost?: boolean
  /** Seconds of load for each of the command line's. Default: 1. */
  readonly stretch?: number
}

export const OHA_PROGRAMS: readonly Program[] = ['oha', 'gcc', 'taskset', 'nginx']

/**
 * An open loop: what a request waits for counts from the moment when it was due, so that a proxy which stalls is not asked
 * less meanwhile (no coordinated omission). Requests of the first moments, when connections are made, do not count.
 */
export function fixedRate(load: RateLoad, beside?: (stage: Stage, seconds: number) => Promise<void>): Work {
  return {
    programs: OHA_PROGRAMS,
    async check(stage) {
      const { tls } = await checkAnswers(stage, load)
      return load.isPlain ? undefined : tls
    },
    measure: (stage, seconds) => measureFixedRate(stage, seconds * (load.stretch ?? 1), load, beside),
  }
}

/** Seconds at the start that do not count. */
const SETTLE_SECONDS = 0.5

async function measureFixedRate(
  stage: Stage,
  seconds: number,
  load: RateLoad,
  beside: ((stage: Stage, seconds: number) => Promise<void>) | undefined,
): Promise<Figures> {
  const { contestant, directory, world } = stage
  const database = join(directory, 'oha.sqlite')
  const report = join(directory, 'oha.json')
  await rm(database, { force: true })
  let lost = 0
  const steady = await measureSteady(stage, seconds, async (allSeconds) => {
    await Promise.all([oha(stage, allSeconds, load, database, report), beside?.(stage, allSeconds - EXTRA_SECONDS)])
    const { statusCodeDistribution, errorDistribution } = JSON.parse(await readFile(report, 'utf8')) as Report
    const { 200: good = 0, ...bad } = statusCodeDistribution
    lost = sumOf(bad) + sumOf(errorDistribution)
    if (lost > 0 && !load.countsLost) {
      throw new VoidRound(`${contestant.name}: ${JSON.stringify({ good, ...bad, ...errorDistribution })}`)
    }
  })
  const durations = readDurations(database, world.backend.bodyOf(load.path).length)
  return {
    ...steady,
    lost,
    sent: durations.length,
    p50: percentile(durations, 0.5),
    p99: percentile(durations, 0.99),
    p999: percentile(durations, 0.999),
  }
}

interface Report {
  readonly statusCodeDistribution: Readonly<Record<string, number>>
  readonly errorDistribution: Readonly<Record<string, number>>
}

function sumOf(counts: Readonly<Record<string, number>>): number {
  return Object.values(counts).reduce((total, count) => total + count, 0)
}

async function oha(
  { tools, world, contestant, peer }: Stage,
  seconds: number,
  { rate, connections, path, isPlain = false }: RateLoad,
  database: string,
  report: string,
): Promise<void> {
  const token = contestant.tokens === 0 ? [] : ['-H', `Authorization: Bearer ${world.tokens.valid[0]}`]
  await tools.run(
    [
      ...[pathOf('oha'), '-z', `${seconds}s`, '-w', '-q', String(rate), '--latency-correction'],
      ...['-c', String(connections), '--insecure', '--no-tui', '--disable-compression', '--output-format', 'json'],
      ...['-o', report, '--db-url', database, ...token],
      `${isPlain ? 'http' : 'https'}://127.0.0.1:${peer.port}${path}`,
    ],
    { alpn: HTTP1_ALPN },
  )
}

/** Milliseconds from when each request was due to the end of its answer, in order. */
function readDurations(database: string, bodyBytes: number): readonly number[] {
  const opened = new DatabaseSync(database, { readOnly: true })
  try {
    const rows = opened
      .prepare(
        `SELECT (end - start_latency_correction) * 1000 AS ms, status, len_bytes FROM oha
         WHERE start_latency_correction >= (SELECT min(start_latency_correction) FROM oha) + ? ORDER BY ms`,
      )
      .all(SETTLE_SECONDS) as unknown as readonly { ms: number; status: number; len_bytes: number }[]
    const good = rows.filter(({ status }) => status === 200)
    const wrong = good.find(({ len_bytes: bytes }) => bytes !== bodyBytes)
    if (wrong !== undefined) throw new VoidRound(`a body has ${wrong.len_bytes} octets in place of ${bodyBytes}`)
    if (good.length === 0) throw new VoidRound('no request was answered')
    return good.map(({ ms }) => ms)
  } finally {
    opened.close()
  }
}

/** The value that `share` of the sorted values do not exceed. */
export function percentile(sorted: readonly number[], share: number): number {
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN
}
