import type { HashKey, RetryCondition, Session } from '../../contract/traffic.ts'
import type { RouteAction } from '../../contract/workload-config.ts'
import type { Denial, HeaderPair } from '../../model/verdict.ts'
import type { CancelTimer } from '../../runtime/clock.ts'
import type { ByteStream } from '../upstream/byte-stream.ts'
import { ConnectError } from '../upstream/connect.ts'
import type { Gate, GateWaiter } from '../upstream/gate.ts'
import { hashText } from '../upstream/hash-ring.ts'
import { type EndpointPool, type OpenedStream, PoolFullError } from '../upstream/pool.ts'
import { isRepeatable, mayRetry } from '../upstream/retry.ts'
import type { RetryReason } from '../upstream/upstream-events.ts'
import type { UpstreamGroup } from '../upstream/upstream-group.ts'
import type { HttpVersion, UpstreamFailure, UpstreamStream, UpstreamStreamUser } from '../upstream/upstream-stream.ts'
import type { Delivery } from './delivery.ts'
import {
  BACKEND_UNRESOLVED,
  connectDenial,
  GRPC_NEEDS_HTTP2,
  NO_ENDPOINTS,
  NO_WEBSOCKET,
  REQUEST_TIMEOUT,
  UNWRITABLE_HEAD,
  UPSTREAM_OVERFLOW,
  UPSTREAM_PROTOCOL,
  UPSTREAM_RESET,
  UPSTREAM_TIMEOUT,
} from './denials.ts'
import { IDENTITY_DROP } from './forwarded.ts'
import type { ForwardedRequest, RefuseOptions } from './forwarded-request.ts'
import { type HeaderLines, withoutLines } from './http1/header-lines.ts'
import type { ResponseHead } from './http1/message.ts'
import type { RequestToWrite, ResponseToWrite } from './http1/write-head.ts'
import type { Copy } from './mirrors.ts'
import { plainRefusal } from './refusal.ts'
import { requestToWrite } from './request-to-write.ts'
import { headersToSet, planOf, type RoutePlan } from './route-plan.ts'
import { cookieOf, sessionHeader, sessionOf } from './session.ts'
import { Tries } from './tries.ts'

/** 1xx responses to one request that are passed on; more are no answer (F14). */
const MAX_INTERIM = 8

export const RETRY_AFTER: readonly HeaderPair[] = [['retry-after', '1']]

const NO_SLICES: readonly Buffer[] = Object.freeze([])

/** Bytes of a request's body beyond which it shares no connection: what one window of a stream between sidecars takes. */
const MAX_SHARED_BYTES = 65_536

/** Where a request that was let through is on its way. */
const WAITING = 0
const CONNECTING = 1
const STREAMING = 2

/**
 * The upstream's half of an exchange: who is asked, how often and for how long, what is sent there and what comes back. It
 * knows nothing of how a request is judged, and the exchange knows nothing of endpoints.
 */
export class Forwarding implements UpstreamStreamUser, GateWaiter {
  readonly #request: ForwardedRequest
  readonly #plan: RoutePlan
  #phase = WAITING
  #upstreamName = ''
  #group: UpstreamGroup | undefined
  #pool: EndpointPool | undefined
  /** The endpoint that the request's session is with. */
  #sessionPool: EndpointPool | undefined
  #delivery: Delivery | undefined
  /** Undefined where no policy has it tried again. */
  #tries: Tries | undefined
  #gate: Gate | undefined
  #isInGate = false
  #copy: Copy | undefined
  #cancelPause: CancelTimer | undefined
  /** When no more is waited for a response, and for this try's: monotonic, 0 while it is not settled. */
  #dueMs = 0
  #tryDueMs = 0
  /** When the whole request had gone out. */
  #sentAtMs = 0
  /** When silence becomes suspicious: monotonic, infinite where nothing would follow from it. */
  #silentAtMs = Number.POSITIVE_INFINITY
  #connecting: { abort(): void } | undefined
  #upstream: UpstreamStream | undefined
  #isHeadPending = false
  #hasSentBody = false
  #isWaitingForUpstream = false
  #resends = 0
  #hasTriedOther = false
  #interim = 0
  #response: ResponseHead | undefined

  constructor(request: ForwardedRequest) {
    this.#request = request
    this.#plan = planOf(request.route)
  }

  /** For records. */
  get upstream(): string {
    return this.#upstreamName
  }

  get endpoint(): string | undefined {
    return this.#pool?.label
  }

  get isRetried(): boolean {
    return this.#resends > 0 || this.#hasTriedOther || (this.#tries?.made ?? 0) > 0
  }

  get wantsBody(): boolean {
    return this.#phase === STREAMING && !this.#isWaitingForUpstream
  }

  /** To the application beside the proxy. */
  toApp(app: EndpointPool): void {
    this.#upstreamName = 'app'
    this.#attempt(app, this.#request.startMs)
  }

  toUpstream({ session, mirrors }: Extract<RouteAction, { kind: 'forward' }>): void {
    const { engine, head, startMs } = this.#request
    const plan = this.#plan
    if (session !== undefined) this.#findSession(session)
    if (this.#upstreamName === '') this.#upstreamName = plan.nextBackend()
    if (this.#upstreamName === '') return this.#refuse(BACKEND_UNRESOLVED, {})
    const group = engine.upstreams.get(this.#upstreamName)
    if (group === undefined) return this.#refuse(NO_ENDPOINTS, { headers: RETRY_AFTER })
    this.#group = group
    const delivery = plan.deliveryTo(this.#upstreamName, group.traffic)
    this.#delivery = delivery
    if (delivery.retry !== undefined) {
      group.budget.request(startMs)
      this.#tries = new Tries(delivery.retry, head.method)
    }
    if (mirrors !== undefined) this.#copy = engine.mirrors.begin(mirrors)
    const { gate } = group
    if (gate === undefined) return this.#begin()
    const said = gate.enter(this)
    if (said === 'full') {
      const detail = `${gate.inFlight} requests are under way, and ${gate.waiting} wait`
      engine.upstreams.events.overflowed(this.#upstreamName, 'requests')
      return this.#refuse(UPSTREAM_OVERFLOW, { headers: RETRY_AFTER, detail })
    }
    this.#gate = gate
    if (said === 'in') {
      this.#isInGate = true
      return this.#begin()
    }
    this.#phase = WAITING
    this.#waitForResponse(startMs)
  }

  /** Some of the body, or the end of it. */
  onRequestBody(slices: readonly Buffer[], trailers: HeaderLines | undefined): void {
    if (this.#phase !== STREAMING) return
    this.#tries?.keep(slices, trailers !== undefined)
    this.#copy?.add(slices)
    this.#send(slices, trailers && withoutLines(trailers, IDENTITY_DROP))
  }

  flush(): void {
    if (this.#phase === STREAMING && this.#isHeadPending) this.#send(NO_SLICES, undefined)
  }

  /** The client takes more of the response. */
  resume(): void {
    this.#upstream?.resume()
  }

  onDeadline(): void {
    switch (this.#phase) {
      case WAITING:
        return this.#refuse(UPSTREAM_TIMEOUT, {})
      case CONNECTING:
        this.#failEndpoint()
        if (this.#tryAgain('timeout', 'unseen')) return
        return this.#refuse(UPSTREAM_TIMEOUT, {})
      case STREAMING: {
        const request = this.#request
        // Nobody takes what was written (T20).
        if (request.isResponseHeadSent) return request.abort('aborted', undefined)
        if (!request.isRequestRead && !this.#isWaitingForUpstream) {
          return this.#refuse(REQUEST_TIMEOUT, { isBroken: true })
        }
        const nowMs = request.engine.clock.monotonic()
        if (nowMs >= this.#silentAtMs) return this.#onSilence(nowMs)
        this.#failEndpoint()
        if (this.#tryAgain('timeout', 'seen')) return
        return this.#refuse(UPSTREAM_TIMEOUT, {})
      }
    }
  }

  /** Gives up what is under way there. */
  drop(): void {
    this.#cancelPause?.()
    this.#cancelPause = undefined
    const connecting = this.#connecting
    this.#connecting = undefined
    connecting?.abort()
    const upstream = this.#upstream
    this.#upstream = undefined
    upstream?.drop()
  }

  /** The request is over: it counts no more. */
  leave(): void {
    const gate = this.#gate
    this.#gate = undefined
    if (this.#isInGate) gate?.leave()
    else gate?.cancel(this)
  }

  onAdmitted(): void {
    this.#isInGate = true
    this.#request.guard(() => {
      this.#begin()
      this.#request.downstream.resume()
    })
  }

  /** The endpoint that the client was told of, if it is one of the route's. */
  #findSession(session: Session): void {
    const { engine, head, timeMs, startMs } = this.#request
    const token = sessionOf(session, head.headers, timeMs)
    if (token === undefined) return
    for (const upstream of this.#plan.upstreams) {
      this.#sessionPool = engine.upstreams.get(upstream)?.ofSession(token, startMs)
      if (this.#sessionPool === undefined) continue
      this.#upstreamName = upstream
      return
    }
  }

  #begin(): void {
    const { startMs } = this.#request
    const pool = this.#sessionPool ?? this.#pick(undefined, startMs)
    if (pool === undefined) return this.#refuse(NO_ENDPOINTS, { headers: RETRY_AFTER })
    this.#attempt(pool, startMs)
  }

  #pick(except: EndpointPool | undefined, nowMs: number): EndpointPool | undefined {
    const { site } = this.#request.downstream
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
    const { headers } = this.#request.head
    const value = from === 'header' ? headers.get(name) : cookieOf(headers, name)
    return value === undefined ? undefined : hashText(value)
  }

  /** `nowMs` is monotonic, and not long ago. */
  #attempt(pool: EndpointPool, nowMs: number): void {
    this.#pool = pool
    this.#tryDueMs = 0
    this.#silentAtMs = Number.POSITIVE_INFINITY
    pool.health.ask(nowMs)
    const stream = pool.takeStream(nowMs, this.#preferred())
    if (stream === undefined) this.#open(pool)
    else this.#attach(stream)
  }

  /**
   * What is spoken to another sidecar, which takes either: HTTP/2, whatever came in, so that the requests of one turn share one
   * write and their answers one read (ADR 66). What is a stream of bytes, a WebSocket or a large upload, has a connection of its own
   * where its client has one.
   */
  #preferred(): HttpVersion {
    const { head, downstream } = this.#request
    const isStream =
      head.upgrade !== undefined || (head.framing.kind === 'length' && head.framing.bytes > MAX_SHARED_BYTES)
    return isStream ? downstream.version : 'http2'
  }

  #open(pool: EndpointPool): void {
    const request = this.#request
    this.#phase = CONNECTING
    if (request.isRequestRead) this.#waitForResponse(request.engine.clock.monotonic())
    this.#connecting = pool.openStream(this.#preferred(), (opened) => request.guard(() => this.#onOpened(opened)))
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
    this.#request.downstream.resume()
  }

  #onConnectFailed(failure: ConnectError | PoolFullError): void {
    if (failure instanceof PoolFullError) {
      this.#request.engine.upstreams.events.overflowed(this.#upstreamName, 'connections')
      return this.#refuse(UPSTREAM_OVERFLOW, { headers: RETRY_AFTER, detail: failure.message })
    }
    this.#failEndpoint()
    // Nobody has seen it: to ask somebody else once costs nobody anything, and no budget.
    if (this.#turnElsewhere('connect-failure')) return this.#request.downstream.resume()
    if (this.#tryAgain('connect-failure', 'unseen')) return
    const detail = `${failure.reason}: ${failure.message}`
    const outcome = failure.reason === 'forbidden' ? 'denied' : 'failed'
    this.#request.refuse(connectDenial(failure), { outcome, detail })
  }

  /** Asks another endpoint, once a request. False: there is none, or it may not be. */
  #turnElsewhere(because: RetryReason): boolean {
    if (this.#hasTriedOther || this.#upstreamName === 'app' || this.#tries?.isOff === true) return false
    const { engine } = this.#request
    const nowMs = engine.clock.monotonic()
    const other = this.#pick(this.#pool, nowMs)
    if (other === undefined) return false
    engine.upstreams.events.retried(this.#upstreamName, because)
    this.#hasTriedOther = true
    this.drop()
    this.#attempt(other, nowMs)
    return true
  }

  /**
   * Nothing has come for a while. Whether the endpoint is slow or gone shows a new connection: where that cannot be made, a
   * request that may be repeated is not left to its timeout (F15). All others wait on.
   */
  #onSilence(nowMs: number): void {
    const request = this.#request
    const upstream = this.#upstream
    this.#silentAtMs = Number.POSITIVE_INFINITY
    this.#waitForResponse(nowMs)
    this.#pool?.probe((isThere) =>
      request.guard(() => {
        if (isThere || upstream === undefined || this.#upstream !== upstream || request.isResponseHeadSent) return
        this.#turnElsewhere('unreachable')
      }),
    )
  }

  #attach(stream: UpstreamStream): void {
    const request = this.#request
    this.#phase = STREAMING
    this.#upstream = stream
    stream.user = this
    if (request.isGrpc && stream.version === 'http1' && request.downstream.version === 'http2') {
      return this.#refuse(GRPC_NEEDS_HTTP2, {})
    }
    if (request.head.upgrade !== undefined && !stream.takesWebSocket) return this.#refuse(NO_WEBSOCKET, {})
    this.#isHeadPending = true
    const sentBefore = this.#tries?.body ?? NO_SLICES
    if (request.isRequestRead || sentBefore.length > 0) this.#send(sentBefore, undefined)
    else request.setDeadline(request.bodyMs)
  }

  /** Sends what was just read of the body, behind the head if that is still to go: one write. */
  #send(slices: readonly Buffer[], trailers: HeaderLines | undefined): void {
    const request = this.#request
    const done = request.isRequestRead
    const upstream = this.#upstream!
    let isFlowing: boolean
    if (this.#isHeadPending) {
      const message = this.#requestToWrite()
      const sent = message === undefined ? undefined : upstream.sendHead(message, slices, done, trailers)
      if (typeof sent !== 'boolean') return this.#refuse(UNWRITABLE_HEAD, {})
      this.#isHeadPending = false
      isFlowing = sent
    } else {
      isFlowing = upstream.sendBody(slices, done, trailers)
    }
    if (slices.length > 0) this.#hasSentBody = true
    if (done) return this.#onRequestSent()
    if (!isFlowing) {
      this.#isWaitingForUpstream = true
      request.downstream.pause()
    }
    request.setDeadline(request.bodyMs)
  }

  #requestToWrite(): RequestToWrite | undefined {
    const { head, route, facts, provenance, downstream, trace } = this.#request
    return requestToWrite(head, route.config, this.#plan, facts, provenance, downstream, trace)
  }

  #onRequestSent(): void {
    const { isResponseHeadSent, engine, head } = this.#request
    if (isResponseHeadSent) return
    const nowMs = engine.clock.monotonic()
    this.#sentAtMs = nowMs
    const isMovable = !this.#hasTriedOther && this.#group !== undefined && isRepeatable(head)
    this.#silentAtMs = isMovable ? nowMs + engine.limits.silenceMs : Number.POSITIVE_INFINITY
    this.#waitForResponse(nowMs)
    const copy = this.#copy
    if (copy === undefined) return
    this.#copy = undefined
    const message = this.#requestToWrite()
    if (message !== undefined) engine.mirrors.send(copy, message, this.#preferred())
  }

  /** For no longer than the request, and this try of it, may take. */
  #waitForResponse(nowMs: number): void {
    if (this.#dueMs === 0) this.#dueMs = nowMs + orForEver(this.#requestTimeoutMs())
    if (this.#tryDueMs === 0) this.#tryDueMs = nowMs + orForEver(this.#delivery?.tryTimeoutMs ?? 0)
    const dueMs = this.#phase === WAITING ? this.#dueMs : Math.min(this.#dueMs, this.#tryDueMs, this.#silentAtMs)
    if (dueMs === Number.POSITIVE_INFINITY) this.#request.clearDeadline()
    else this.#request.setDeadline(Math.max(0, dueMs - nowMs), nowMs)
  }

  #requestTimeoutMs(): number {
    if (this.#delivery !== undefined) return this.#delivery.requestTimeoutMs
    const { route, engine } = this.#request
    const { action } = route.config
    return action.kind === 'app' ? action.requestTimeoutMs : engine.limits.responseMs
  }

  /**
   * Has the request tried again if the policy, the budget and the time allow it, after a try that ended so; false: it is up
   * to the caller to end it.
   */
  #tryAgain(event: RetryCondition | number, seen: UpstreamFailure['request']): boolean {
    const request = this.#request
    const tries = this.#tries
    if (tries === undefined || request.isResponseHeadSent) return false
    const { clock, random, upstreams } = request.engine
    const nowMs = clock.monotonic()
    if (!tries.mayFollow(event, seen, this.#hasSentBody) || (this.#dueMs > 0 && nowMs >= this.#dueMs)) return false
    if (!this.#group!.budget.take(nowMs)) {
      upstreams.events.retryRefused(this.#upstreamName)
      return false
    }
    upstreams.events.retried(this.#upstreamName, typeof event === 'number' ? 'status' : event)
    this.drop()
    this.#response = undefined
    request.onStatus(undefined)
    this.#isWaitingForUpstream = false
    this.#phase = WAITING
    this.#waitForResponse(nowMs)
    this.#cancelPause = clock.setTimer(tries.next(random), () => request.guard(() => this.#try()), { keepAlive: false })
    return true
  }

  #try(): void {
    this.#cancelPause = undefined
    const nowMs = this.#request.engine.clock.monotonic()
    this.#attempt(this.#pick(this.#pool, nowMs) ?? this.#pool!, nowMs)
    this.#request.downstream.resume()
  }

  onUpstreamDrain(): void {
    if (!this.#isWaitingForUpstream) return
    this.#isWaitingForUpstream = false
    this.#request.setDeadline(this.#request.bodyMs)
    this.#request.downstream.resume()
  }

  onInterim(head: ResponseHead): void {
    this.#interim += 1
    if (this.#interim > MAX_INTERIM) {
      this.drop()
      return this.#onLost(UPSTREAM_PROTOCOL, 'too many interim responses', 'seen')
    }
    const request = this.#request
    const { minor, expectContinue } = request.head
    const isWanted = head.status === 100 ? expectContinue && !request.isRequestRead : minor === 1
    if (!isWanted) return
    const { status, headers, connectionNames, framing } = head
    const { drop } = this.#plan.response
    request.downstream.interim({ status, headers, connectionNames, framing, edits: { drop } })
  }

  onResponseHead(head: ResponseHead): void {
    if (this.#group !== undefined && this.#noteResponse(head.status)) return
    this.#response = head
    this.#request.onStatus(head.status)
  }

  onResponseBody(slices: readonly Buffer[], done: boolean, received: HeaderLines | undefined): void {
    const request = this.#request
    const trailers = received && withoutLines(received, this.#plan.response.drop)
    const message = request.isResponseHeadSent ? undefined : this.#responseToWrite(this.#response!)
    const isFlowing = request.passOn(message, slices, done, trailers)
    if (isFlowing === undefined) return
    if (done) {
      const nowMs = request.engine.clock.monotonic()
      const upstream = this.#upstream
      this.#upstream = undefined
      upstream?.release(nowMs)
      return request.onResponseDone(nowMs)
    }
    if (!isFlowing) {
      this.#upstream?.pause()
      request.setDeadline(request.bodyMs)
    }
  }

  #responseToWrite({ status, headers, connectionNames, framing, declaredLength }: ResponseHead): ResponseToWrite {
    const plan = this.#plan.response
    const { setResponseHeaders, addResponseHeaders } = this.#request.facts
    const added = this.#withSession(addResponseHeaders)
    const edits = { drop: plan.drop, set: headersToSet(headers, plan, setResponseHeaders, added) }
    return { status, headers, connectionNames, framing, declaredLength, edits }
  }

  /** Tells the client which endpoint it is with, where that is another one than it believes. */
  #withSession(added: readonly HeaderPair[] | undefined): readonly HeaderPair[] | undefined {
    const { route, downstream, timeMs } = this.#request
    const { action } = route.config
    if (action.kind !== 'forward' || action.session === undefined || this.#pool === this.#sessionPool) return added
    const { isSecure } = downstream.client
    return [...(added ?? []), sessionHeader(action.session, this.#pool!.sessionToken, isSecure, timeMs)]
  }

  /** What a response says of its endpoint. True: the request is tried again in its place. */
  #noteResponse(status: number): boolean {
    const pool = this.#pool!
    const nowMs = this.#request.engine.clock.monotonic()
    if (this.#sentAtMs > 0) pool.latency.observe(nowMs - this.#sentAtMs, nowMs)
    if (status < 500) pool.health.succeed(nowMs)
    else pool.health.failToServe(nowMs)
    return status >= 400 && this.#tryAgain(status, 'seen')
  }

  onSwitched(head: ResponseHead, bytes: ByteStream, early: Buffer): void {
    this.#upstream = undefined
    if (this.#group !== undefined) this.#noteResponse(head.status)
    this.#request.onSwitched({ ...this.#responseToWrite(head), upgrade: 'websocket' }, bytes, early)
  }

  onUpstreamBroken({ kind, detail, request }: UpstreamFailure): void {
    this.#upstream = undefined
    this.#onLost(kind === 'protocol' ? UPSTREAM_PROTOCOL : UPSTREAM_RESET, detail, request)
  }

  onFault(err: unknown): void {
    this.#request.onFault(err)
  }

  /** The upstream failed while it had the request. */
  #onLost(denial: Denial, detail: string, seen: UpstreamFailure['request']): void {
    const request = this.#request
    if (request.isResponseHeadSent) {
      this.#failEndpoint()
      return request.abort('failed', plainRefusal(denial, detail))
    }
    const attempt = {
      retries: this.#resends,
      request: seen,
      method: request.head.method,
      hasBody: request.head.framing.kind !== 'none',
      hasSentBody: this.#hasSentBody && this.#tries?.canRepeatBody !== true,
    }
    if (!mayRetry(attempt)) {
      this.#failEndpoint()
      if (this.#tryAgain(seen === 'unseen' ? 'refused-stream' : 'reset', seen)) return
      return this.#refuse(denial, { detail })
    }
    // A kept connection that turns out to be closed says nothing of the endpoint: a new one will.
    this.#resends += 1
    const because = seen === 'unseen' ? 'refused-stream' : 'stale-connection'
    request.engine.upstreams.events.retried(this.#upstreamName, because)
    this.#open(this.#pool!)
  }

  #failEndpoint(): void {
    this.#pool?.health.fail(this.#request.engine.clock.monotonic())
  }

  #refuse(denial: Denial, options: RefuseOptions): void {
    this.#request.refuse(denial, { outcome: 'failed', ...options })
  }
}

/** Milliseconds, where 0 is no limit. */
function orForEver(limitMs: number): number {
  return limitMs === 0 ? Number.POSITIVE_INFINITY : limitMs
}
