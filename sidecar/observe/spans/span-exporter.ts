import type { TraceConfig, WorkloadConfig } from '../../../contract/workload-config.ts'
import type { BackendCalls, BackendResponse, CallFailure } from '../../../model/backend-calls.ts'
import { formatTraceParent } from '../../../model/trace-context.ts'
import type { CancelTimer, Clock } from '../../../runtime/clock.ts'
import type { Log } from '../../../runtime/log.ts'
import type { Metrics } from '../../../runtime/metrics.ts'
import type { RequestRecord } from '../../serve/observation.ts'
import { encodeRequest, encodeSpan, type SpanResource, type TracedRecord } from './otlp.ts'

/** Spans that wait to be sent. What comes when there are as many is dropped, and counted. */
export const MAX_QUEUED_SPANS = 4_096

/** Spans that are sent in one request, and the bytes of them: whoever asks may send 1 MiB. */
export const MAX_BATCH_SPANS = 512
const MAX_BATCH_CHARS = 786_432

/** Milliseconds that the first span of a batch waits for more. */
const GATHER_MS = 1_000

/** Milliseconds that one request to the collector may take. */
const SEND_MS = 5_000

/** How often one batch is sent at most, and the milliseconds before it is sent again, doubled each time. */
const MAX_TRIES = 3
const RETRY_MS = 1_000

/** Milliseconds at most that a collector has us wait. */
const MAX_RETRY_MS = 30_000

/** Milliseconds that spans are given at the end of a process. */
export const LAST_SPANS_MS = 1_000

/** What a collector asks to be sent again (OTLP 1, "Failures"). */
const RETRYABLE: ReadonlySet<number> = new Set([429, 502, 503, 504])

/** Sends the spans of requests to the collector that the configuration names, when there is time. */
export interface SpanExporter {
  /** Takes what is recorded of a request; everything else it ignores. Never throws, never blocks. */
  add(record: RequestRecord): void
  /** Sends what waits, once, and resolves when that is over or `deadlineMs` have passed. What is added afterwards is dropped. */
  close(deadlineMs: number): Promise<void>
  /** Spans that wait or are on their way. */
  readonly size: number
}

export interface SpanExporterDeps {
  readonly calls: BackendCalls
  readonly config: () => WorkloadConfig | undefined
  readonly resource: SpanResource
  readonly clock: Clock
  readonly log: Log
  readonly metrics: Metrics
}

/** Why a span got nowhere. */
type Loss = 'queue-full' | 'rejected' | 'unreachable' | 'no-collector' | 'ended'

/**
 * One batch is on its way at a time, so that a slow collector costs a bounded memory and no more than one connection. A request is
 * never held up: it is told of when it is over.
 */
export function createSpanExporter(deps: SpanExporterDeps): SpanExporter {
  const { calls, config, resource, clock, log, metrics } = deps
  const sent = metrics
    .counter({ name: 'hauberk_spans_exported_total', help: 'Spans that the collector has taken.' })
    .handle()
  const losses = metrics.counter({
    name: 'hauberk_spans_dropped_total',
    help: 'Spans that were recorded and lost, by why.',
    labels: ['reason'],
  })
  let queue: TracedRecord[] = []
  let batch: readonly string[] = []
  let cancelTimer: CancelTimer | undefined
  let isClosed = false
  /** Whether the log says that spans are being lost. */
  let isTold = false
  let idle: (() => void)[] = []

  const lose = (reason: Loss, count: number, detail?: string) => {
    losses.handle({ reason }).add(count)
    if (isTold) return
    isTold = true
    log.warn('spans are lost', { 'event.reason': detail === undefined ? reason : `${reason}: ${detail}` })
  }

  const wait = (ms: number, run: () => void) => {
    const onTime = () => {
      cancelTimer = undefined
      run()
    }
    cancelTimer = clock.setTimer(ms, onTime, { keepAlive: false })
  }

  /** Takes the next spans from the queue. */
  const nextBatch = (upstreams: WorkloadConfig['upstreams']): readonly string[] => {
    const spans: string[] = []
    let chars = 0
    let taken = 0
    for (const record of queue) {
      if (taken === MAX_BATCH_SPANS || chars > MAX_BATCH_CHARS) break
      const { upstream } = record
      const expected = Object.hasOwn(upstreams, upstream) ? upstreams[upstream]?.spiffeIds : undefined
      const span = encodeSpan(record, expected)
      chars += span.length
      taken += 1
      spans.push(span)
    }
    queue = queue.slice(taken)
    return spans
  }

  const sendNext = (): void => {
    const current = config()
    const collector = current?.trace?.collector
    if (queue.length === 0) return becomeIdle()
    if (current === undefined || collector === undefined) {
      // Tracing was switched off meanwhile.
      lose('no-collector', queue.length)
      queue = []
      return becomeIdle()
    }
    batch = nextBatch(current.upstreams)
    void send(collector, encodeRequest(resource, current.identity.spiffeId, batch), 1)
  }

  const send = async (collector: NonNullable<TraceConfig['collector']>, text: string, tries: number): Promise<void> => {
    const said = await calls.call(collector.upstream, {
      method: 'POST',
      path: collector.path,
      authority: collector.host,
      headers: [
        ['content-type', 'application/json'],
        ['user-agent', `hauberk/${resource.release}`],
        // The collector may have a sidecar that records requests: these are none of a trace.
        ['traceparent', NOT_RECORDED],
      ],
      body: Buffer.from(text),
      timeoutMs: SEND_MS,
      maxResponseBytes: 65_536,
    })
    if (said.kind === 'response' && said.status >= 200 && said.status < 300) {
      const rejected = Math.min(rejectedSpans(said.body), batch.length)
      sent.add(batch.length - rejected)
      if (rejected > 0) lose('rejected', rejected, 'the collector takes a part')
      else isTold = false
    } else if (isRetryable(said) && tries < MAX_TRIES && !isClosed) {
      return wait(retryMs(said, tries), () => void send(collector, text, tries + 1))
    } else {
      const reason = said.kind === 'response' && !RETRYABLE.has(said.status) ? 'rejected' : 'unreachable'
      lose(reason, batch.length, said.kind === 'response' ? `the collector answers ${said.status}` : said.detail)
    }
    batch = []
    if (queue.length === 0) becomeIdle()
    else if (isClosed || queue.length >= MAX_BATCH_SPANS) sendNext()
    else wait(GATHER_MS, sendNext)
  }

  const becomeIdle = () => {
    const waiting = idle
    idle = []
    for (const resolve of waiting) resolve()
  }

  return {
    add(record) {
      const { trace } = record
      if (trace === undefined || !trace.isRecorded) return
      if (isClosed) return lose('ended', 1)
      if (queue.length >= MAX_QUEUED_SPANS) return lose('queue-full', 1)
      queue.push(record as TracedRecord)
      if (batch.length > 0) return
      if (queue.length === MAX_BATCH_SPANS) {
        cancelTimer?.()
        wait(0, sendNext)
      } else if (cancelTimer === undefined) wait(GATHER_MS, sendNext)
    },
    async close(deadlineMs) {
      isClosed = true
      if (queue.length === 0 && batch.length === 0) return
      const isOver = new Promise<void>((resolve) => idle.push(resolve))
      // Not while one is under way; one that waits to be sent again does so once more, now.
      if (cancelTimer !== undefined) {
        cancelTimer()
        cancelTimer = undefined
        if (batch.length > 0) lose('ended', batch.length)
        batch = []
        sendNext()
      }
      const late = new Promise<void>((resolve) => {
        const cancel = clock.setTimer(deadlineMs, () => {
          lose('ended', queue.length + batch.length)
          queue = []
          batch = []
          resolve()
        })
        void isOver.then(cancel)
      })
      await Promise.race([isOver, late])
    },
    get size() {
      return queue.length + batch.length
    },
  }
}

const NOT_RECORDED = formatTraceParent({ traceId: `${'0'.repeat(31)}1`, parentId: `${'0'.repeat(15)}1`, flags: 0 })

/** `partialSuccess` of an ExportTraceServiceResponse. */
function rejectedSpans(body: Uint8Array): number {
  try {
    const said = JSON.parse(Buffer.from(body).toString()) as { partialSuccess?: { rejectedSpans?: unknown } } | null
    const rejected = Number(said?.partialSuccess?.rejectedSpans ?? 0)
    return Number.isSafeInteger(rejected) && rejected > 0 ? rejected : 0
  } catch {
    return 0
  }
}

function isRetryable(said: BackendResponse | CallFailure): boolean {
  return said.kind === 'response' ? RETRYABLE.has(said.status) : said.reason !== 'too-large'
}

/** What the collector asks for (`Retry-After`, in seconds), or longer each time. */
function retryMs(said: BackendResponse | CallFailure, tries: number): number {
  const asked = said.kind === 'response' ? said.headers.find(([name]) => name === 'retry-after')?.[1] : undefined
  const seconds = asked !== undefined && /^[0-9]{1,6}$/.test(asked) ? Number(asked) : undefined
  return Math.min(seconds === undefined ? RETRY_MS * 2 ** (tries - 1) : seconds * 1_000, MAX_RETRY_MS)
}
