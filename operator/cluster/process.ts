import { type Clock, systemClock } from '../../runtime/clock.ts'
import { createHealth, type Health, type HealthCondition } from '../../runtime/health.ts'
import { createLog, type Log } from '../../runtime/log.ts'
import { createFileSink } from '../../runtime/log-sink.ts'
import { createMetrics, type Metrics } from '../../runtime/metrics.ts'
import { addProcessMetrics } from '../../runtime/process-metrics.ts'
import { runtimeWarning } from '../../runtime/runtime-check.ts'
import { createReflectorMetrics, type ReflectorMetrics } from '../kubernetes/reflector-metrics.ts'
import type { ClusterOptions } from './options.ts'

/** What every part of the process is handed. */
export interface OperatorProcess {
  readonly clock: Clock
  /** Uniform in [0, 1). */
  readonly random: () => number
  readonly log: Log
  readonly metrics: Metrics
  readonly reflectorMetrics: ReflectorMetrics
  readonly health: Health
  readonly conditions: {
    /** Everything was read from the API server once. */
    readonly resources: HealthCondition
    /** Sessions and certificates. */
    readonly meshServer: HealthCondition
    /** The API server has our webhooks with their path and the roots. */
    readonly webhooks: HealthCondition
    /** The operator was not told to end. */
    readonly staying: HealthCondition
  }
  /** Prints a line that is finished, with its newline, between those of the log. */
  print(line: string): void
  flushLog(): Promise<void>
}

export function openProcess({ pod, logLevel }: Pick<ClusterOptions, 'pod' | 'logLevel'>): OperatorProcess {
  const clock = systemClock
  const sink = createFileSink({ fd: 1, clock })
  const fields = { 'orchestrator.resource.name': pod.name }
  const log = createLog({ level: logLevel, service: 'hauberk-operator', fields, sink, clock })
  const warning = runtimeWarning(process.version)
  if (warning !== undefined) log.warn('this runtime is known to be vulnerable', { 'event.reason': warning })
  const metrics = createMetrics()
  addProcessMetrics(metrics)
  const health = createHealth()
  const conditions = {
    resources: health.condition('resources', 'ready'),
    meshServer: health.condition('mesh-server', 'ready'),
    webhooks: health.condition('webhooks', 'ready'),
    staying: health.condition('staying', 'ready'),
  }
  conditions.staying.pass()
  return {
    clock,
    random: Math.random,
    log,
    metrics,
    reflectorMetrics: createReflectorMetrics(metrics),
    health,
    conditions,
    print: (line) => sink.write(line),
    flushLog: () => sink.flush(),
  }
}
