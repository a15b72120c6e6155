import { ecsFormat } from '@elastic/ecs-pino-format'
import { pino } from 'pino'
import type { Clock } from './clock.ts'
import type { LogSink } from './log-sink.ts'
import { redact } from './redact.ts'

/** From the chattiest to the gravest; `silent` prints nothing. */
export const LOG_LEVELS = ['debug', 'info', 'warn', 'error', 'silent'] as const
export type LogLevel = (typeof LOG_LEVELS)[number]

/** Facts, by their ECS name where there is one (`source.ip`, `user.name`); an `Error` goes under `err`. */
export type LogFields = Readonly<Record<string, unknown>>

/**
 * A message that is spelled out in the source, so that lines can be counted and alerted on: a built string does not
 * type-check. Facts belong in the fields.
 */
export type Constant<M extends string> = Record<never, never> extends Record<M, 1> ? never : M

/** Prints one event: what happened, and the facts. Never throws, never blocks. */
export type LogMethod = <M extends string>(message: Constant<M>, fields?: LogFields) => void

/** Where a part of the program says what happened. */
export interface Log {
  readonly debug: LogMethod
  readonly info: LogMethod
  readonly warn: LogMethod
  readonly error: LogMethod
  /** Whether a line of this level would be printed: for facts that cost something to gather. */
  isEnabled(level: Exclude<LogLevel, 'silent'>): boolean
  /** The same log with these facts on every line. */
  child(fields: LogFields): Log
}

/** What a log needs. */
export interface LogOptions {
  readonly level: LogLevel
  /** `service.name` on every line: `hauberk-operator`, `hauberk-sidecar`. */
  readonly service: string
  /** More facts for every line. */
  readonly fields?: LogFields
  readonly sink: LogSink
  readonly clock: Clock
}

/**
 * One JSON line an event, in the Elastic Common Schema, through pino on this thread.
 *
 * Fields under secret-bearing names and values that look like secrets are replaced (`redact.ts`). A line that cannot be
 * built is dropped and counted by the sink; the caller never notices.
 */
export function createLog({ level, service, fields = {}, sink, clock }: LogOptions): Log {
  const ecs = ecsFormat({ serviceName: service, apmIntegration: false })
  const toEcs = ecs.formatters?.log ?? ((line) => line)
  const logger = pino(
    {
      ...ecs,
      level,
      base: { pid: process.pid, ...redact(fields) },
      timestamp: () => `,"@timestamp":"${new Date(clock.now()).toISOString()}"`,
      formatters: { ...ecs.formatters, log: (line) => redact(withCause(toEcs(line), line['err'])) },
    },
    sink,
  )
  return wrap(logger, sink)
}

/** Says nothing. */
export const silentLog: Log = {
  debug() {},
  info() {},
  warn() {},
  error() {},
  isEnabled: () => false,
  child: () => silentLog,
}

function wrap(logger: pino.Logger, sink: LogSink): Log {
  const method =
    (level: 'debug' | 'info' | 'warn' | 'error'): LogMethod =>
    (message, fields) => {
      try {
        if (fields === undefined) logger[level](message)
        else logger[level](fields, message)
      } catch {
        sink.drop()
      }
    }
  return {
    debug: method('debug'),
    info: method('info'),
    warn: method('warn'),
    error: method('error'),
    isEnabled: (level) => logger.isLevelEnabled(level),
    child: (fields) => wrap(logger.child(redact(fields)), sink),
  }
}

/** ECS has no place for causes, and the cause is what one looks for. */
function withCause(line: Record<string, unknown>, err: unknown): Record<string, unknown> {
  const error = line['error']
  if (!(err instanceof Error) || typeof error !== 'object' || error === null) return line
  const code = (err as { readonly code?: unknown }).code
  return {
    ...line,
    error: {
      ...error,
      ...(typeof code === 'string' || typeof code === 'number' ? { code: String(code) } : {}),
      ...(err.cause === undefined ? {} : { cause: err.cause }),
    },
  }
}
