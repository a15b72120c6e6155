import { createServer, type IncomingMessage } from 'node:http'
import { type CollectorOptions, readOptions } from './options.ts'
import { drawTrace, readSpans, type Span } from './traces.ts'

/** Traces that are remembered, and spans of each; the oldest traces are forgotten first. */
const MAX_TRACES = 200
const MAX_SPANS = 500

const MAX_BODY_BYTES = 2_000_000

/** Milliseconds without a new span after which a trace is printed. Every proxy sends what it has once a second. */
const QUIET_MS = 1_500

/** Takes spans by OTLP over HTTP, in JSON, and prints each trace as a tree. */
function start({ host, port }: CollectorOptions): void {
  const traces = new Map<string, Span[]>()
  const waiting = new Map<string, NodeJS.Timeout>()
  const print = (traceId: string) => {
    waiting.delete(traceId)
    console.log(drawTrace(traces.get(traceId) ?? []))
  }
  const add = (span: Span) => {
    const { traceId } = span
    const spans = traces.get(traceId) ?? []
    traces.set(traceId, spans)
    if (traces.size > MAX_TRACES) traces.delete(traces.keys().next().value ?? '')
    if (spans.length < MAX_SPANS) spans.push(span)
    clearTimeout(waiting.get(traceId))
    waiting.set(traceId, setTimeout(print, QUIET_MS, traceId))
  }
  const server = createServer((request, response) => {
    if (request.method !== 'POST' || request.url !== '/v1/traces') return void response.writeHead(404).end()
    readJson(request).then(
      (body) => {
        readSpans(body).forEach(add)
        response.writeHead(200, { 'content-type': 'application/json' }).end('{}')
      },
      () => response.writeHead(400).end(),
    )
  })
  server.listen(port, host)
  process.on('SIGTERM', () => process.exit(0))
}

async function readJson(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length
    if (bytes > MAX_BODY_BYTES) throw new Error('too long')
    chunks.push(chunk)
  }
  return JSON.parse(Buffer.concat(chunks).toString())
}

start(readOptions())
