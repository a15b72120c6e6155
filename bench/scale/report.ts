import type { Environment } from '../measure/environment.ts'
import { summarise } from '../measure/statistics.ts'
import { formatTable } from '../measure/table.ts'
import type { ScaleResult } from './measure.ts'
import type { OperatorUsage } from './operator-messages.ts'

/** What is asked of one operator with 1,000 and with 10,000 sidecars. */
export const GOALS = {
  bytesPerSidecar: 150_000,
  toAllP99Ms: 1_000,
  stormMs: 40_000,
  stampedeMs: 60_000,
} as const

export function formatMachine({
  cpu,
  cpus,
  memoryGiB,
  system,
  kernel,
  loadAverage,
  node,
  openssl,
  commit,
}: Environment): string {
  return [
    `${cpus} x ${cpu}, ${memoryGiB} GiB, ${system}, Linux ${kernel}, load average ${loadAverage} before the start`,
    `Hauberk ${commit} on Node ${node} (OpenSSL ${openssl})`,
  ].join('\n')
}

export function formatResult(result: ScaleResult): string {
  const { sidecars, memory, connect, toAll, toOne, storm, stampede } = result
  const perSidecar = (of: (usage: OperatorUsage) => number, usage: OperatorUsage) =>
    `${((of(usage) - of(memory.before)) / sidecars / 1_000).toFixed(1)} kB`
  const bytes = bytesPerSidecar(result)
  const p99 = summarise(toAll.map(({ latency }) => latency.p99))
  const p50 = summarise(toAll.map(({ latency }) => latency.p50))
  const programmed = summarise(toAll.map(({ programmedMs }) => programmedMs))
  const rows: readonly (readonly string[])[] = [
    ['operator, no sidecars: RSS, heap', sizes(memory.before), '', ''],
    ['operator, all connected: RSS, heap', sizes(memory.atRest), '', ''],
    [
      'memory per sidecar',
      `${(bytes / 1_000).toFixed(1)} kB`,
      `<= ${GOALS.bytesPerSidecar / 1_000} kB`,
      verdict(bytes <= GOALS.bytesPerSidecar),
    ],
    ['  of it on the heap', perSidecar((usage) => usage.heapUsed, memory.atRest), '', ''],
    ['  by RSS alone, just connected', perSidecar(({ rss }) => rss, memory.asItIs), '', ''],
    ['  after storm and renewals', perSidecar(lasting, memory.atTheEnd), '', ''],
    ['connecting, operator CPU per sidecar', `${(connect.operatorCpuMs / sidecars).toFixed(2)} ms`, '', ''],
    ['one policy to all, p50 over sidecars', range(p50), '', ''],
    [
      'one policy to all, p99 over sidecars',
      range(p99),
      `<= ${GOALS.toAllP99Ms} ms`,
      verdict(p99.median <= GOALS.toAllP99Ms),
    ],
    ['one policy to all, until Programmed', range(programmed), '', ''],
    ['one policy to all, operator CPU', range(summarise(toAll.map(({ operatorCpuMs }) => operatorCpuMs))), '', ''],
    [
      'one policy to all, CPU of all sidecars',
      range(summarise(toAll.map(({ sidecarsCpuMs }) => sidecarsCpuMs))),
      '',
      '',
    ],
    ['one policy to one workload, max', `${toOne.latency.max.toFixed(0)} ms`, '', ''],
    ['sidecars of others that were sent something', String(toOne.others), '0', verdict(toOne.others === 0)],
    ['reconnect storm: operator away', seconds(storm.downMs), '', ''],
    [
      'reconnect storm: from kill until all are current',
      seconds(storm.current.max),
      `<= ${seconds(GOALS.stormMs)}`,
      verdict(storm.current.max <= GOALS.stormMs),
    ],
    ['reconnect storm: from listening until all are current', seconds(storm.sinceListeningMs), '', ''],
    [
      'reconnect storm: p50, p99 from kill until current',
      `${seconds(storm.current.p50)}, ${seconds(storm.current.p99)}`,
      '',
      '',
    ],
    ['reconnect storm: attempts that failed', String(storm.failedAttempts), '', ''],
    [
      'reconnect storm: CPU of the operator, of all sidecars',
      `${seconds(storm.operatorCpuMs)}, ${seconds(storm.sidecarsCpuMs)}`,
      '',
      '',
    ],
    ['reconnect storm: highest RSS', megabytes(storm.peakRss), '', ''],
    [
      `${stampede.renewals} renewals at once: p50, p99`,
      `${seconds(stampede.took.p50)}, ${seconds(stampede.took.p99)}`,
      '',
      '',
    ],
    [
      `${stampede.renewals} renewals at once: last`,
      seconds(stampede.took.max),
      `<= ${seconds(GOALS.stampedeMs)}`,
      verdict(stampede.took.max <= GOALS.stampedeMs),
    ],
    ['expired meanwhile', String(stampede.expired), '0', verdict(stampede.expired === 0)],
    [
      'attempts; answered 429, with Retry-After',
      `${stampede.attempts}; ${stampede.sentAway}, ${stampede.sentAwayWithTime}`,
      '',
      '',
    ],
    ['not reached, refused', `${stampede.unreachable}, ${stampede.refused}`, '', ''],
    ['renewals, operator CPU each', `${(stampede.operatorCpuMs / stampede.renewals).toFixed(2)} ms`, '', ''],
  ]
  return formatTable([`${sidecars} sidecars`, 'measured', 'asked', ''], rows)
}

/** What the kernel counts as the operator's at rest, with and without sidecars. */
export function bytesPerSidecar({ sidecars, memory }: ScaleResult): number {
  return (lasting(memory.atRest) - lasting(memory.before)) / sidecars
}

/** V8 sets aside more or less for young objects, up to a bound, and sidecars do not change that. */
function lasting({ rss, youngSpace }: OperatorUsage): number {
  return rss - youngSpace
}

function sizes({ rss, heapUsed }: OperatorUsage): string {
  return `${megabytes(rss)}, ${megabytes(heapUsed)}`
}

function verdict(isReached: boolean): string {
  return isReached ? 'reached' : 'missed'
}

function range({ median, min, max }: { readonly median: number; readonly min: number; readonly max: number }): string {
  return `${median.toFixed(0)} ms [${min.toFixed(0)} - ${max.toFixed(0)}]`
}

function seconds(ms: number): string {
  return `${(ms / 1_000).toFixed(1)} s`
}

function megabytes(bytes: number): string {
  return `${(bytes / 1_000_000).toFixed(0)} MB`
}
