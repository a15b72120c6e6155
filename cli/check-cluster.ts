import { parseDuration } from '../model/duration.ts'
import { type CheckReport, reportOf } from './cluster/check/report.ts'
import { formatReport } from './cluster/check/report-text.ts'
import type { Cluster } from './cluster/cluster.ts'
import { collectFacts } from './cluster/collect.ts'
import { CommandError, EXIT } from './exit-code.ts'
import { printDocument } from './output/document.ts'
import type { OutputFormat } from './output-format.ts'
import { painterOf } from './paint.ts'

export interface ClusterCheckOptions {
  /** The only namespace that is looked at. */
  readonly namespace?: string | undefined
  readonly output: OutputFormat
  /** A duration, as `2m`: until then errors may go away. */
  readonly wait?: string | undefined
}

/** Milliseconds between two looks of `--wait`. */
const AGAIN_MS = 2_000

/** Checks a mesh on a cluster and prints what was found. Ends the command where there is no API server to ask. */
export async function checkCluster(cluster: Cluster, options: ClusterCheckOptions): Promise<CheckReport['summary']> {
  const { namespace, output, wait } = options
  const untilMs = performance.now() + durationOf(wait)
  let report = await look(cluster, namespace)
  while (report.summary.errors > 0 && performance.now() + AGAIN_MS < untilMs) {
    const { promise, resolve } = Promise.withResolvers<void>()
    setTimeout(resolve, AGAIN_MS)
    await promise
    report = await look(cluster, namespace)
  }
  if (output !== 'table') printDocument(report, output, process.stdout)
  else process.stdout.write(formatReport(report, painterOf(process.stdout)))
  if (isAway(report)) throw new CommandError(EXIT.failure)
  return report.summary
}

async function look(cluster: Cluster, scope: string | undefined): Promise<CheckReport> {
  return reportOf(await collectFacts(cluster, scope, Date.now()))
}

/** Nothing of a mesh was seen at all: that is no finding. */
function isAway({ sections }: CheckReport): boolean {
  return sections.some(({ checks }) => checks.some(({ id, outcome }) => id === 'api-reachable' && outcome === 'error'))
}

function durationOf(wait: string | undefined): number {
  if (wait === undefined) return 0
  const parsed = parseDuration(wait)
  if (!parsed.ok) throw new CommandError(EXIT.usage, `hauberk check: --wait ${wait} is no duration, such as 90s or 5m`)
  return parsed.value
}
