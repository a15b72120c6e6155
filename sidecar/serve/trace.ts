import type { TraceConfig } from '../../contract/workload-config.ts'
import {
  formatTraceParent,
  isSampled,
  isTraceState,
  parseTraceParent,
  SAMPLED,
  type TraceParent,
} from '../../model/trace-context.ts'
import type { HeaderPair } from '../../model/verdict.ts'
import type { HeaderLines } from './http1/header-lines.ts'

/** Where one request is in its trace. There is one only where traces are kept (`Pipeline.trace`). */
export interface Trace {
  /** 32 hex digits. What `RequestView.traceId` says, and what goes on to the next hop. */
  readonly traceId: string
  /** Of this hop: 16 hex digits. */
  readonly spanId: string
  /** The span before this one, of whoever sent the request; undefined: the trace begins here. */
  readonly parentId: string | undefined
  /** Whether this hop is recorded. */
  readonly isRecorded: boolean
  /** What somebody outside calls the same request. Nobody has checked it, and it is passed on to nobody. */
  readonly outside: TraceParent | undefined
  /** Headers that the next hop is sent in place of those received; undefined: those received go on as they are. */
  readonly set: readonly HeaderPair[] | undefined
  /** Headers that the next hop is not sent. */
  readonly remove: readonly string[] | undefined
}

/** Whether the sender's word on the trace counts: a verified peer of the mesh, or the workload itself. */
export type Sender = 'mesh' | 'outside'

/**
 * Reads the trace of a request (W3C Trace Context, 4.3), or begins one. From outside no trace id is taken over, whoever may have
 * made it up (T34); neither is what it says of being recorded. `newId` gives 16 hex digits that nobody can guess.
 */
export function traceOf(
  headers: HeaderLines,
  sender: Sender,
  { samplingRatio, collector }: TraceConfig,
  newId: () => string,
): Trace {
  const received = receivedTrace(headers)
  const spanId = newId()
  if (sender === 'outside' || received === undefined) {
    const traceId = newId() + newId()
    const flags = isSampled(traceId, samplingRatio) ? SAMPLED : 0
    return {
      traceId,
      spanId,
      parentId: undefined,
      isRecorded: flags !== 0 && collector !== undefined,
      outside: received,
      set: [['traceparent', formatTraceParent({ traceId, parentId: spanId, flags })]],
      // It belongs to the traceparent that is replaced (3.3.1).
      remove: TRACE_STATE,
    }
  }
  const { traceId, parentId, flags } = received
  const isRecorded = (flags & SAMPLED) !== 0 && collector !== undefined
  const states = headers.all('tracestate')
  return {
    traceId,
    spanId,
    parentId,
    isRecorded,
    outside: undefined,
    // Who records nothing is no parent of anything.
    set: isRecorded ? [['traceparent', formatTraceParent({ traceId, parentId: spanId, flags })]] : undefined,
    remove: states.length === 0 || isTraceState(states) ? undefined : TRACE_STATE,
  }
}

/** Undefined as well where there are two: nobody can say which counts. */
function receivedTrace(headers: HeaderLines): TraceParent | undefined {
  const index = headers.indexOf('traceparent')
  if (index === -1 || headers.indexOf('traceparent', index + 1) !== -1) return undefined
  return parseTraceParent(headers.value(index))
}

const TRACE_STATE: readonly string[] = Object.freeze(['tracestate'])
