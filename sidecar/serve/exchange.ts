import type { RouteAction } from '../../contract/workload-config.ts'
import type { Facts } from '../../model/request.ts'
import type { Answer, Denial, Deny, HeaderPair } from '../../model/verdict.ts'
import { type Decision, decide } from '../compile/decide.ts'
import type { CompiledRoute, Pipeline, Step } from '../compile/pipeline.ts'
import type { ByteStream } from '../upstream/byte-stream.ts'
import {
  DEADLINE_EXCEEDED,
  DECISION_TIMEOUT,
  denialOf,
  NO_ENDPOINTS,
  NOT_SERVING,
  OVERLOADED,
  UNWRITABLE_HEAD,
} from './denials.ts'
import type { Downstream, Transaction } from './downstream.ts'
import type { Engine } from './engine.ts'
import { type Provenance, provenanceFromOutside, provenanceFromPeer, provenanceFromWorkload } from './forwarded.ts'
import type { ForwardedRequest, RefuseOptions } from './forwarded-request.ts'
import { Forwarding, RETRY_AFTER } from './forwarding.ts'
import { grpcTimeoutMs, isGrpc } from './grpc.ts'
import { totalLength } from './http1/chunk.ts'
import type { HeaderLines } from './http1/header-lines.ts'
import type { RequestHead } from './http1/message.ts'
import type { Problem } from './http1/problem.ts'
import type { ResponseToWrite } from './http1/write-head.ts'
import { judgeRequestAgain } from './judge-again.ts'
import type { Evidence, Outcome, Refusal, RequestRecord } from './observation.ts'
import type { Judged } from './open-tunnels.ts'
import { redirectLocation } from './redirect.ts'
import { plainRefusal, refusalBy } from './refusal.ts'
import { type BodySource, HttpRequestView } from './request-view.ts'
import { isDeny } from './site.ts'
import { tellRefusal } from './tell-refusal.ts'
import { type Sender, type Trace, traceOf } from './trace.ts'
import { WholeBody } from './whole-body.ts'

/** Where a request is on its way. */
const DECIDING = 0
const FORWARDING = 1
const OVER = 2

/**
 * One request and its response: judged, refused or answered or handed to its forwarding, told of once. What is spoken on either
 * side is the sides' own concern (ADR 60).
 *
 * All of it runs synchronously as long as the checks do and a kept connection is there.
 */
export class Exchange implements Transaction, ForwardedRequest, BodySource {
  readonly engine: Engine
  readonly downstream: Downstream
  readonly head: RequestHead
  readonly timeMs: number
  readonly startMs: number
  readonly facts: Facts = {}
  readonly isGrpc: boolean
  /** Milliseconds between two reads of the body. A call of gRPC may be a conversation from its first byte on. */
  readonly bodyMs: number
  readonly #decisionId: string
  /** When the caller wants no answer any more, in monotonic milliseconds. */
  readonly #calledUntilMs: number
  #view: HttpRequestView | undefined
  #provenance: Provenance | undefined
  #trace: Trace | undefined
  /** That it was judged by. */
  #pipeline: Pipeline | undefined
  #route: CompiledRoute | undefined
  #forwarding: Forwarding | undefined
  /** Of a request that a check reads to its end. */
  #body: WholeBody | undefined
  #phase = DECIDING
  #isCounted = false

  #isRequestRead: boolean
  #isResponseHeadSent = false
  #isResponseDone = false
  /** An answer began before the request had been read to its end. */
  #isEarly = false

  #status = 0
  #outcome: Outcome = 'allowed'
  #refusal: Refusal | undefined
  #bytesIn = 0
  #bytesOut = 0
  #wouldDeny: Refusal | undefined

  constructor(engine: Engine, downstream: Downstream, head: RequestHead) {
    this.engine = engine
    this.downstream = downstream
    this.head = head
    this.#decisionId = engine.newId()
    this.timeMs = engine.clock.now()
    this.startMs = engine.clock.monotonic()
    this.#isRequestRead = !hasBody(head)
    this.isGrpc = head.method === 'POST' && isGrpc(head.headers)
    const timeoutMs = this.isGrpc ? grpcTimeoutMs(head.headers) : undefined
    this.#calledUntilMs = timeoutMs === undefined ? Number.POSITIVE_INFINITY : this.startMs + timeoutMs
    this.bodyMs = this.isGrpc ? engine.limits.tunnelIdleMs : engine.limits.bodyMs
  }

  /** Of a request that was let through. */
  get route(): CompiledRoute {
    return this.#route!
  }

  get provenance(): Provenance {
    return this.#provenance!
  }

  get trace(): Trace | undefined {
    return this.#trace
  }

  get isRequestRead(): boolean {
    return this.#isRequestRead
  }

  get isResponseHeadSent(): boolean {
    return this.#isResponseHeadSent
  }

  get wantsBody(): boolean {
    if (this.#isRequestRead) return false
    return this.#phase === FORWARDING ? this.#forwarding!.wantsBody : this.#phase === DECIDING && this.#isBodyRead
  }

  begin(): void {
    const { head, engine } = this
    const { client, site } = this.downstream
    const pipeline = engine.pipeline()
    if (pipeline === undefined) return this.refuse(NOT_SERVING)
    this.#pipeline = pipeline
    if (!engine.load.enter()) return this.refuse(OVERLOADED, { headers: RETRY_AFTER })
    this.#isCounted = true
    engine.upstreams.update(pipeline.config, engine.endpoints())

    const provenance = this.#findProvenance(pipeline.config.trustedHops)
    this.#provenance = provenance
    const { trace } = pipeline
    if (trace !== undefined) this.#trace = traceOf(head.headers, this.#sender(), trace, engine.newId)
    const view = new HttpRequestView(
      head,
      client.peer,
      site.port(pipeline),
      provenance.proto,
      provenance.clientIp,
      this.#trace?.traceId,
      this,
    )
    this.#view = view
    const resolved = site.resolve(pipeline, view, head, client)
    if (isDeny(resolved)) return this.refuse(resolved.denial, { headers: resolved.headers ?? [] })
    this.#route = resolved

    const decided = decide(resolved.chain, view, this.facts)
    if (!('then' in decided)) return this.#onDecision(decided)
    this.setDeadline(engine.limits.headMs, this.startMs)
    decided.then((decision) =>
      this.guard(() => {
        if (this.#phase !== DECIDING) return
        this.#onDecision(decision)
        this.downstream.resume()
      }),
    )
  }

  onRequestBody(slices: readonly Buffer[], done: boolean, trailers: HeaderLines | undefined): void {
    for (const slice of slices) this.#bytesIn += slice.length
    this.#isRequestRead = done
    if (this.#phase === FORWARDING) this.#forwarding!.onRequestBody(slices, trailers)
    else if (this.#phase === DECIDING) this.#body?.add(slices, done)
  }

  readBody(maxBytes: number): Promise<Uint8Array | undefined> {
    if (this.#body !== undefined || this.#phase !== DECIDING) return Promise.resolve(undefined)
    this.#body = new WholeBody(maxBytes)
    if (this.#isRequestRead) this.#body.add([], true)
    else this.downstream.resume()
    return this.#body.whole
  }

  /** Whether a check is at it. */
  get #isBodyRead(): boolean {
    return this.#body?.isWanted === true
  }

  onRequestProblem(problem: Problem): void {
    this.refuse(denialOf(problem), { outcome: 'malformed', isBroken: true })
  }

  flush(): void {
    if (this.#phase === FORWARDING) this.#forwarding!.flush()
  }

  onDownstreamDrain(): void {
    if (this.#phase !== FORWARDING || !this.#isResponseHeadSent || this.#isResponseDone) return
    if (this.#isRequestRead) this.clearDeadline()
    else this.setDeadline(this.bodyMs)
    this.#forwarding!.resume()
  }

  onClientEnd(): boolean {
    if (this.#isRequestRead) return false
    this.onClientGone()
    return true
  }

  onClientGone(): void {
    if (this.#phase === OVER) return
    this.#forwarding?.drop()
    this.#conclude(this.#isResponseDone ? undefined : 'aborted')
  }

  onDeadline(): void {
    this.guard(() => this.#giveUp())
  }

  /** No later than the caller's own deadline. */
  setDeadline(delayMs: number, nowMs?: number): void {
    if (this.#calledUntilMs === Number.POSITIVE_INFINITY) return this.downstream.setDeadline(delayMs, nowMs)
    const now = nowMs ?? this.engine.clock.monotonic()
    this.downstream.setDeadline(Math.max(0, Math.min(delayMs, this.#calledUntilMs - now)), now)
  }

  clearDeadline(): void {
    if (this.#calledUntilMs === Number.POSITIVE_INFINITY) this.downstream.clearDeadline()
    else this.setDeadline(Number.POSITIVE_INFINITY)
  }

  #giveUp(): void {
    if (this.#phase === OVER) return
    if (this.engine.clock.monotonic() >= this.#calledUntilMs) {
      return this.refuse(DEADLINE_EXCEEDED, { outcome: 'failed' })
    }
    if (this.#phase === DECIDING) return this.refuse(DECISION_TIMEOUT, { outcome: 'failed' })
    this.#forwarding!.onDeadline()
  }

  #findProvenance(trustedHops: number): Provenance {
    const { client, site } = this.downstream
    const { headers, authority } = this.head
    const own = {
      remoteIp: client.peer.ip,
      proto: client.isSecure ? ('https' as const) : ('http' as const),
      host: authority,
    }
    // The id of the decision serves for the request too where it begins here: one thing less to look up.
    const newId = () => this.#decisionId
    if (site.direction === 'outbound') return provenanceFromWorkload(headers, own, newId)
    if (client.peer.spiffeId !== undefined) return provenanceFromPeer(headers, own, newId)
    return provenanceFromOutside(headers, own, trustedHops, newId)
  }

  #sender(): Sender {
    const { client, site } = this.downstream
    return site.direction === 'outbound' || client.peer.spiffeId !== undefined ? 'mesh' : 'outside'
  }

  #onDecision({ verdict, step, wouldDeny }: Decision): void {
    if (wouldDeny !== undefined) this.#wouldDeny = refusalBy(wouldDeny.verdict, wouldDeny.step)
    switch (verdict.kind) {
      case 'deny':
        return this.#deny(verdict, step)
      case 'answer':
        return this.#answer(verdict)
      case 'continue':
        // What is read is not there to be forwarded.
        if (this.#body !== undefined) throw new Error('a check read the body of a request that it let pass')
        return this.#act(this.#route!.config.action)
    }
  }

  #deny(verdict: Deny, step: Step | undefined): void {
    const { told } = verdict
    const { refusalForm } = this.facts
    const isHidden = refusalForm?.hidesExistence === true && (told?.status === 401 || told?.status === 403)
    if (told !== undefined && !isHidden && !this.isGrpc) {
      return this.#respond({ ...told, headers: [...told.headers] }, 'denied', refusalBy(verdict, step))
    }
    this.refuse(verdict.denial, {
      outcome: 'denied',
      refusal: refusalBy(verdict, step),
      ...(verdict.headers === undefined ? {} : { headers: verdict.headers }),
    })
  }

  #answer({ status, headers, body }: Answer): void {
    this.#respond({ status, headers, body }, 'answered', undefined)
  }

  #act(action: RouteAction): void {
    const { site } = this.downstream
    switch (action.kind) {
      case 'app':
        if (site.app === undefined) return this.refuse(NO_ENDPOINTS, { outcome: 'failed' })
        return this.#forward().toApp(site.app)
      case 'forward':
        return this.#forward().toUpstream(action)
      case 'redirect': {
        const location = redirectLocation(this.#route!.config, this.#view!, this.head, site)
        return this.#respond({ status: action.status, headers: [['location', location]] }, 'answered', undefined)
      }
      case 'respond':
        return this.#respond({ status: action.status, headers: [] }, 'answered', undefined)
    }
  }

  #forward(): Forwarding {
    const forwarding = new Forwarding(this)
    this.#forwarding = forwarding
    this.#phase = FORWARDING
    return forwarding
  }

  onStatus(status: number | undefined): void {
    this.#isEarly = status !== undefined && !this.#isRequestRead
    this.#status = status ?? 0
  }

  passOn(
    message: ResponseToWrite | undefined,
    slices: readonly Buffer[],
    done: boolean,
    trailers: HeaderLines | undefined,
  ): boolean | undefined {
    let isFlowing: boolean
    if (message === undefined) {
      isFlowing = this.downstream.respondBody(slices, done, trailers)
    } else {
      const written = this.downstream.respond(message, slices, done, trailers)
      if (typeof written !== 'boolean') {
        this.refuse(UNWRITABLE_HEAD, { outcome: 'failed' })
        return undefined
      }
      this.#isResponseHeadSent = true
      if (!done && this.#isRequestRead) this.clearDeadline()
      isFlowing = written
    }
    this.#bytesOut += totalLength(slices)
    return isFlowing
  }

  onResponseDone(nowMs: number): void {
    this.#isResponseDone = true
    this.#finish(nowMs)
  }

  onSwitched(message: ResponseToWrite, upstream: ByteStream, early: Buffer): void {
    const forwarding = this.#forwarding!
    const about = {
      decisionId: this.#decisionId,
      upstream: forwarding.upstream,
      endpoint: forwarding.endpoint,
      rule: this.facts.rule,
      wouldDeny: this.#wouldDeny,
      refusal: undefined,
    }
    const judged: Judged = { by: this.#pipeline!, again: (pipeline) => this.#judgeAgain(pipeline) }
    const problem = this.downstream.tunnel(message, upstream, early, about, judged)
    if (problem !== undefined) {
      upstream.destroy()
      return this.refuse(UNWRITABLE_HEAD, { outcome: 'failed' })
    }
    this.#status = message.status
    this.#isResponseDone = true
    // A tunnel may last longer than many pipelines.
    this.#pipeline = undefined
    this.#conclude('allowed')
  }

  /** Whether the request that a tunnel began with would still be let through. */
  #judgeAgain(pipeline: Pipeline): Refusal | undefined | Promise<Refusal | undefined> {
    const { client, site } = this.downstream
    const resolved = site.resolve(pipeline, this.#view!, this.head, client)
    if (isDeny(resolved)) return refusalBy(resolved, undefined)
    const before = this.#route!.chain
    this.#route = resolved
    return judgeRequestAgain(before, resolved.chain, this.#view!, this.facts)
  }

  onFault(err: unknown): void {
    this.engine.log.error('request failed in the proxy', { err })
    this.#forwarding?.drop()
    this.#conclude('failed')
    this.downstream.abort()
  }

  guard(run: () => void): void {
    try {
      run()
    } catch (err) {
      this.onFault(err)
    }
  }

  refuse(denial: Denial, given: RefuseOptions = {}): void {
    const { outcome = 'denied', headers = [], detail, isBroken = false } = given
    if (isBroken) this.#isEarly = true
    const refusal = given.refusal ?? plainRefusal(denial, detail)
    const told = tellRefusal(denial, headers, this.facts.refusalForm, this.#decisionId, this.isGrpc)
    this.#respond(told, outcome, refusal)
  }

  /** Answers here. Whatever upstream there is has no part in it. */
  #respond(
    { status, meaning = status, headers, body }: Answered,
    outcome: Outcome,
    refusal: Refusal | undefined,
  ): void {
    this.#forwarding?.drop()
    if (this.#isResponseHeadSent) return this.abort(outcome, refusal)
    this.#status = meaning
    this.#outcome = outcome
    this.#refusal = refusal
    const { setResponseHeaders = [], addResponseHeaders = [] } = this.facts
    this.downstream.respondLocally({
      status,
      headers: [...headers, ...setResponseHeaders, ...addResponseHeaders],
      body,
      isBroken: this.#isEarly,
      nowMs: this.timeMs,
    })
    if (body !== undefined && this.head.method !== 'HEAD') this.#bytesOut = Buffer.byteLength(body)
    this.#isResponseHeadSent = true
    this.#isResponseDone = true
    this.#finish()
  }

  /** The response cannot be ended properly: the client must see that. */
  abort(outcome: Outcome, refusal: Refusal | undefined): void {
    this.#forwarding?.drop()
    this.#refusal = refusal
    this.#conclude(outcome)
    this.downstream.abort()
  }

  #finish(nowMs: number = this.engine.clock.monotonic()): void {
    this.#conclude(undefined, nowMs)
    this.downstream.finished(nowMs)
  }

  /** It is over: tells of it, once. */
  #conclude(outcome: Outcome | undefined, nowMs: number = this.engine.clock.monotonic()): void {
    if (this.#phase === OVER) return
    this.#phase = OVER
    const { engine, head, facts } = this
    if (this.#isCounted) engine.load.leave()
    this.#view?.end()
    this.#body?.giveUp()
    const forwarding = this.#forwarding
    forwarding?.leave()
    const { client, site } = this.downstream
    const record: RequestRecord = {
      timeMs: this.timeMs,
      durationMs: nowMs - this.startMs,
      decisionId: this.#decisionId,
      requestId: this.#provenance?.requestId ?? this.#decisionId,
      direction: site.direction,
      listener: site.listener(head.host),
      spiffeId: client.peer.spiffeId,
      clientIp: this.#provenance?.clientIp ?? client.peer.ip,
      route: this.#route?.id ?? '',
      upstream: forwarding === undefined ? '' : forwarding.upstream,
      endpoint: forwarding?.endpoint,
      method: head.method,
      host: head.host,
      path: head.path,
      status: this.#status,
      outcome: outcome ?? this.#outcome,
      refusal: this.#refusal,
      rule: facts.rule,
      wouldDeny: this.#wouldDeny,
      issuer: facts.token?.issuer,
      subject: facts.token?.subject,
      client: facts.client?.id,
      bytesIn: this.#bytesIn,
      bytesOut: this.#bytesOut,
      retried: forwarding?.isRetried === true,
      trace: this.#trace,
    }
    engine.observer.request(record, this.#evidence())
  }

  #evidence(): Evidence | undefined {
    if (this.#refusal?.filter === undefined && this.#wouldDeny === undefined) return undefined
    const { id, chain } = this.#route!
    return { request: this.#view!, facts: this.facts, chain, route: id }
  }
}

/** Whether anything can follow the head. */
function hasBody({ framing }: RequestHead): boolean {
  return framing.kind === 'chunked' || (framing.kind === 'length' && framing.bytes > 0)
}

/** What is said in place of an upstream. */
interface Answered {
  readonly status: number
  /** What the status stands for, where it says something else. */
  readonly meaning?: number
  readonly headers: readonly HeaderPair[]
  readonly body?: string | undefined
}
