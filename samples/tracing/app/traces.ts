/** A span as the collector shows it. */
export interface Span {
  readonly traceId: string
  readonly spanId: string
  readonly parentSpanId: string | undefined
  readonly name: string
  readonly kind: 'server' | 'client' | 'other'
  /** Of the resource: whose span it is. */
  readonly service: string
  readonly startNs: bigint
  readonly endNs: bigint
  readonly status: string
}

/** The spans of an ExportTraceServiceRequest in JSON. What is no span is left out. */
export function readSpans(body: unknown): readonly Span[] {
  return listAt(body, 'resourceSpans').flatMap((group) => {
    const service = String(attributeOf(memberOf(group, 'resource'), 'service.name') ?? 'unknown')
    return listAt(group, 'scopeSpans').flatMap((scope) => listAt(scope, 'spans').map((span) => readSpan(span, service)))
  })
}

/** One trace as a tree: whoever has caused a span stands above it. Spans whose parent is missing stand at the left. */
export function drawTrace(spans: readonly Span[]): string {
  const known = new Set(spans.map(({ spanId }) => spanId))
  const inOrder = [...spans].sort((a, b) => (a.startNs < b.startNs ? -1 : a.startNs > b.startNs ? 1 : 0))
  const draw = (span: Span, depth: number): readonly string[] => {
    const { service, kind, name, status, startNs, endNs, spanId } = span
    const milliseconds = (Number(endNs - startNs) / 1e6).toFixed(1)
    const line = `${'  '.repeat(depth)}${service} ${kind} ${name} ${status} ${milliseconds} ms`
    return [
      line,
      ...inOrder.filter(({ parentSpanId }) => parentSpanId === spanId).flatMap((each) => draw(each, depth + 1)),
    ]
  }
  const roots = inOrder.filter(({ parentSpanId }) => parentSpanId === undefined || !known.has(parentSpanId))
  return [`trace ${spans[0]?.traceId}`, ...roots.flatMap((root) => draw(root, 1))].join('\n')
}

function readSpan(span: unknown, service: string): Span {
  const text = (name: string) => String(memberOf(span, name) ?? '')
  const parent = text('parentSpanId')
  const kind = memberOf(span, 'kind')
  return {
    traceId: text('traceId'),
    spanId: text('spanId'),
    parentSpanId: parent === '' ? undefined : parent,
    name: text('name'),
    kind: kind === 2 ? 'server' : kind === 3 ? 'client' : 'other',
    service,
    startNs: BigInt(text('startTimeUnixNano') || 0),
    endNs: BigInt(text('endTimeUnixNano') || 0),
    status: String(attributeOf(span, 'http.response.status_code') ?? '-'),
  }
}

function attributeOf(holder: unknown, key: string): unknown {
  const found = listAt(holder, 'attributes').find((each) => memberOf(each, 'key') === key)
  return Object.values(Object(memberOf(found, 'value')))[0]
}

function listAt(holder: unknown, name: string): readonly unknown[] {
  const list = memberOf(holder, name)
  return Array.isArray(list) ? list : []
}

function memberOf(holder: unknown, name: string): unknown {
  return typeof holder === 'object' && holder !== null ? (holder as Readonly<Record<string, unknown>>)[name] : undefined
}
