import type { RouteAction } from '../../contract/workload-config.ts'
import type { Facts } from '../../model/request.ts'
import type { Answer, Denial, Deny, HeaderPair } from '../../model/verdict.ts'
import { type Decision, decide } from '../compile/decide.ts'
import type { Chain, CompiledRoute, Pipeline, Step } from '../compile/pipeline.ts'
import type { ConnectError } from '../upstream/connect.ts'
import { UpstreamConnection, type UpstreamUser } from '../upstream/connection.ts'
import { type EndpointPool, PoolFullError } from '../upstream/pool.ts'
import { mayRetry } from '../upstream/retry.ts'
import {
  BACKEND_UNRESOLVED,
  connectDenial,
  DECISION_TIMEOUT,
  denialOf,
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
import type { Engine } from './engine.ts'
import { type Provenance, provenanceFromOutside, provenanceFromPeer, provenanceFromWorkload } from './forwarded.ts'
import { bodyReader } from './http1/body.ts'
import { encodeChunk, totalLength } from './http1/chunk.ts'
import type { HeaderLines } from './http1/header-lines.ts'
import type { BodyReader, BodySink, Framing, RequestHead, ResponseHead } from './http1/message.ts'
import { UNWRITABLE } from './http1/problem.ts'
import { isUpgradeAccepted } from './http1/websocket.ts'
import { framingTowards, writeRequestHead, writeResponseHead } from './http1/write-head.ts'
import { writeLocalResponse } from './local-response.ts'
import type { Evidence, Outcome, Refusal, RequestRecord } from './observation.ts'
import type { Judged } from './open-tunnels.ts'
import { redirectLocation } from './redirect.ts'
import { HttpRequestView } from './request-view.ts'
import { type HeaderPlan, headersToSet, planOf, type RoutePlan, rewritePath, withoutIdentity } from './route-plan.ts'
import { type Downstream, isDeny, type Transaction } from './site.ts'
import { tellRefusal } from './tell-refusal.ts'

/** 1xx responses to one request that are passed on; more are no answer (F14). */
const MAX_INTERIM = 8

/** Bytes of a refused request's body that are read past, so that the connection can be used again. */
const MAX_DISCARDED_BYTES = 65_536

const RETRY_AFTER: readonly HeaderPair[] = [['retry-after', '1']]

/** Where a request is on its way. */
const DECIDING = 0
const CONNECTING = 1
const STREAMING = 2
const DISCARDING = 3
const OVER = 4

/**
 * One request and its response: judged, refused or answered or forwarded, told of once.
 *
 * All of it runs synchronously as long as the checks do and a kept connection is there.
 */
export class Exchange implements Transaction, UpstreamUser, BodySink {
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

  #requestReader: BodyReader
  #pool: EndpointPool | undefined
  #upstreamName = ''
  #connecting: { abort(): void } | undefined
  #connection: UpstreamConnection | undefined
  #isHeadPending = false
  #hasWritten = false
  #hasRead = false
  #isWaitingForUpstream = false
  #wasReused = false
  #resends = 0
  #hasTriedOther = false
  #interim = 0

  #response: ResponseHead | undefined
  #responseReader: BodyReader | undefined
  #responseFraming: Framing | undefined
  #isResponseHeadSent = false
  #isResponseDone = false
  #isEarly = false
  #hasExcess = false
  #willClose = false

  /** Slices of what is read just now; emptied before the read returns to the socket. */
  readonly #slices: Buffer[] = []
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
    this.#requestReader = bodyReader(head.framing, 'client')
  }

  get wantsBody(): boolean {
    const isReading = this.#phase === STREAMING || this.#phase === DISCARDING
    return isReading && !this.#requestReader.done && !this.#isWaitingForUpstream
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
    this.#downstream.setDeadline(engine.limits.headMs, this.#startMs)
    decided.then((decision) =>
      this.#guard(() => {
        if (this.#phase !== DECIDING) return
        this.#onDecision(decision)
        this.#downstream.resume()
      }),
    )
  }

  consume(chunk: Buffer, start: number, end: number): number {
    const next = this.#requestReader.read(chunk, start, end, this)
    if (typeof next !== 'number') {
      this.#slices.length = 0
      this.#isEarly = true
      this.#refuse(denialOf(next), { outcome: 'malformed' })
      return end
    }
    for (const slice of this.#slices) this.#bytesIn += slice.length
    if (this.#phase === DISCARDING) {
      this.#slices.length = 0
      if (this.#requestReader.done) this.#finish()
      return next
    }
    this.#sendBody()
    return next
  }

  flush(): void {
    if (this.#phase === STREAMING && this.#isHeadPending) this.#sendBody()
  }

  onBody(chunk: Buffer, start: number, end: number): void {
    this.#slices.push(chunk.subarray(start, end))
  }

  onDownstreamDrain(): void {
    if (this.#phase !== STREAMING || this.#isResponseDone) return
    if (this.#isResponseHeadSent) {
      if (this.#requestReader.done) this.#downstream.clearDeadline()
      else this.#downstream.setDeadline(this.#engine.limits.bodyMs)
      this.#connection?.resume()
    }
  }

  onClientEnd(): boolean {
    if (this.#requestReader.done) return false
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

  #giveUp(): void {
    switch (this.#phase) {
      case DECIDING:
        return this.#refuse(DECISION_TIMEOUT, { outcome: 'failed' })
      case CONNECTING:
        return this.#refuse(UPSTREAM_TIMEOUT, { outcome: 'failed' })
      case DISCARDING:
        return this.#abort(this.#outcome, this.#refusal)
      case STREAMING:
        // Nobody takes what was written (T20).
        if (this.#isResponseHeadSent) return this.#abort('aborted', undefined)
        if (!this.#requestReader.done && !this.#isWaitingForUpstream) {
          this.#isEarly = true
          return this.#refuse(REQUEST_TIMEOUT, { outcome: 'failed' })
        }
        this.#failEndpoint()
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
    this.#respond(status, headers, body, 'answered', undefined)
  }

  #act(action: RouteAction): void {
    switch (action.kind) {
      case 'app': {
        const { app } = this.#downstream.site
        if (app === undefined) return this.#refuse(NO_ENDPOINTS, { outcome: 'failed' })
        this.#upstreamName = 'app'
        return this.#attempt(app)
      }
      case 'forward': {
        this.#plan = planOf(this.#route!)
        this.#upstreamName = this.#plan.nextBackend()
        if (this.#upstreamName === '') return this.#refuse(BACKEND_UNRESOLVED, { outcome: 'failed' })
        const pool = this.#pick(undefined)
        if (pool === undefined) return this.#refuse(NO_ENDPOINTS, { outcome: 'failed', headers: RETRY_AFTER })
        return this.#attempt(pool)
      }
      case 'redirect': {
        const { site } = this.#downstream
        const location = redirectLocation(this.#route!.config, this.#view!, this.#head, site)
        return this.#respond(action.status, [['location', location]], undefined, 'answered', undefined)
      }
      case 'respond':
        return this.#respond(action.status, [], undefined, 'answered', undefined)
    }
  }

  #pick(except: EndpointPool | undefined): EndpointPool | undefined {
    const { upstreams } = this.#engine
    const { site } = this.#downstream
    if (site.endpoint !== undefined) {
      const only = site.endpoint(this.#upstreamName)
      return only === except ? undefined : only
    }
    const group = upstreams.get(this.#upstreamName)
    return group === undefined ? undefined : upstreams.pick(group, this.#startMs, except)
  }

  #attempt(pool: EndpointPool): void {
    this.#pool = pool
    const kept = pool.take(this.#startMs)
    if (kept === undefined) this.#open(pool)
    else this.#attach(kept)
  }

  #open(pool: EndpointPool): void {
    this.#phase = CONNECTING
    this.#connecting = pool.open((opened) =>
      this.#guard(() => {
        const isWanted = this.#connecting !== undefined
        this.#connecting = undefined
        if (opened instanceof UpstreamConnection) {
          if (!isWanted) return opened.destroy()
          this.#attach(opened)
          this.#downstream.resume()
        } else if (isWanted) {
          this.#onConnectFailed(opened)
        }
      }),
    )
  }

  #onConnectFailed(failure: ConnectError | PoolFullError): void {
    if (failure instanceof PoolFullError) {
      return this.#refuse(UPSTREAM_OVERFLOW, { outcome: 'failed', headers: RETRY_AFTER, detail: failure.message })
    }
    this.#failEndpoint()
    const other = this.#hasTriedOther || this.#upstreamName === 'app' ? undefined : this.#pick(this.#pool)
    if (other !== undefined) {
      this.#hasTriedOther = true
      this.#attempt(other)
      return this.#downstream.resume()
    }
    const detail = `${failure.reason}: ${failure.message}`
    this.#refuse(connectDenial(failure), { outcome: failure.reason === 'forbidden' ? 'denied' : 'failed', detail })
  }

  #attach(connection: UpstreamConnection): void {
    this.#phase = STREAMING
    this.#connection = connection
    this.#wasReused = connection.uses > 1
    this.#hasRead = false
    connection.user = this
    connection.parser.expect(this.#head)
    this.#isHeadPending = true
    if (this.#requestReader.done) this.#sendBody()
    else this.#downstream.setDeadline(this.#engine.limits.bodyMs)
  }

  /** Writes what was just read of the body, behind the head if that is still to go: one write. */
  #sendBody(): void {
    const slices = this.#slices
    const { done } = this.#requestReader
    const connection = this.#connection!
    let bytes: Buffer
    if (this.#isHeadPending) {
      const written = this.#writeHead(done)
      slices.length = 0
      if (!Buffer.isBuffer(written)) return this.#refuse(UNWRITABLE_HEAD, { outcome: 'failed' })
      this.#isHeadPending = false
      bytes = written
    } else {
      bytes =
        this.#head.framing.kind === 'chunked'
          ? encodeChunk(slices, done)
          : slices.length === 1
            ? slices[0]!
            : Buffer.concat(slices)
      slices.length = 0
    }
    if (bytes.length > 0) {
      this.#hasWritten = true
      if (!connection.write(bytes) && !done) {
        this.#isWaitingForUpstream = true
        this.#downstream.pause()
      }
    }
    if (done) this.#onRequestRead()
    else this.#downstream.setDeadline(this.#engine.limits.bodyMs)
  }

  #writeHead(done: boolean): ReturnType<typeof writeRequestHead> {
    const head = this.#head
    const route = this.#route!.config
    const facts = this.#facts
    const plan = this.#plan ?? planOf(this.#route!)
    const { client, site } = this.#downstream
    const lines = client.forwarded.for(this.#provenance!, site.direction !== 'outbound')
    if (lines === undefined) return UNWRITABLE
    const path = rewritePath(head.path, route)
    const { action } = route
    const rewriteHost = action.kind === 'forward' ? action.rewriteHost : undefined
    const host = rewriteHost ?? head.authority
    return writeRequestHead(
      {
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
      },
      { slices: this.#slices, done },
    )
  }

  #onRequestRead(): void {
    const action = this.#route!.config.action
    if (this.#isResponseHeadSent) {
      if (this.#isResponseDone) this.#finish()
      return
    }
    const timeoutMs =
      action.kind === 'app' || action.kind === 'forward' ? action.requestTimeoutMs : this.#engine.limits.responseMs
    if (timeoutMs === 0) this.#downstream.clearDeadline()
    else this.#downstream.setDeadline(timeoutMs)
  }

  onUpstreamDrain(): void {
    this.#guard(() => {
      if (!this.#isWaitingForUpstream) return
      this.#isWaitingForUpstream = false
      this.#downstream.setDeadline(this.#engine.limits.bodyMs)
      this.#downstream.resume()
    })
  }

  onUpstreamData(bytes: Buffer, length: number): void {
    try {
      this.#readResponse(bytes, length)
    } catch (err) {
      this.#onFault(err)
    }
  }

  #readResponse(bytes: Buffer, length: number): void {
    this.#hasRead = true
    let at = 0
    while (this.#responseReader === undefined) {
      const { parser } = this.#connection!
      const head = parser.parse(bytes, at, length)
      if (head === undefined) return
      if (head.kind === 'problem') return this.#onUpstreamBroken(UPSTREAM_PROTOCOL, head.reason)
      at = parser.offset
      if (!head.interim) {
        if (!this.#onResponseHead(head, bytes, at, length)) return
      } else if (!this.#relayInterim(head)) {
        return
      }
    }
    const next = this.#responseReader.read(bytes, at, length, this)
    if (typeof next !== 'number') {
      // What was whole up to there may go; it will be seen that more should have come.
      this.#slices.length = 0
      return this.#onUpstreamBroken(UPSTREAM_PROTOCOL, next.reason)
    }
    if (next < length) this.#hasExcess = true
    this.#sendResponse()
  }

  onUpstreamEnd(): void {
    this.#guard(() => {
      if (this.#isResponseDone) return
      const isWhole = this.#responseReader?.close() === undefined && this.#responseReader?.done === true
      if (isWhole) this.#sendResponse()
      else this.#connection?.destroy()
    })
  }

  onUpstreamClose(error: Error | undefined): void {
    this.#guard(() => {
      this.#connection = undefined
      if (this.#phase !== STREAMING || this.#isResponseDone) return
      this.#onUpstreamBroken(UPSTREAM_RESET, error?.message ?? 'closed')
    })
  }

  /** A mistake of ours ends this request and no other. */
  #guard(run: () => void): void {
    try {
      run()
    } catch (err) {
      this.#onFault(err)
    }
  }

  #onFault(err: unknown): void {
    this.#engine.log.error('request failed in the proxy', { err })
    this.#dropUpstream()
    this.#conclude('failed')
    this.#downstream.abort()
  }

  /** The upstream failed while it had the request. */
  #onUpstreamBroken(denial: Denial, detail: string): void {
    this.#dropUpstream()
    if (this.#isResponseHeadSent) {
      this.#failEndpoint()
      return this.#abort('failed', { ...plainRefusal(denial), detail })
    }
    const { method, framing } = this.#head
    const attempt = {
      retries: this.#resends,
      hasWritten: this.#hasWritten,
      hasRead: this.#hasRead,
      wasReused: this.#wasReused,
      method,
      hasBody: framing.kind !== 'none',
    }
    if (!mayRetry(attempt)) {
      this.#failEndpoint()
      return this.#refuse(denial, { outcome: 'failed', detail })
    }
    // A kept connection that turns out to be closed says nothing of the endpoint: a new one will.
    this.#resends += 1
    this.#hasWritten = false
    this.#open(this.#pool!)
  }

  #failEndpoint(): void {
    this.#pool?.health.fail(this.#engine.clock.monotonic())
  }

  #relayInterim(head: ResponseHead): boolean {
    this.#interim += 1
    if (this.#interim > MAX_INTERIM) {
      this.#onUpstreamBroken(UPSTREAM_PROTOCOL, 'too many interim responses')
      return false
    }
    const isWanted =
      head.status === 100 ? this.#head.expectContinue && !this.#requestReader.done : this.#head.minor === 1
    if (isWanted) {
      const { status, headers, connectionNames, framing } = head
      const drop = planOf(this.#route!).response.drop
      const written = writeResponseHead({ status, headers, connectionNames, framing, edits: { drop } })
      if (Buffer.isBuffer(written)) this.#downstream.write(written)
    }
    return true
  }

  /** False: there is nothing more to read here. */
  #onResponseHead(head: ResponseHead, bytes: Buffer, at: number, length: number): boolean {
    this.#pool!.health.succeed()
    if (head.status === 101) {
      if (!isUpgradeAccepted(this.#head, head)) {
        this.#onUpstreamBroken(UPSTREAM_PROTOCOL, 'upgrade without proof')
        return false
      }
      this.#startTunnel(head, Buffer.from(bytes.subarray(at, length)))
      return false
    }
    this.#response = head
    this.#responseReader = bodyReader(head.framing, 'upstream')
    this.#responseFraming = framingTowards(this.#head.minor, head.framing)
    this.#isEarly = !this.#requestReader.done
    this.#willClose =
      // Who is refused should stop sending; who is answered while it sends may be at it for long.
      (this.#isEarly && head.status >= 300) ||
      !this.#head.keepAlive ||
      this.#head.upgrade !== undefined ||
      this.#responseFraming.kind === 'until-close' ||
      this.#downstream.isClosing()
    this.#status = head.status
    return true
  }

  #writeResponseHead(head: ResponseHead, done: boolean): Buffer | undefined {
    const { status, headers, connectionNames, declaredLength } = head
    const plan = planOf(this.#route!).response
    const written = writeResponseHead(
      {
        status,
        headers,
        connectionNames,
        framing: this.#responseFraming!,
        declaredLength,
        close: this.#willClose,
        edits: { drop: plan.drop, set: this.#responseHeadersToSet(headers, plan) },
      },
      { slices: this.#slices, done },
    )
    return Buffer.isBuffer(written) ? written : undefined
  }

  /** Writes what was just read of the response: all of it that is there in one write. */
  #sendResponse(): void {
    const slices = this.#slices
    const { done } = this.#responseReader!
    const bodyBytes = totalLength(slices)
    let bytes: Buffer | undefined
    if (!this.#isResponseHeadSent) {
      bytes = this.#writeResponseHead(this.#response!, done)
      slices.length = 0
      if (bytes === undefined) {
        this.#dropUpstream()
        return this.#refuse(UNWRITABLE_HEAD, { outcome: 'failed' })
      }
      this.#isResponseHeadSent = true
      if (!done && this.#requestReader.done) this.#downstream.clearDeadline()
    } else {
      bytes = this.#responseFraming!.kind === 'chunked' ? encodeChunk(slices, done) : Buffer.concat(slices, bodyBytes)
      slices.length = 0
    }
    this.#bytesOut += bodyBytes
    const isFlowing = bytes.length === 0 || this.#downstream.write(bytes)
    if (done) return this.#onResponseDone()
    if (!isFlowing) {
      this.#connection?.pause()
      this.#downstream.setDeadline(this.#engine.limits.bodyMs)
    }
  }

  #onResponseDone(): void {
    this.#isResponseDone = true
    const nowMs = this.#engine.clock.monotonic()
    const connection = this.#connection
    this.#connection = undefined
    if (connection !== undefined) {
      connection.user = undefined
      const isClean = this.#requestReader.done && !this.#isEarly && !this.#hasExcess && this.#head.upgrade === undefined
      if (isClean && this.#response!.keepAlive && !this.#mayBeFollowed(connection))
        this.#pool!.giveBack(connection, nowMs)
      else connection.destroy()
    }
    this.#finish(nowMs)
  }

  /** Some applications send the body that a response only tells of: it must not be taken for the next answer (T15). */
  #mayBeFollowed({ peerSpiffeId }: UpstreamConnection): boolean {
    if (peerSpiffeId !== undefined) return false
    const { status, declaredLength = 0 } = this.#response!
    return this.#head.method === 'HEAD' || (status === 304 && declaredLength > 0)
  }

  #startTunnel(head: ResponseHead, early: Buffer): void {
    const { status, headers, connectionNames, framing } = head
    const plan = planOf(this.#route!).response
    const edits = { drop: plan.drop, set: this.#responseHeadersToSet(headers, plan) }
    const written = writeResponseHead({ status, headers, connectionNames, framing, edits, upgrade: 'websocket' })
    if (!Buffer.isBuffer(written)) {
      this.#dropUpstream()
      return this.#refuse(UNWRITABLE_HEAD, { outcome: 'failed' })
    }
    const connection = this.#connection!
    this.#connection = undefined
    connection.user = undefined
    this.#status = status
    this.#isResponseDone = true
    this.#downstream.write(written)
    this.#conclude('allowed')
    const about = {
      decisionId: this.#decisionId,
      upstream: this.#upstreamName,
      endpoint: this.#pool?.label,
      rule: this.#facts.rule,
      wouldDeny: this.#wouldDeny,
      refusal: undefined,
    }
    const judged: Judged = { by: this.#pipeline!, again: (pipeline) => this.#judgeAgain(pipeline) }
    // A tunnel may last longer than many pipelines.
    this.#pipeline = undefined
    this.#downstream.tunnel(connection, early, about, judged)
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

  #responseHeadersToSet(received: HeaderLines, plan: HeaderPlan): readonly HeaderPair[] {
    const { setResponseHeaders, addResponseHeaders } = this.#facts
    return headersToSet(received, plan, setResponseHeaders, addResponseHeaders)
  }

  #refuse(denial: Denial, given: RefuseOptions = {}): void {
    const { outcome = 'denied', headers = [], detail } = given
    const refusal = given.refusal ?? { ...plainRefusal(denial), detail }
    const told = tellRefusal(denial, headers, this.#facts.refusalForm, this.#decisionId)
    this.#respond(told.status, told.headers, told.body, outcome, refusal)
  }

  /** Answers here. Whatever upstream there is has no part in it. */
  #respond(
    status: number,
    headers: readonly HeaderPair[],
    body: string | undefined,
    outcome: Outcome,
    refusal: Refusal | undefined,
  ): void {
    this.#dropUpstream()
    if (this.#isResponseHeadSent) return this.#abort(outcome, refusal)
    const head = this.#head
    const { framing } = head
    const canDiscard =
      framing.kind === 'length' && framing.bytes <= MAX_DISCARDED_BYTES && !head.expectContinue && !this.#isEarly
    const isRead = this.#requestReader.done
    this.#willClose = !head.keepAlive || this.#downstream.isClosing() || !(isRead || canDiscard)
    this.#status = status
    this.#outcome = outcome
    this.#refusal = refusal
    const { setResponseHeaders = [], addResponseHeaders = [] } = this.#facts
    this.#downstream.write(
      writeLocalResponse({
        status,
        headers: [...headers, ...setResponseHeaders, ...addResponseHeaders],
        body,
        toHead: head.method === 'HEAD',
        close: this.#willClose,
        nowMs: this.#timeMs,
      }),
    )
    if (body !== undefined && head.method !== 'HEAD') this.#bytesOut = Buffer.byteLength(body)
    this.#isResponseHeadSent = true
    this.#isResponseDone = true
    if (isRead || this.#willClose) return this.#finish()
    this.#phase = DISCARDING
    this.#downstream.setDeadline(this.#engine.limits.bodyMs)
  }

  /** The response cannot be ended properly: the client must see that. */
  #abort(outcome: Outcome, refusal: Refusal | undefined): void {
    this.#dropUpstream()
    this.#refusal = refusal
    this.#conclude(outcome)
    this.#downstream.abort()
  }

  #finish(nowMs: number = this.#engine.clock.monotonic()): void {
    const keepAlive = !this.#willClose && this.#requestReader.done
    this.#conclude(undefined, nowMs)
    this.#downstream.finished(keepAlive, nowMs)
  }

  #dropUpstream(): void {
    const connecting = this.#connecting
    this.#connecting = undefined
    connecting?.abort()
    const connection = this.#connection
    this.#connection = undefined
    if (connection === undefined) return
    connection.user = undefined
    connection.destroy()
  }

  /** It is over: tells of it, once. */
  #conclude(outcome: Outcome | undefined, nowMs: number = this.#engine.clock.monotonic()): void {
    if (this.#phase === OVER) return
    this.#phase = OVER
    const engine = this.#engine
    if (this.#isCounted) engine.load.leave()
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
      retried: this.#resends > 0 || this.#hasTriedOther,
    }
    engine.observer.request(record, this.#evidence())
  }

  #evidence(): Evidence | undefined {
    if (this.#refusal?.filter === undefined && this.#wouldDeny === undefined) return undefined
    const { id, chain } = this.#route!
    return { request: this.#view!, facts: this.#facts, chain, route: id }
  }
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
