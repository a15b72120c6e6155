import type { HashKey, RetryCondition, Session } from '../../contract/traffic.ts'
import type { RouteAction } from '../../contract/workload-config.ts'
import type { Facts } from '../../model/request.ts'
import type { Answer, Denial, Deny, HeaderPair } from '../../model/verdict.ts'
import type { CancelTimer } from '../../runtime/clock.ts'
import { type Decision, decide } from '../compile/decide.ts'
import type { Chain, CompiledRoute, Pipeline, Step } from '../compile/pipeline.ts'
import type { ByteStream } from '../upstream/byte-stream.ts'
import { ConnectError } from '../upstream/connect.ts'
import type { Gate, GateWaiter } from '../upstream/gate.ts'
import { hashText } from '../upstream/hash-ring.ts'
import { type EndpointPool, type OpenedStream, PoolFullError } from '../upstream/pool.ts'
import { mayRetry } from '../upstream/retry.ts'
import type { UpstreamGroup } from '../upstream/upstream-group.ts'
import type { UpstreamFailure, UpstreamStream, UpstreamStreamUser } from '../upstream/upstream-stream.ts'
import type { Delivery } from './delivery.ts'
import {
  BACKEND_UNRESOLVED,
  connectDenial,
  DEADLINE_EXCEEDED,
  DECISION_TIMEOUT,
  denialOf,
  GRPC_NEEDS_HTTP2,
  NO_ENDPOINTS,
  NOT_SERVING,
  OVERLOADED,
  REQUEST_TIMEOUT,
  UNWRITABLE_HEAD,
  UPSTREAM_OVERFLOW,
  UPSTREAM_PROTOCOL,
  UPSTREAM_RESET,
  UPSTREAM_TIMEOUT,
} from './denials.ts'
import type { Downstream, Transaction } from './downstream.ts'
import type { Engine } from './engine.ts'
import {
  IDENTITY_DROP,
  type Provenance,
  provenanceFromOutside,
  provenanceFromPeer,
  provenanceFromWorkload,
} from './forwarded.ts'
import { grpcTimeoutMs, isGrpc } from './grpc.ts'
import { totalLength } from './http1/chunk.ts'
import { type HeaderLines, withoutLines } from './http1/header-lines.ts'
import type { RequestHead, ResponseHead } from './http1/message.ts'
import type { Problem } from './http1/problem.ts'
import type { RequestToWrite, ResponseToWrite } from './http1/write-head.ts'
import type { Copy } from './mirrors.ts'
import type { Evidence, Outcome, Refusal, RequestRecord } from './observation.ts'
import type { Judged } from './open-tunnels.ts'
import { redirectLocation } from './redirect.ts'
import { HttpRequestView } from './request-view.ts'
import { type HeaderPlan, headersToSet, planOf, type RoutePlan, rewritePath, withoutIdentity } from './route-plan.ts'
import { cookieOf, sessionHeader, sessionOf } from './session.ts'
import { isDeny } from './site.ts'
import { tellRefusal } from './tell-refusal.ts'
import { Tries } from './tries.ts'

/** 1xx responses to one request that are passed on; more are no answer (F14). */
const MAX_INTERIM = 8

const RETRY_AFTER: readonly HeaderPair[] = [['retry-after', '1']]

const NO_SLICES: readonly Buffer[] = Object.freeze([])

/** Where a request is on its way. */
const DECIDING = 0
const CONNECTING = 1
const STREAMING = 2
const OVER = 3
/** For its turn at the upstream, or to be tried again. */
const WAITING = 4

/**
 * One request and its response: judged, refused or answered or forwarded, told of once. What is spoken on either side is
 * the sides' own concern (ADR 60).
 *
 * All of it runs synchronously as long as the checks do and a kept connection is there.
 */
export class Exchange implements Transaction, UpstreamStreamUser, GateWaiter {
  readonly #head: RequestHead
  readonly #decisionId: string
  readonly #engine: Engine
  readonly #downstream: Downstream
  readonly #timeMs: number
  readonly #startMs: number
  readonly #facts: Facts = {}
  #view: HttpRequestView | undefined
  #provenance: Provenance | undefined
  /** That it was judged by. */
  #pipeline: Pipeline | undefined
  #route: CompiledRoute | undefined
  #plan: RoutePlan | undefined
  #phase = DECIDING
  #isCounted = false

  readonly #isGrpc: boolean
  /** When the caller wants no answer any more, in monotonic milliseconds. */
  readonly #calledUntilMs: number
  /** Milliseconds between two reads of the body. A call of gRPC may be a conversation from its first byte on. */
  readonly #bodyMs: number
  #isRequestRead: boolean
  #pool: EndpointPool | undefined
  #upstreamName = ''
  #group: UpstreamGroup | undefined
  #delivery: Delivery | undefined
  /** Undefined where no policy has it tried again. */
  #tries: Tries | undefined
  #gate: Gate | undefined
  #isInGate = false
  #copy: Copy | undefined
  /** The endpoint that the request's session is with. */
  #sessionPool: EndpointPool | undefined
  #cancelPause: CancelTimer | undefined
  /** When no more is waited for a response, and for this try's: monotonic, 0 while it is not settled. */
  #dueMs = 0
  #tryDueMs = 0
  /** When the whole request had gone out. */
  #sentAtMs = 0
  #connecting: { abort(): void } | undefined
  #upstream: UpstreamStream | undefined
  #isHeadPending = false
  #hasSentBody = false
  #isWaitingForUpstream = false
  #resends = 0
  #hasTriedOther = false
  #interim = 0

  #response: ResponseHead | undefined
  #isResponseHeadSent = false
  #isResponseDone = false
  #isEarly = false

  #status = 0
  #outcome: Outcome = 'allowed'
  #refusal: Refusal | undefined
  #bytesIn = 0
  #bytesOut = 0
  #wouldDeny: Refusal | undefined

  constructor(engine: Engine, downstream: Downstream, head: RequestHead) {
    this.#engine = engine
    this.#downstream = downstream
    this.#head = head
    this.#decisionId = engine.newId()
    this.#timeMs = engine.clock.now()
    this.#startMs = engine.clock.monotonic()
    this.#isRequestRead = !hasBody(head)
    this.#isGrpc = head.method === 'POST' && isGrpc(head.headers)
    const timeoutMs = this.#isGrpc ? grpcTimeoutMs(head.headers) : undefined
    this.#calledUntilMs = timeoutMs === undefined ? Number.POSITIVE_INFINITY : this.#startMs + timeoutMs
    this.#bodyMs = this.#isGrpc ? engine.limits.tunnelIdleMs : engine.limits.bodyMs
  }

  get wantsBody(): boolean {
    return this.#phase === STREAMING && !this.#isRequestRead && !this.#isWaitingForUpstream
  }

  begin(): void {
    const head = this.#head
    const engine = this.#engine
    const { client, site } = this.#downstream
    const pipeline = engine.pipeline()
    if (pipeline === undefined) return this.#refuse(NOT_SERVING)
    this.#pipeline = pipeline
    if (!engine.load.enter()) return this.#refuse(OVERLOADED, { headers: RETRY_AFTER })
    this.#isCounted = true
    engine.upstreams.update(pipeline.config, engine.endpoints())

    const provenance = this.#findProvenance(pipeline.config.trustedHops)
    this.#provenance = provenance
    const view = new HttpRequestView(head, client.peer, site.port(pipeline), provenance.proto, provenance.clientIp)
    this.#view = view
    const resolved = site.resolve(pipeline, view, head, client)
    if (isDeny(resolved)) return this.#refuse(resolved.denial, { headers: resolved.headers ?? [] })
    this.#route = resolved

    const decided = decide(resolved.chain, view, this.#facts)
    if (!('then' in decided)) return this.#onDecision(decided)
    this.#setDeadline(engine.limits.headMs, this.#startMs)
    decided.then((decision) =>
      this.#guard(() => {
        if (this.#phase !== DECIDING) return
        this.#onDecision(decision)
        this.#downstream.resume()
      }),
    )
  }

  onRequestBody(slices: readonly Buffer[], done: boolean, trailers: HeaderLines | undefined): void {
    for (const slice of slices) this.#bytesIn += slice.length
    this.#isRequestRead = done
    if (this.#phase !== STREAMING) return
    this.#tries?.keep(slices, trailers !== undefined)
    this.#copy?.add(slices)
    this.#send(slices, trailers && withoutLines(trailers, IDENTITY_DROP))
  }

  onRequestProblem(problem: Problem): void {
    this.#isEarly = true
    this.#refuse(denialOf(problem), { outcome: 'malformed' })
  }

  flush(): void {
    if (this.#phase === STREAMING && this.#isHeadPending) this.#send(NO_SLICES, undefined)
  }

  onDownstreamDrain(): void {
    if (this.#phase !== STREAMING || this.#isResponseDone) return
    if (this.#isResponseHeadSent) {
      if (this.#isRequestRead) this.#clearDeadline()
      else this.#setDeadline(this.#bodyMs)
      this.#upstream?.resume()
    }
  }

  onClientEnd(): boolean {
    if (this.#isRequestRead) return false
    this.onClientGone()
    return true
  }

  onClientGone(): void {
    if (this.#phase === OVER) return
    this.#dropUpstream()
    this.#conclude(this.#isResponseDone ? undefined : 'aborted')
  }

  onDeadline(): void {
    this.#guard(() => this.#giveUp())
  }

  /** No later than the caller's own deadline. */
  #setDeadline(delayMs: number, nowMs?: number): void {
    if (this.#calledUntilMs === Number.POSITIVE_INFINITY) return this.#downstream.setDeadline(delayMs, nowMs)
    const now = nowMs ?? this.#engine.clock.monotonic()
    this.#downstream.setDeadline(Math.max(0, Math.min(delayMs, this.#calledUntilMs - now)), now)
  }

  #clearDeadline(): void {
    if (this.#calledUntilMs === Number.POSITIVE_INFINITY) this.#downstream.clearDeadline()
    else this.#setDeadline(Number.POSITIVE_INFINITY)
  }

  #giveUp(): void {
    if (this.#engine.clock.monotonic() >= this.#calledUntilMs && this.#phase !== OVER) {
      return this.#refuse(DEADLINE_EXCEEDED, { outcome: 'failed' })
    }
    switch (this.#phase) {
      case DECIDING:
        return this.#refuse(DECISION_TIMEOUT, { outcome: 'failed' })
      case WAITING:
        return this.#refuse(UPSTREAM_TIMEOUT, { outcome: 'failed' })
      case CONNECTING:
        this.#failEndpoint()
        if (this.#tryAgain('timeout', 'unseen')) return
        return this.#refuse(UPSTREAM_TIMEOUT, { outcome: 'failed' })
      case STREAMING:
        // Nobody takes what was written (T20).
        if (this.#isResponseHeadSent) return this.#abort('aborted', undefined)
        if (!this.#isRequestRead && !this.#isWaitingForUpstream) {
          this.#isEarly = true
          return this.#refuse(REQUEST_TIMEOUT, { outcome: 'failed' })
        }
        this.#failEndpoint()
        if (this.#tryAgain('timeout', 'seen')) return
        return this.#refuse(UPSTREAM_TIMEOUT, { outcome: 'failed' })
    }
  }

  #findProvenance(trustedHops: number): Provenance {
    const { client, site } = this.#downstream
    const { headers, authority } = this.#head
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

  #onDecision({ verdict, step, wouldDeny }: Decision): void {
    if (wouldDeny !== undefined) this.#wouldDeny = refusalBy(wouldDeny.verdict, wouldDeny.step)
    switch (verdict.kind) {
      case 'deny':
        return this.#deny(verdict, step)
      case 'answer':
        return this.#answer(verdict)
      case 'continue':
        return this.#act(this.#route!.config.action)
    }
  }

  #deny(verdict: Deny, step: Step | undefined): void {
    this.#refuse(verdict.denial, {
      outcome: 'denied',
      refusal: refusalBy(verdict, step),
      ...(verdict.headers === undefined ? {} : { headers: verdict.headers }),
    })
  }

  #answer({ status, headers, body }: Answer): void {
    this.#respond({ status, headers, body }, 'answered', undefined)
  }

  #act(action: RouteAction): void {
    switch (action.kind) {
      case 'app': {
        const { app } = this.#downstream.site
        if (app === undefined) return this.#refuse(NO_ENDPOINTS, { outcome: 'failed' })
        this.#upstreamName = 'app'
        return this.#attempt(app, this.#startMs)
      }
      case 'forward':
        return this.#forward(action)
      case 'redirect': {
        const { site } = this.#downstream
        const location = redirectLocation(this.#route!.config, this.#view!, this.#head, site)
        return this.#respond({ status: action.status, headers: [['location', location]] }, 'answered', undefined)
      }
      case 'respond':
        return this.#respond({ status: action.status, headers: [] }, 'answered', undefined)
    }
  }

  #forward({ session, mirrors }: Extract<RouteAction, { kind: 'forward' }>): void {
    const engine = this.#engine
    const plan = planOf(this.#route!)
    this.#plan = plan
    if (session !== undefined) this.#findSession(session)
    if (this.#upstreamName === '') this.#upstreamName = plan.nextBackend()
    if (this.#upstreamName === '') return this.#refuse(BACKEND_UNRESOLVED, { outcome: 'failed' })
    const group = engine.upstreams.get(this.#upstreamName)
    if (group === undefined) return this.#refuse(NO_ENDPOINTS, { outcome: 'failed', headers: RETRY_AFTER })
    this.#group = group
    const delivery = plan.deliveryTo(this.#upstreamName, group.traffic)
    this.#delivery = delivery
    if (delivery.retry !== undefined) {
      group.budget.request(this.#startMs)
      this.#tries = new Tries(delivery.retry, this.#head.method)
    }
    if (mirrors !== undefined) this.#copy = engine.mirrors.begin(mirrors)
    const { gate } = group
    if (gate === undefined) return this.#begin()
    const said = gate.enter(this)
    if (said === 'full') {
      const detail = `${gate.inFlight} requests are under way, and ${gate.waiting} wait`
      return this.#refuse(UPSTREAM_OVERFLOW, { outcome: 'failed', headers: RETRY_AFTER, detail })
    }
    this.#gate = gate
    if (said === 'in') {
      this.#isInGate = true
      return this.#begin()
    }
    this.#phase = WAITING
    this.#waitForResponse(this.#startMs)
  }

  /** The endpoint that the client was told of, if it is one of the route's. */
  #findSession(session: Session): void {
    const { upstreams } = this.#engine
    const token = sessionOf(session, this.#head.headers, this.#timeMs)
    if (token === undefined) return
    for (const upstream of this.#plan!.upstreams) {
      this.#sessionPool = upstreams.get(upstream)?.ofSession(token, this.#startMs)
      if (this.#sessionPool === undefined) continue
      this.#upstreamName = upstream
      return
    }
  }

  onAdmitted(): void {
    this.#isInGate = true
    this.#guard(() => {
      this.#begin()
      this.#downstream.resume()
    })
  }

  #begin(): void {
    const pool = this.#sessionPool ?? this.#pick(undefined, this.#startMs)
    if (pool === undefined) return this.#refuse(NO_ENDPOINTS, { outcome: 'failed', headers: RETRY_AFTER })
    this.#attempt(pool, this.#startMs)
  }

  #pick(except: EndpointPool | undefined, nowMs: number): EndpointPool | undefined {
    const { site } = this.#downstream
    if (site.endpoint !== undefined) {
      const only = site.endpoint(this.#upstreamName)
      return only === except ? undefined : only
    }
    const group = this.#group
    const hash = group?.traffic?.hash
    return group?.pick(nowMs, except, hash === undefined ? undefined : this.#hashOf(hash))
  }

  /** Undefined: the request has nothing to go by. */
  #hashOf({ from, name }: HashKey): number | undefined {
    const { headers } = this.#head
    const value = from === 'header' ? headers.get(name) : cookieOf(headers, name)
    return value === undefined ? undefined : hashText(value)
  }

  /** `nowMs` is monotonic, and not long ago. */
  #attempt(pool: EndpointPool, nowMs: number): void {
    this.#pool = pool
    this.#tryDueMs = 0
    const stream = pool.takeStream(nowMs, this.#downstream.version)
    if (stream === undefined) this.#open(pool)
    else this.#attach(stream)
  }

  #open(pool: EndpointPool): void {
    this.#phase = CONNECTING
    if (this.#isRequestRead) this.#waitForResponse(this.#engine.clock.monotonic())
    this.#connecting = pool.openStream(this.#downstream.version, (opened) => this.#guard(() => this.#onOpened(opened)))
  }

  #onOpened(opened: OpenedStream): void {
    const isWanted = this.#connecting !== undefined
    this.#connecting = undefined
    if (opened instanceof ConnectError || opened instanceof PoolFullError) {
      if (isWanted) this.#onConnectFailed(opened)
      return
    }
    if (!isWanted) return opened.drop()
    this.#attach(opened)
    this.#downstream.resume()
  }

  #onConnectFailed(failure: ConnectError | PoolFullError): void {
    if (failure instanceof PoolFullError) {
      return this.#refuse(UPSTREAM_OVERFLOW, { outcome: 'failed', headers: RETRY_AFTER, detail: failure.message })
    }
    this.#failEndpoint()
    // Nobody has seen it: to ask somebody else once costs nobody anything, and no budget.
    const nowMs = this.#engine.clock.monotonic()
    const isDone = this.#hasTriedOther || this.#upstreamName === 'app' || this.#tries?.isOff === true
    const other = isDone ? undefined : this.#pick(this.#pool, nowMs)
    if (other !== undefined) {
      this.#hasTriedOther = true
      this.#attempt(other, nowMs)
      return this.#downstream.resume()
    }
    if (this.#tryAgain('connect-failure', 'unseen')) return
    const detail = `${failure.reason}: ${failure.message}`
    this.#refuse(connectDenial(failure), { outcome: failure.reason === 'forbidden' ? 'denied' : 'failed', detail })
  }

  #attach(stream: UpstreamStream): void {
    this.#phase = STREAMING
    this.#upstream = stream
    stream.user = this
    if (this.#isGrpc && stream.version === 'http1' && this.#downstream.version === 'http2') {
      return this.#refuse(GRPC_NEEDS_HTTP2, { outcome: 'failed' })
    }
    this.#isHeadPending = true
    const sentBefore = this.#tries?.body ?? NO_SLICES
    if (this.#isRequestRead || sentBefore.length > 0) this.#send(sentBefore, undefined)
    else this.#setDeadline(this.#bodyMs)
  }

  /** Sends what was just read of the body, behind the head if that is still to go: one write. */
  #send(slices: readonly Buffer[], trailers: HeaderLines | undefined): void {
    const done = this.#isRequestRead
    const upstream = this.#upstream!
    let isFlowing: boolean
    if (this.#isHeadPending) {
      const message = this.#requestToWrite()
      const sent = message === undefined ? undefined : upstream.sendHead(message, slices, done, trailers)
      if (typeof sent !== 'boolean') return this.#refuse(UNWRITABLE_HEAD, { outcome: 'failed' })
      this.#isHeadPending = false
      isFlowing = sent
    } else {
      isFlowing = upstream.sendBody(slices, done, trailers)
    }
    if (slices.length > 0) this.#hasSentBody = true
    if (done) return this.#onRequestRead()
    if (!isFlowing) {
      this.#isWaitingForUpstream = true
      this.#downstream.pause()
    }
    this.#setDeadline(this.#bodyMs)
  }

  /** Undefined: something in it is no field value. */
  #requestToWrite(): RequestToWrite | undefined {
    const head = this.#head
    const route = this.#route!.config
    const facts = this.#facts
    const plan = this.#plan ?? planOf(this.#route!)
    const { client, site } = this.#downstream
    const lines = client.forwarded.for(this.#provenance!, site.direction !== 'outbound')
    if (lines === undefined) return undefined
    const path = rewritePath(head.path, route)
    const { action } = route
    const rewriteHost = action.kind === 'forward' ? action.rewriteHost : undefined
    const host = rewriteHost ?? head.authority
    return {
      method: head.method,
      target: head.query === '' ? path : `${path}?${head.query}`,
      host: host === '' ? 'localhost' : host,
      headers: head.headers,
      connectionNames: head.connectionNames,
      edits: {
        drop: plan.request.drop,
        set: headersToSet(head.headers, plan.request, withoutIdentity(facts.setRequestHeaders)),
        lines,
        requestId: this.#provenance!.requestId,
        ...(facts.removeRequestHeaders === undefined ? {} : { remove: facts.removeRequestHeaders }),
      },
      framing: head.framing,
      upgrade: head.upgrade,
    }
  }

  #onRequestRead(): void {
    if (this.#isResponseHeadSent) return
    const nowMs = this.#engine.clock.monotonic()
    this.#sentAtMs = nowMs
    this.#waitForResponse(nowMs)
    const copy = this.#copy
    if (copy === undefined) return
    this.#copy = undefined
    const message = this.#requestToWrite()
    if (message !== undefined) this.#engine.mirrors.send(copy, message, this.#downstream.version)
  }

  /** For no longer than the request, and this try of it, may take. */
  #waitForResponse(nowMs: number): void {
    if (this.#dueMs === 0) this.#dueMs = nowMs + orForEver(this.#requestTimeoutMs())
    if (this.#tryDueMs === 0) this.#tryDueMs = nowMs + orForEver(this.#delivery?.tryTimeoutMs ?? 0)
    const dueMs = this.#phase === WAITING ? this.#dueMs : Math.min(this.#dueMs, this.#tryDueMs)
    if (dueMs === Number.POSITIVE_INFINITY) this.#clearDeadline()
    else this.#setDeadline(Math.max(0, dueMs - nowMs), nowMs)
  }

  #requestTimeoutMs(): number {
    if (this.#delivery !== undefined) return this.#delivery.requestTimeoutMs
    const { action } = this.#route!.config
    return action.kind === 'app' ? action.requestTimeoutMs : this.#engine.limits.responseMs
  }

  /**
   * Has the request tried again if the policy, the budget and the time allow it, after a try that ended so; false: it is up
   * to the caller to end it.
   */
  #tryAgain(event: RetryCondition | number, request: UpstreamFailure['request']): boolean {
    const tries = this.#tries
    if (tries === undefined || this.#isResponseHeadSent) return false
    const nowMs = this.#engine.clock.monotonic()
    if (!tries.mayFollow(event, request, this.#hasSentBody) || (this.#dueMs > 0 && nowMs >= this.#dueMs)) return false
    if (!this.#group!.budget.take(nowMs)) return false
    this.#dropUpstream()
    this.#response = undefined
    this.#isEarly = false
    this.#status = 0
    this.#isWaitingForUpstream = false
    this.#phase = WAITING
    this.#waitForResponse(nowMs)
    const { clock, random } = this.#engine
    this.#cancelPause = clock.setTimer(tries.next(random), () => this.#guard(() => this.#try()), { keepAlive: false })
    return true
  }

  #try(): void {
    this.#cancelPause = undefined
    const nowMs = this.#engine.clock.monotonic()
    this.#attempt(this.#pick(this.#pool, nowMs) ?? this.#pool!, nowMs)
    this.#downstream.resume()
  }

  onUpstreamDrain(): void {
    if (!this.#isWaitingForUpstream) return
    this.#isWaitingForUpstream = false
    this.#setDeadline(this.#bodyMs)
    this.#downstream.resume()
  }

  onInterim(head: ResponseHead): void {
    this.#interim += 1
    if (this.#interim > MAX_INTERIM) {
      this.#dropUpstream()
      return this.#onLost(UPSTREAM_PROTOCOL, 'too many interim responses', 'seen')
    }
    const isWanted = head.status === 100 ? this.#head.expectContinue && !this.#isRequestRead : this.#head.minor === 1
    if (!isWanted) return
    const { status, headers, connectionNames, framing } = head
    const { drop } = planOf(this.#route!).response
    this.#downstream.interim({ status, headers, connectionNames, framing, edits: { drop } })
  }

  onResponseHead(head: ResponseHead): void {
    if (this.#group !== undefined && this.#noteResponse(head.status)) return
    this.#response = head
    this.#isEarly = !this.#isRequestRead
    this.#status = head.status
  }

  onResponseBody(slices: readonly Buffer[], done: boolean, received: HeaderLines | undefined): void {
    const trailers = received && withoutLines(received, planOf(this.#route!).response.drop)
    let isFlowing: boolean
    if (this.#isResponseHeadSent) {
      isFlowing = this.#downstream.respondBody(slices, done, trailers)
    } else {
      const written = this.#downstream.respond(this.#responseToWrite(this.#response!), slices, done, trailers)
      if (typeof written !== 'boolean') return this.#refuse(UNWRITABLE_HEAD, { outcome: 'failed' })
      this.#isResponseHeadSent = true
      if (!done && this.#isRequestRead) this.#clearDeadline()
      isFlowing = written
    }
    this.#bytesOut += totalLength(slices)
    if (done) return this.#onResponseDone()
    if (!isFlowing) {
      this.#upstream?.pause()
      this.#setDeadline(this.#bodyMs)
    }
  }

  #responseToWrite({ status, headers, connectionNames, framing, declaredLength }: ResponseHead): ResponseToWrite {
    const plan = planOf(this.#route!).response
    const edits = { drop: plan.drop, set: this.#responseHeadersToSet(headers, plan) }
    return { status, headers, connectionNames, framing, declaredLength, edits }
  }

  #responseHeadersToSet(received: HeaderLines, plan: HeaderPlan): readonly HeaderPair[] {
    const { setResponseHeaders, addResponseHeaders } = this.#facts
    const added = this.#withSession(addResponseHeaders)
    return headersToSet(received, plan, setResponseHeaders, added)
  }

  /** Tells the client which endpoint it is with, where that is another one than it believes. */
  #withSession(added: readonly HeaderPair[] | undefined): readonly HeaderPair[] | undefined {
    const { action } = this.#route!.config
    if (action.kind !== 'forward' || action.session === undefined || this.#pool === this.#sessionPool) return added
    const { isSecure } = this.#downstream.client
    return [...(added ?? []), sessionHeader(action.session, this.#pool!.sessionToken, isSecure, this.#timeMs)]
  }

  /** What a response says of its endpoint. True: the request is tried again in its place. */
  #noteResponse(status: number): boolean {
    const pool = this.#pool!
    const nowMs = this.#engine.clock.monotonic()
    if (this.#sentAtMs > 0) pool.latency.observe(nowMs - this.#sentAtMs, nowMs)
    if (status < 500) pool.health.succeed(nowMs)
    else pool.health.failToServe(nowMs)
    return status >= 400 && this.#tryAgain(status, 'seen')
  }

  #onResponseDone(): void {
    this.#isResponseDone = true
    const nowMs = this.#engine.clock.monotonic()
    const upstream = this.#upstream
    this.#upstream = undefined
    upstream?.release(nowMs)
    this.#finish(nowMs)
  }

  onUpstreamBroken({ kind, detail, request }: UpstreamFailure): void {
    this.#upstream = undefined
    this.#onLost(kind === 'protocol' ? UPSTREAM_PROTOCOL : UPSTREAM_RESET, detail, request)
  }

  /** The upstream failed while it had the request. */
  #onLost(denial: Denial, detail: string, request: UpstreamFailure['request']): void {
    if (this.#isResponseHeadSent) {
      this.#failEndpoint()
      return this.#abort('failed', { ...plainRefusal(denial), detail })
    }
    const attempt = {
      retries: this.#resends,
      request,
      method: this.#head.method,
      hasBody: this.#head.framing.kind !== 'none',
      hasSentBody: this.#hasSentBody && this.#tries?.canRepeatBody !== true,
    }
    if (!mayRetry(attempt)) {
      this.#failEndpoint()
      if (this.#tryAgain(request === 'unseen' ? 'refused-stream' : 'reset', request)) return
      return this.#refuse(denial, { outcome: 'failed', detail })
    }
    // A kept connection that turns out to be closed says nothing of the endpoint: a new one will.
    this.#resends += 1
    this.#open(this.#pool!)
  }

  #failEndpoint(): void {
    this.#pool?.health.fail(this.#engine.clock.monotonic())
  }

  onFault(err: unknown): void {
    this.#engine.log.error('request failed in the proxy', { err })
    this.#dropUpstream()
    this.#conclude('failed')
    this.#downstream.abort()
  }

  /** A mistake of ours ends this request and no other. */
  #guard(run: () => void): void {
    try {
      run()
    } catch (err) {
      this.onFault(err)
    }
  }

  onSwitched(head: ResponseHead, upstream: ByteStream, early: Buffer): void {
    this.#upstream = undefined
    if (this.#group !== undefined) this.#noteResponse(head.status)
    const about = {
      decisionId: this.#decisionId,
      upstream: this.#upstreamName,
      endpoint: this.#pool?.label,
      rule: this.#facts.rule,
      wouldDeny: this.#wouldDeny,
      refusal: undefined,
    }
    const judged: Judged = { by: this.#pipeline!, again: (pipeline) => this.#judgeAgain(pipeline) }
    const message: ResponseToWrite = { ...this.#responseToWrite(head), upgrade: 'websocket' }
    const problem = this.#downstream.tunnel(message, upstream, early, about, judged)
    if (problem !== undefined) {
      upstream.destroy()
      return this.#refuse(UNWRITABLE_HEAD, { outcome: 'failed' })
    }
    this.#status = head.status
    this.#isResponseDone = true
    // A tunnel may last longer than many pipelines.
    this.#pipeline = undefined
    this.#conclude('allowed')
  }

  /** Whether the request that a tunnel began with would still be let through. What did not change has judged already. */
  #judgeAgain(pipeline: Pipeline): Refusal | undefined | Promise<Refusal | undefined> {
    const { client, site } = this.#downstream
    const resolved = site.resolve(pipeline, this.#view!, this.#head, client)
    if (isDeny(resolved)) return refusalBy(resolved, undefined)
    const enforced = stepsChanged(this.#route!.chain, resolved.chain)
    this.#route = resolved
    const refusalIn = ({ verdict, step }: Decision) => (verdict.kind === 'deny' ? refusalBy(verdict, step) : undefined)
    const decided = decide({ enforced }, this.#view!, this.#facts)
    return 'then' in decided ? decided.then(refusalIn) : refusalIn(decided)
  }

  #refuse(denial: Denial, given: RefuseOptions = {}): void {
    const { outcome = 'denied', headers = [], detail } = given
    const refusal = given.refusal ?? { ...plainRefusal(denial), detail }
    const told = tellRefusal(denial, headers, this.#facts.refusalForm, this.#decisionId, this.#isGrpc)
    this.#respond(told, outcome, refusal)
  }

  /** Answers here. Whatever upstream there is has no part in it. */
  #respond(
    { status, meaning = status, headers, body }: Answered,
    outcome: Outcome,
    refusal: Refusal | undefined,
  ): void {
    this.#dropUpstream()
    if (this.#isResponseHeadSent) return this.#abort(outcome, refusal)
    this.#status = meaning
    this.#outcome = outcome
    this.#refusal = refusal
    const { setResponseHeaders = [], addResponseHeaders = [] } = this.#facts
    this.#downstream.respondLocally({
      status,
      headers: [...headers, ...setResponseHeaders, ...addResponseHeaders],
      body,
      isBroken: this.#isEarly,
      nowMs: this.#timeMs,
    })
    if (body !== undefined && this.#head.method !== 'HEAD') this.#bytesOut = Buffer.byteLength(body)
    this.#isResponseHeadSent = true
    this.#isResponseDone = true
    this.#finish()
  }

  /** The response cannot be ended properly: the client must see that. */
  #abort(outcome: Outcome, refusal: Refusal | undefined): void {
    this.#dropUpstream()
    this.#refusal = refusal
    this.#conclude(outcome)
    this.#downstream.abort()
  }

  #finish(nowMs: number = this.#engine.clock.monotonic()): void {
    this.#conclude(undefined, nowMs)
    this.#downstream.finished(nowMs)
  }

  #dropUpstream(): void {
    this.#cancelPause?.()
    this.#cancelPause = undefined
    const connecting = this.#connecting
    this.#connecting = undefined
    connecting?.abort()
    const upstream = this.#upstream
    this.#upstream = undefined
    upstream?.drop()
  }

  /** It is over: tells of it, once. */
  #conclude(outcome: Outcome | undefined, nowMs: number = this.#engine.clock.monotonic()): void {
    if (this.#phase === OVER) return
    this.#phase = OVER
    const engine = this.#engine
    if (this.#isCounted) engine.load.leave()
    this.#leaveGate()
    const head = this.#head
    const { client, site } = this.#downstream
    const facts = this.#facts
    const record: RequestRecord = {
      timeMs: this.#timeMs,
      durationMs: nowMs - this.#startMs,
      decisionId: this.#decisionId,
      requestId: this.#provenance?.requestId ?? this.#decisionId,
      direction: site.direction,
      listener: site.listener(head.host),
      spiffeId: client.peer.spiffeId,
      clientIp: this.#provenance?.clientIp ?? client.peer.ip,
      route: this.#route?.id ?? '',
      upstream: this.#upstreamName,
      endpoint: this.#pool?.label,
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
      bytesIn: this.#bytesIn,
      bytesOut: this.#bytesOut,
      retried: this.#resends > 0 || this.#hasTriedOther || (this.#tries?.made ?? 0) > 0,
    }
    engine.observer.request(record, this.#evidence())
  }

  #leaveGate(): void {
    const gate = this.#gate
    this.#gate = undefined
    if (this.#isInGate) gate?.leave()
    else gate?.cancel(this)
  }

  #evidence(): Evidence | undefined {
    if (this.#refusal?.filter === undefined && this.#wouldDeny === undefined) return undefined
    const { id, chain } = this.#route!
    return { request: this.#view!, facts: this.#facts, chain, route: id }
  }
}

/** Milliseconds, where 0 is no limit. */
function orForEver(limitMs: number): number {
  return limitMs === 0 ? Number.POSITIVE_INFINITY : limitMs
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

interface RefuseOptions {
  readonly outcome?: Outcome
  readonly refusal?: Refusal
  readonly headers?: readonly HeaderPair[]
  readonly detail?: string
}

function plainRefusal(denial: Denial): Refusal {
  return { denial: denial.name, filter: undefined, rule: undefined, origins: NONE, detail: undefined }
}

/** The first step that is not what it was and all behind it, which see what it finds out. What counts requests has counted. */
function stepsChanged(before: Chain, now: Chain): readonly Step[] {
  const known = before.enforced.filter(({ filter }) => filter.repeatable)
  const steps = now.enforced.filter(({ filter }) => filter.repeatable)
  const first = steps.findIndex(({ check }, index) => check !== known[index]?.check)
  return first === -1 ? [] : steps.slice(first)
}

/** What a policy said, and which one. */
export function refusalBy(verdict: Deny, step: Step | undefined): Refusal {
  return {
    denial: verdict.denial.name,
    filter: step?.filter.name,
    rule: verdict.rule,
    origins: verdict.origin === undefined ? (step?.origins ?? NONE) : [verdict.origin],
    detail: verdict.detail,
  }
}

const NONE: readonly string[] = Object.freeze([])
