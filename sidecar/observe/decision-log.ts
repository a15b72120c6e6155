import { type SpiffeId, serviceAccountOf } from '../../model/spiffe-id.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { LogSink } from '../../runtime/log-sink.ts'
import type { ConnectionRecord, Refusal, RequestRecord } from '../serve/observation.ts'
import { isAuthentication } from './offence.ts'
import { OnceASecond } from './once-a-second.ts'
import { createPseudonyms, type Pseudonyms } from './pseudonym.ts'

/**
 * Which decisions are written: every one, refusals and would-be refusals only, or none.
 *
 * What the mesh itself refuses, before any policy was asked, is written once a second for each reason at every level, and
 * with `denied` so is all the rest: nobody fills a log by being refused.
 */
export type DecisionLogLevel = 'all' | 'denied' | 'off'

/** `event.dataset` of every line, by which Filebeat and `hauberk dev` tell decisions from the rest of the log. */
export const DECISION_DATASET = 'hauberk.decision'

export interface DecisionLogOptions {
  readonly level: DecisionLogLevel
  /** `namespace/name` of the workload. */
  readonly workload: string
  readonly sink: LogSink
  readonly clock: Clock
  /** Is told what is written once a second for each reason, in place of the sink: another thread gathers it. */
  readonly tellThinned?: (refusals: ThinnedRefusals) => void
}

/** A line that stands for several refusals of one reason. It can be posted to another thread. */
export interface ThinnedRefusals {
  readonly reason: string
  readonly line: Readonly<Record<string, unknown>>
  readonly standsFor: number
}

export interface DecisionLog {
  request(record: RequestRecord): void
  connection(record: ConnectionRecord): void
  /** What another thread has thinned. */
  thinned(refusals: ThinnedRefusals): void
  /** Writes what has waited for its second to be over. */
  flush(): void
}

type Line = Readonly<Record<string, unknown>>

/**
 * One line a request or connection, but for refusals of a reason that was just written, in the Elastic Common Schema 8. It is written past the logger: at this rate a
 * general one costs more than the decision did. What is written was never secret: see `RequestRecord`.
 */
export function createDecisionLog({ level, workload, sink, clock, tellThinned }: DecisionLogOptions): DecisionLog {
  const wanted = (refusal: Refusal | undefined, wouldDeny: Refusal | undefined) =>
    level === 'all' || (level === 'denied' && (refusal !== undefined || wouldDeny !== undefined))
  const print = (line: Line) => sink.write(`${JSON.stringify(line)}\n`)
  const pseudonyms = createPseudonyms()
  const thinned = new OnceASecond<() => Line>(clock, (lineOf, standsFor, reason) => {
    if (tellThinned !== undefined) tellThinned({ reason, line: lineOf(), standsFor })
    else print(standsFor === 1 ? lineOf() : { ...lineOf(), 'hauberk.refusals': standsFor })
  })
  /** Who may not be told of each time is kept as what the line is made of: most of those are never made. */
  const write = (kind: string, { direction, refusal, wouldDeny }: Decided, lineOf: () => Line) => {
    const told = refusal ?? (level === 'denied' ? wouldDeny : undefined)
    if (told === undefined || (level === 'all' && told.filter !== undefined)) return print(lineOf())
    const { denial, filter, rule, origins, detail } = told
    const isPolicy = filter !== undefined
    thinned.add([kind, direction, denial, ...(isPolicy ? [rule, ...origins] : [detail])].join(' '), lineOf)
  }

  return {
    request(record) {
      if (!wanted(record.refusal, record.wouldDeny)) return
      write('request', record, () => requestLine(record, workload, pseudonyms))
    },
    connection(record) {
      if (!wanted(record.refusal, record.wouldDeny)) return
      write('connection', record, () => connectionLine(record, workload))
    },
    thinned: ({ reason, line, standsFor }) => thinned.add(reason, () => line, standsFor),
    flush: () => thinned.flush(),
  }
}

/** A request as a line says it. */
export function requestLine(record: RequestRecord, workload: string, pseudonyms: Pseudonyms): Line {
  return {
    '@timestamp': new Date(record.timeMs).toISOString(),
    'log.level': record.refusal === undefined ? 'info' : 'warn',
    message: 'request',
    'ecs.version': ECS_VERSION,
    'event.dataset': DECISION_DATASET,
    'event.kind': 'event',
    'event.category': ['web', ...(isAuthentication(record.refusal?.filter) ? ['authentication'] : [])],
    'event.action': record.refusal?.denial ?? `request-${record.outcome}`,
    'event.type': [record.refusal === undefined ? 'allowed' : 'denied'],
    'event.outcome': record.outcome === 'allowed' || record.outcome === 'answered' ? 'success' : 'failure',
    'event.duration': Math.round(record.durationMs * 1_000_000),
    'event.id': record.decisionId,
    'http.request.id': record.requestId,
    ...(record.trace !== undefined && { 'trace.id': record.trace.traceId, 'span.id': record.trace.spanId }),
    'http.request.method': record.method,
    'http.request.body.bytes': record.bytesIn,
    'http.response.status_code': record.status,
    'http.response.body.bytes': record.bytesOut,
    'url.domain': record.host,
    'url.path': record.path,
    'source.ip': record.clientIp,
    ...sourceOf(record.spiffeId),
    ...(record.subject !== undefined && {
      ...{ 'user.id': record.subject, 'user.name': record.subject, 'user.hash': pseudonyms.of(record.subject) },
    }),
    ...ruleOf(record.refusal, record.rule),
    'service.target.name': record.upstream,
    'hauberk.workload': workload,
    'hauberk.direction': record.direction,
    'hauberk.listener': record.listener,
    'hauberk.route': record.route,
    'hauberk.outcome': record.outcome,
    ...(record.endpoint !== undefined && { 'hauberk.endpoint': record.endpoint }),
    ...(record.issuer !== undefined && { 'hauberk.issuer': record.issuer }),
    ...(record.client !== undefined && { 'hauberk.client': record.client }),
    ...(record.retried && { 'hauberk.retried': true }),
    ...dryRunOf(record.wouldDeny),
  }
}

/** A connection as a line says it. */
export function connectionLine(record: ConnectionRecord, workload: string): Line {
  return {
    '@timestamp': new Date(record.timeMs).toISOString(),
    'log.level': record.refusal === undefined ? 'info' : 'warn',
    message: 'connection',
    'ecs.version': ECS_VERSION,
    'event.dataset': DECISION_DATASET,
    'event.kind': 'event',
    'event.category': ['network'],
    'event.action': record.refusal?.denial ?? `connection-${record.outcome}`,
    'event.type': ['connection', record.refusal === undefined ? 'allowed' : 'denied'],
    'event.outcome': record.outcome === 'allowed' ? 'success' : 'failure',
    'event.duration': Math.round(record.durationMs * 1_000_000),
    'event.id': record.decisionId,
    'source.ip': record.clientIp,
    'source.bytes': record.bytesIn,
    'destination.bytes': record.bytesOut,
    ...sourceOf(record.spiffeId),
    ...ruleOf(record.refusal, record.rule),
    'service.target.name': record.upstream,
    'hauberk.workload': workload,
    'hauberk.direction': record.direction,
    'hauberk.listener': record.listener,
    'hauberk.outcome': record.outcome,
    ...(record.endpoint !== undefined && { 'hauberk.endpoint': record.endpoint }),
    ...(record.database !== undefined && {
      'hauberk.database.user': record.database.user,
      'hauberk.database.name': record.database.database,
    }),
    ...(record.plaintext && { 'hauberk.plaintext': true }),
    ...dryRunOf(record.wouldDeny),
  }
}

type Decided = Pick<RequestRecord | ConnectionRecord, 'direction' | 'refusal' | 'wouldDeny'>

const ECS_VERSION = '8.10.0'

function sourceOf(spiffeId: string | undefined): Readonly<Record<string, string>> {
  if (spiffeId === undefined) return {}
  const account = serviceAccountOf(spiffeId as SpiffeId)
  return {
    'tls.client.subject': spiffeId,
    ...(account && { 'service.origin.name': `${account.namespace}/${account.serviceAccount}` }),
  }
}

function ruleOf(refusal: Refusal | undefined, allowing: string | undefined): Readonly<Record<string, unknown>> {
  if (refusal === undefined) return allowing === undefined ? {} : { 'rule.name': allowing }
  return {
    'hauberk.denial': refusal.denial,
    ...(refusal.filter !== undefined && { 'rule.category': refusal.filter }),
    ...(refusal.rule !== undefined && { 'rule.name': refusal.rule }),
    ...(refusal.origins.length > 0 && { 'rule.ruleset': refusal.origins.join(' ') }),
    ...(refusal.detail !== undefined && { 'event.reason': refusal.detail }),
  }
}

function dryRunOf(wouldDeny: Refusal | undefined): Readonly<Record<string, unknown>> {
  if (wouldDeny === undefined) return {}
  return {
    'hauberk.dry_run': {
      denial: wouldDeny.denial,
      ...(wouldDeny.rule !== undefined && { rule: wouldDeny.rule }),
      policies: wouldDeny.origins,
    },
  }
}
