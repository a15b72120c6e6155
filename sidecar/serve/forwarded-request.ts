import type { Facts } from '../../model/request.ts'
import type { Denial, HeaderPair } from '../../model/verdict.ts'
import type { CompiledRoute } from '../compile/pipeline.ts'
import type { ByteStream } from '../upstream/byte-stream.ts'
import type { Downstream } from './downstream.ts'
import type { Engine } from './engine.ts'
import type { Provenance } from './forwarded.ts'
import type { HeaderLines } from './http1/header-lines.ts'
import type { RequestHead } from './http1/message.ts'
import type { ResponseToWrite } from './http1/write-head.ts'
import type { Outcome, Refusal } from './observation.ts'
import type { Trace } from './trace.ts'

/** A request that was let through: what is known of it, and what its exchange does for its forwarding. */
export interface ForwardedRequest {
  readonly engine: Engine
  readonly downstream: Downstream
  readonly head: RequestHead
  readonly route: CompiledRoute
  readonly facts: Facts
  readonly provenance: Provenance
  /** Undefined where no traces are kept. */
  readonly trace: Trace | undefined
  /** Milliseconds since the epoch when it began, and monotonic ones. */
  readonly timeMs: number
  readonly startMs: number
  readonly isGrpc: boolean
  /** Milliseconds between two reads of its body. */
  readonly bodyMs: number
  readonly isRequestRead: boolean
  readonly isResponseHeadSent: boolean
  setDeadline(delayMs: number, nowMs?: number): void
  clearDeadline(): void
  /** Ends it with an answer of ours, or breaks off what was answered so far. */
  refuse(denial: Denial, options: RefuseOptions): void
  abort(outcome: Outcome, refusal: Refusal | undefined): void
  /** There is a response to pass on; undefined: there is not, and another try follows. */
  onStatus(status: number | undefined): void
  /** With `message` the head goes first. False: no more is taken for now. Undefined: it could not be written, and all is over. */
  passOn(
    message: ResponseToWrite | undefined,
    slices: readonly Buffer[],
    done: boolean,
    trailers: HeaderLines | undefined,
  ): boolean | undefined
  onResponseDone(nowMs: number): void
  onSwitched(message: ResponseToWrite, upstream: ByteStream, early: Buffer): void
  onFault(error: unknown): void
  /** A mistake of ours in it ends this request and no other. */
  guard(run: () => void): void
}

export interface RefuseOptions {
  readonly outcome?: Outcome
  readonly refusal?: Refusal
  readonly headers?: readonly HeaderPair[]
  readonly detail?: string
  /** The rest of the request did not come in time, or cannot be read. */
  readonly isBroken?: boolean
}
