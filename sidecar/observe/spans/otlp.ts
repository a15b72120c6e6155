import type { RequestRecord } from '../../serve/observation.ts'
import type { Trace } from '../../serve/trace.ts'

/** A request that is recorded. */
export type TracedRecord = RequestRecord & { readonly trace: Trace }

/** Whose spans they are. */
export interface SpanResource {
  /** Version of the program. */
  readonly release: string
  /** `namespace/name`. */
  readonly workload: string
  /** `namespace/name`. */
  readonly pod: string
}

/** Characters of a path that a span holds; more say nothing more. */
export const MAX_PATH_LENGTH = 512

/** Methods that semantic conventions know (RFC 9110, and PATCH of RFC 5789); any other is `_OTHER`, so that nobody makes names of spans. */
const METHODS: ReadonlySet<string> = new Set([
  'CONNECT',
  'DELETE',
  'GET',
  'HEAD',
  'OPTIONS',
  'PATCH',
  'POST',
  'PUT',
  'TRACE',
])

const SERVER = 2
const CLIENT = 3
const ERROR = 2

/**
 * One request as a span of OTLP 1 in JSON, named and described by the semantic conventions for HTTP (OpenTelemetry 1.23 and later).
 *
 * A gateway's and an inbound request is a server's span, one on the way out a client's. There is nothing of a query, a header, a
 * token or a user in it. `expected` are the SPIFFE ids of whom the upstream must be.
 */
export function encodeSpan(record: TracedRecord, expected: readonly string[] | undefined): string {
  const { trace, refusal, direction, method, status, route } = record
  const isClient = direction === 'outbound'
  const known = METHODS.has(method) ? method : 'HTTP'
  const path = record.path.slice(0, MAX_PATH_LENGTH)
  const error = errorOf(record, isClient)
  const attributes: Attribute[] = [
    text('http.request.method', METHODS.has(method) ? method : '_OTHER'),
    ...(METHODS.has(method) ? [] : [text('http.request.method_original', method.slice(0, 32))]),
    text('url.path', path),
    text('server.address', record.host),
    ...(isClient ? [text('url.full', `http://${record.host}${path}`)] : [text('client.address', record.clientIp)]),
    ...(isClient ? networkPeer(record.endpoint) : optional('hauberk.endpoint', record.endpoint)),
    ...(status === 0 ? [] : [whole('http.response.status_code', status)]),
    whole('http.request.body.size', record.bytesIn),
    whole('http.response.body.size', record.bytesOut),
    ...optional('error.type', error),
    text('hauberk.decision.id', record.decisionId),
    text('hauberk.direction', direction),
    text('hauberk.outcome', record.outcome),
    ...(route === '' ? [] : [text('hauberk.route', route)]),
    ...(record.upstream === '' ? [] : [text('hauberk.upstream', record.upstream)]),
    ...(expected === undefined || expected.length === 0 ? [] : [texts('hauberk.upstream.spiffe_ids', expected)]),
    ...optional('hauberk.peer.spiffe_id', record.spiffeId),
    ...optional('hauberk.rule', refusal === undefined ? record.rule : refusal.rule),
    ...optional('hauberk.denial', refusal?.denial),
    ...(refusal === undefined || refusal.origins.length === 0 ? [] : [texts('hauberk.policies', refusal.origins)]),
    ...(record.retried ? [{ key: 'hauberk.retried', value: { boolValue: true } }] : []),
  ]
  return JSON.stringify({
    traceId: trace.traceId,
    spanId: trace.spanId,
    ...(trace.parentId !== undefined && { parentSpanId: trace.parentId }),
    name: route === '' ? known : `${known} ${route}`,
    kind: isClient ? CLIENT : SERVER,
    startTimeUnixNano: nanoseconds(record.timeMs),
    endTimeUnixNano: nanoseconds(record.timeMs + record.durationMs),
    attributes,
    ...(trace.outside !== undefined && {
      links: [{ traceId: trace.outside.traceId, spanId: trace.outside.parentId }],
    }),
    status: error === undefined ? {} : { code: ERROR },
  })
}

/** An ExportTraceServiceRequest of spans that {@link encodeSpan} made. */
export function encodeRequest(
  { release, workload, pod }: SpanResource,
  spiffeId: string,
  spans: readonly string[],
): string {
  const [namespace = '', name = workload] = workload.split('/')
  const resource = JSON.stringify({
    attributes: [
      text('service.name', name),
      text('service.namespace', namespace),
      text('service.instance.id', pod),
      text('k8s.namespace.name', namespace),
      text('k8s.pod.name', pod.slice(pod.indexOf('/') + 1)),
      text('hauberk.spiffe_id', spiffeId),
    ],
  })
  const scope = JSON.stringify({ name: 'hauberk', version: release })
  return `{"resourceSpans":[{"resource":${resource},"scopeSpans":[{"scope":${scope},"spans":[${spans.join(',')}]}]}]}`
}

/** What went wrong, in the eyes of a server (5xx) or of a client (4xx too); undefined: nothing. */
function errorOf({ status, outcome, refusal }: RequestRecord, isClient: boolean): string | undefined {
  if (status >= (isClient ? 400 : 500)) return refusal?.denial ?? String(status)
  if (outcome === 'failed' || outcome === 'aborted') return refusal?.denial ?? outcome
  return undefined
}

type Attribute = Readonly<{ key: string; value: Readonly<Record<string, unknown>> }>

function text(key: string, value: string): Attribute {
  return { key, value: { stringValue: value } }
}

/** 64 bits are a string in the JSON of protocol buffers. */
function whole(key: string, value: number): Attribute {
  return { key, value: { intValue: String(value) } }
}

function texts(key: string, values: readonly string[]): Attribute {
  return { key, value: { arrayValue: { values: values.map((value) => ({ stringValue: value })) } } }
}

function optional(key: string, value: string | undefined): readonly Attribute[] {
  return value === undefined ? [] : [text(key, value)]
}

function networkPeer(endpoint: string | undefined): readonly Attribute[] {
  const at = endpoint?.lastIndexOf(':') ?? -1
  if (endpoint === undefined || at === -1) return []
  return [
    text('network.peer.address', endpoint.slice(0, at).replace(/^\[|\]$/g, '')),
    whole('network.peer.port', Number(endpoint.slice(at + 1))),
  ]
}

/** Microseconds is all that a clock of ours has; as a number, nanoseconds would lose some. */
function nanoseconds(milliseconds: number): string {
  return `${Math.round(milliseconds * 1_000)}000`
}
