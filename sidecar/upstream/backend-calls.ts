import type {
  BackendCalls,
  BackendRequest,
  BackendResponse,
  CallFailure,
  CallFailureReason,
} from '../../model/backend-calls.ts'
import type { HeaderPair } from '../../model/verdict.ts'
import type { Clock } from '../../runtime/clock.ts'
import { HeaderLines } from '../serve/http1/header-lines.ts'
import { NO_BODY, type ResponseHead } from '../serve/http1/message.ts'
import type { RequestToWrite } from '../serve/http1/write-head.ts'
import { ConnectError } from './connect.ts'
import type { Deadline, Deadlines } from './deadlines.ts'
import type { Gate, GateWaiter } from './gate.ts'
import { type EndpointPool, type OpenedStream, PoolFullError } from './pool.ts'
import type { UpstreamFailure, UpstreamStream, UpstreamStreamUser } from './upstream-stream.ts'
import type { Upstreams } from './upstreams.ts'

/** Calls of one worker that are under way at once, to all upstreams together and to one of them. */
export const MAX_CALLS = 512
export const MAX_CALLS_OF_UPSTREAM = 256

/** Bytes of a body that is sent. */
export const MAX_CALL_BODY_BYTES = 1_048_576

/** 1xx responses to one call; more are no answer. */
const MAX_INTERIM = 8

export interface BackendCallsDeps {
  readonly upstreams: Upstreams
  /** Brings the upstreams up to date. False: nothing is served yet. */
  readonly update: () => boolean
  readonly clock: Clock
  readonly deadlines: Deadlines
}

/** The calls of filters, over the same pools, balance and circuit breakers as what is forwarded. */
export class UpstreamCalls implements BackendCalls {
  readonly #deps: BackendCallsDeps
  readonly #underWay = new Set<Call>()
  /** By upstream, while there are any. */
  readonly #ofUpstream = new Map<string, number>()

  constructor(deps: BackendCallsDeps) {
    this.#deps = deps
  }

  /** How many are under way. */
  get size(): number {
    return this.#underWay.size
  }

  async call(upstream: string, request: BackendRequest, signal?: AbortSignal): Promise<BackendResponse | CallFailure> {
    const said = await this.#call(upstream, request, signal)
    this.#deps.upstreams.events.called(upstream, said.kind === 'response' ? 'answered' : said.reason)
    return said
  }

  close(): void {
    for (const call of this.#underWay) call.fail('abandoned', 'the proxy ends')
  }

  #call(
    upstream: string,
    request: BackendRequest,
    signal: AbortSignal | undefined,
  ): CallFailure | Promise<BackendResponse | CallFailure> {
    if (signal?.aborted === true) return failure('abandoned', 'nobody waits for it')
    const of = this.#ofUpstream.get(upstream) ?? 0
    if (this.#underWay.size >= MAX_CALLS || of >= MAX_CALLS_OF_UPSTREAM) {
      return failure('overloaded', `${of} calls are under way`)
    }
    if ((request.body?.length ?? 0) > MAX_CALL_BODY_BYTES)
      return failure('too-large', 'the body of the call is too long')
    const group = this.#deps.update() ? this.#deps.upstreams.get(upstream) : undefined
    if (group === undefined) return failure('no-upstream', `there is no upstream ${upstream}`)
    this.#ofUpstream.set(upstream, of + 1)
    return new Promise((resolve) => {
      const call = new Call(upstream, request, signal, this.#deps, (said) => {
        this.#underWay.delete(call)
        const left = (this.#ofUpstream.get(upstream) ?? 1) - 1
        if (left === 0) this.#ofUpstream.delete(upstream)
        else this.#ofUpstream.set(upstream, left)
        resolve(said)
      })
      this.#underWay.add(call)
      call.begin(group.gate)
    })
  }
}

/** One call on its way, and what comes back of it. */
class Call implements UpstreamStreamUser, GateWaiter {
  readonly #upstream: string
  readonly #message: RequestToWrite
  readonly #body: readonly Buffer[]
  readonly #timeoutMs: number
  readonly #maxResponseBytes: number
  readonly #signal: AbortSignal | undefined
  readonly #deps: BackendCallsDeps
  readonly #deadline: Deadline
  readonly #done: (said: BackendResponse | CallFailure) => void
  #gate: Gate | undefined
  #isInGate = false
  #pool: EndpointPool | undefined
  #connecting: { abort(): void } | undefined
  #stream: UpstreamStream | undefined
  #hasRetried = false
  #sentAtMs = 0
  #interim = 0
  #status = 0
  #headers: readonly HeaderPair[] = NO_HEADERS
  readonly #slices: Buffer[] = []
  #bytes = 0
  #isOver = false

  constructor(
    upstream: string,
    { method, path, authority, headers, body, timeoutMs, maxResponseBytes }: BackendRequest,
    signal: AbortSignal | undefined,
    deps: BackendCallsDeps,
    done: (said: BackendResponse | CallFailure) => void,
  ) {
    this.#upstream = upstream
    this.#body = body === undefined || body.length === 0 ? [] : [Buffer.from(body)]
    this.#message = {
      method,
      target: path,
      host: authority ?? upstream.slice(upstream.indexOf('/') + 1),
      headers: NO_LINES,
      framing: body === undefined ? NO_BODY : { kind: 'length', bytes: body.length },
      edits: { set: headers },
    }
    this.#timeoutMs = timeoutMs
    this.#maxResponseBytes = maxResponseBytes
    this.#signal = signal
    this.#deps = deps
    this.#deadline = deps.deadlines.create(() => {
      this.#pool?.health.fail(deps.clock.monotonic())
      this.fail('timeout', `no answer within ${timeoutMs} ms`)
    })
    this.#done = done
  }

  begin(gate: Gate | undefined): void {
    this.#deps.deadlines.set(this.#deadline, this.#timeoutMs)
    this.#signal?.addEventListener('abort', this.#onAbort)
    if (gate === undefined) return this.#pick()
    const said = gate.enter(this)
    if (said === 'full') {
      this.#deps.upstreams.events.overflowed(this.#upstream, 'requests')
      return this.fail('overloaded', 'its circuit breaker is open')
    }
    this.#gate = gate
    if (said === 'in') this.onAdmitted()
  }

  onAdmitted(): void {
    this.#isInGate = true
    this.#pick()
  }

  fail(reason: CallFailureReason, detail: string): void {
    this.#end(failure(reason, detail))
  }

  onInterim(): void {
    this.#interim += 1
    if (this.#interim > MAX_INTERIM) this.#failEndpoint('protocol', 'too many interim responses')
  }

  onResponseHead({ status, headers }: ResponseHead): void {
    const nowMs = this.#deps.clock.monotonic()
    const pool = this.#pool!
    pool.latency.observe(nowMs - this.#sentAtMs, nowMs)
    if (status < 500) pool.health.succeed(nowMs)
    else pool.health.failToServe(nowMs)
    this.#status = status
    this.#headers = [...headers]
  }

  onResponseBody(slices: readonly Buffer[], done: boolean, trailers: HeaderLines | undefined): void {
    for (const slice of slices) {
      this.#bytes += slice.length
      if (this.#bytes > this.#maxResponseBytes) {
        return this.fail('too-large', `the answer is longer than ${this.#maxResponseBytes} bytes`)
      }
      this.#slices.push(Buffer.from(slice))
    }
    if (!done) return
    const stream = this.#stream
    this.#stream = undefined
    stream?.release(this.#deps.clock.monotonic())
    this.#end({
      kind: 'response',
      status: this.#status,
      headers: this.#headers,
      body: Buffer.concat(this.#slices),
      trailers: trailers === undefined ? NO_HEADERS : [...trailers],
    })
  }

  onSwitched(_head: ResponseHead, bytes: { destroy(): void }): void {
    this.#stream = undefined
    bytes.destroy()
    this.fail('protocol', 'it switched protocols')
  }

  onUpstreamBroken({ kind, detail, request }: UpstreamFailure): void {
    this.#stream = undefined
    const pool = this.#pool!
    // A kept connection that turns out to be closed says nothing of the endpoint: a new one will.
    if (request !== 'seen' && !this.#hasRetried) {
      this.#hasRetried = true
      return this.#open(pool)
    }
    this.#failEndpoint(kind, detail)
  }

  onUpstreamDrain(): void {}

  onFault(error: unknown): void {
    this.fail('protocol', error instanceof Error ? error.message : String(error))
  }

  readonly #onAbort = (): void => this.fail('abandoned', 'nobody waits for it any more')

  #pick(): void {
    const nowMs = this.#deps.clock.monotonic()
    const pool = this.#deps.upstreams.get(this.#upstream)?.pick(nowMs)
    if (pool === undefined) return this.fail('no-upstream', `${this.#upstream} has no endpoint`)
    this.#attempt(pool, nowMs)
  }

  #attempt(pool: EndpointPool, nowMs: number): void {
    this.#pool = pool
    pool.health.ask(nowMs)
    const kept = pool.takeStream(nowMs, 'http2')
    if (kept === undefined) this.#open(pool)
    else this.#send(kept)
  }

  #open(pool: EndpointPool): void {
    this.#connecting = pool.openStream('http2', (opened) => this.#onOpened(opened))
  }

  #onOpened(opened: OpenedStream): void {
    this.#connecting = undefined
    if (opened instanceof PoolFullError) return this.fail('overloaded', opened.message)
    if (opened instanceof ConnectError) return this.#onUnreachable(opened)
    if (this.#isOver) opened.drop()
    else this.#send(opened)
  }

  /** Another endpoint is asked once. */
  #onUnreachable(error: ConnectError): void {
    const nowMs = this.#deps.clock.monotonic()
    if (this.#isOver) return
    this.#pool!.health.fail(nowMs)
    const other = this.#hasRetried ? undefined : this.#deps.upstreams.get(this.#upstream)?.pick(nowMs, this.#pool)
    if (other === undefined) return this.fail('unreachable', error.message)
    this.#hasRetried = true
    this.#attempt(other, nowMs)
  }

  #send(stream: UpstreamStream): void {
    this.#stream = stream
    stream.user = this
    this.#sentAtMs = this.#deps.clock.monotonic()
    const sent = stream.sendHead(this.#message, this.#body, true, undefined)
    if (typeof sent !== 'boolean') this.fail('protocol', 'the call cannot be written')
  }

  #failEndpoint(reason: CallFailureReason, detail: string): void {
    this.#pool!.health.fail(this.#deps.clock.monotonic())
    this.fail(reason, detail)
  }

  /** Once. Whatever is still under way is given up. */
  #end(said: BackendResponse | CallFailure): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#deps.deadlines.remove(this.#deadline)
    this.#signal?.removeEventListener('abort', this.#onAbort)
    const gate = this.#gate
    this.#gate = undefined
    if (this.#isInGate) gate?.leave()
    else gate?.cancel(this)
    const connecting = this.#connecting
    this.#connecting = undefined
    const stream = this.#stream
    this.#stream = undefined
    connecting?.abort()
    stream?.drop()
    this.#done(said)
  }
}

/** The calls of a data plane that is yet to be made; until then nobody is asked. */
export function callsOf(plane: () => { readonly calls: BackendCalls } | undefined): BackendCalls {
  return {
    async call(upstream, request, signal) {
      return plane()?.calls.call(upstream, request, signal) ?? failure('no-upstream', 'nothing is served yet')
    },
  }
}

const NO_HEADERS: readonly HeaderPair[] = Object.freeze([])
const NO_LINES = new HeaderLines(Buffer.alloc(0), 0, [])

function failure(reason: CallFailureReason, detail: string): CallFailure {
  return { kind: 'failure', reason, detail }
}
