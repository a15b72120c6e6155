import type { Socket } from 'node:net'
import type { Denial } from '../../model/verdict.ts'
import type { Deadline } from '../upstream/deadlines.ts'
import { SocketWriter } from '../upstream/socket-writer.ts'
import type { Served } from './accepted.ts'
import type { Client } from './client.ts'
import { denialOf, HTTP2_FLOOD, HTTP2_PROTOCOL } from './denials.ts'
import type { Engine } from './engine.ts'
import { Exchange } from './exchange.ts'
import { closeAtExpiry } from './expiry.ts'
import { IDENTITY_HEADERS } from './forwarded.ts'
import { isGrpc } from './grpc.ts'
import type { RequestHead } from './http1/message.ts'
import type { Problem } from './http1/problem.ts'
import type { ErrorCode } from './http2/error-code.ts'
import type { Http2Handler, SessionEnd } from './http2/handler.ts'
import type { Http2Limits } from './http2/limits.ts'
import { Http2Session } from './http2/session.ts'
import type { Http2Stream } from './http2/stream.ts'
import { withKey } from './http2/websocket-key.ts'
import { Http2Downstream, type Http2Wire } from './http2-downstream.ts'
import { lendReads } from './lent-reads.ts'
import { PROBLEM_JSON, problemJson } from './local-response.ts'
import { malformedRecord } from './malformed.ts'
import type { HttpSite } from './site.ts'
import { refusalOf, tellClosed } from './tcp.ts'

/** Milliseconds that a client has for what was on its way when it was told to go; the rest is refused, and may be repeated. */
const GOAWAY_GRACE_MS = 1_000

/** Milliseconds that a connection which is over has to take what was written to it. */
const LINGER_MS = 2_000

/** What a connection is opened with. */
export interface Http2ConnectionOptions {
  readonly engine: Engine
  readonly socket: Socket
  readonly client: Client
  readonly site: HttpSite
  readonly limits: Http2Limits
}

/** One client's connection that speaks HTTP/2: requests side by side, each with deadlines and backpressure of its own. */
export class Http2Connection implements Http2Wire, Http2Handler, Served {
  readonly engine: Engine
  readonly client: Client
  readonly site: HttpSite
  readonly headSinceMs = undefined
  idleSinceMs: number | undefined
  readonly #socket: Socket
  readonly #session: Http2Session
  readonly #deadline: Deadline
  /** Streams of which something was read in this turn. */
  #unsettled: Http2Downstream[] = []
  #isReading = false
  #isLeaving = false
  #requests = 0
  #hasTunnels = false

  constructor({ engine, socket, client, site, limits }: Http2ConnectionOptions) {
    this.engine = engine
    this.client = client
    this.site = site
    this.#socket = socket
    this.#deadline = engine.deadlines.create(() => this.#onDeadline())
    const writer = new SocketWriter(socket)
    this.#session = new Http2Session({
      role: 'server',
      write: (bytes) => writer.writeTurn(bytes),
      clock: engine.clock,
      limits,
      handler: this,
      trusted: IDENTITY_HEADERS,
    })
    closeAtExpiry(engine, client, socket, () => this.#hasTunnels)
    this.onIdle()
    lendReads(socket, engine.clientReadBuffer, (length, lent) => this.#read(lent, length))
    socket.on('data', (chunk: Buffer) => this.#read(chunk, chunk.length))
    socket.on('drain', () => this.#guard(() => this.#session.onWritable()))
    // Nothing that it asked for is answered to half a connection.
    socket.on('end', () => this.#guard(() => this.#session.close()))
    socket.on('error', ignore)
    socket.on('close', () => this.#onClose())
    socket.resume()
  }

  onStream(stream: Http2Stream, head: RequestHead | Problem, hasEnded: boolean): void {
    this.idleSinceMs = undefined
    this.engine.deadlines.clear(this.#deadline)
    this.#requests += 1
    if (this.engine.isDraining() || this.#requests >= this.engine.limits.maxRequestsPerConnection) this.#leave()
    if (head.kind === 'problem') return this.#refuse(stream, head, hasEnded)
    const downstream = new Http2Downstream(this, stream, hasEnded)
    stream.user = downstream
    const request = stream.isTunnel ? withKey(head) : head
    const { framing } = request
    const hasBody = !hasEnded && (framing.kind === 'chunked' || (framing.kind === 'length' && framing.bytes > 0))
    const { method, headers } = request
    const isConversation = hasBody && isGrpc(headers)
    downstream.begin(new Exchange(this.engine, downstream, request), { method, hasBody, isConversation })
  }

  onGoaway(): void {}

  onIdle(): void {
    const nowMs = this.engine.clock.monotonic()
    this.idleSinceMs = nowMs
    this.engine.deadlines.set(this.#deadline, this.engine.limits.idleMs, nowMs)
  }

  onClose({ kind, reason }: SessionEnd): void {
    if (kind === 'flood' || kind === 'protocol') this.#tell(kind === 'flood' ? HTTP2_FLOOD : HTTP2_PROTOCOL, reason)
    if (kind === 'disconnected') return
    this.engine.deadlines.set(this.#deadline, this.engine.limits.bodyMs)
    this.#socket.end(() => {
      if (!this.#socket.destroyed) this.engine.deadlines.set(this.#deadline, LINGER_MS)
    })
    this.#socket.resume()
  }

  later(downstream: Http2Downstream): void {
    this.#unsettled.push(downstream)
    if (!this.#isReading) this.#settle()
  }

  tunnelled(): void {
    this.#hasTunnels = true
  }

  drain(): void {
    this.#guard(() => this.#leave())
  }

  /** Ends it before a request of it is looked at. */
  refuse(code: ErrorCode, reason: string): void {
    this.#guard(() => {
      this.#tell(HTTP2_PROTOCOL, reason)
      this.#session.close(code)
    })
  }

  /** Takes no more requests, and ends with the last one. */
  #leave(): void {
    if (this.#isLeaving) return
    this.#isLeaving = true
    this.#session.goaway()
    if (this.#session.isClosed) return
    const { deadlines } = this.engine
    const deadline = deadlines.create(() => {
      deadlines.remove(deadline)
      this.#guard(() => this.#session.goaway())
    })
    deadlines.set(deadline, GOAWAY_GRACE_MS)
    this.#socket.once('close', () => deadlines.remove(deadline))
  }

  #read(chunk: Buffer, length: number): void {
    this.#guard(() => {
      this.#isReading = true
      try {
        this.#session.receive(chunk, 0, length)
      } finally {
        this.#isReading = false
      }
      this.#settle()
    })
  }

  #settle(): void {
    const unsettled = this.#unsettled
    if (unsettled.length === 0) return
    this.#unsettled = []
    for (const downstream of unsettled) downstream.settle()
  }

  /** A head that nobody may read: the others are read on. */
  #refuse(stream: Http2Stream, problem: Problem, hasEnded: boolean): void {
    const { engine } = this
    const denial = denialOf(problem)
    const decisionId = engine.newId()
    const nowMs = engine.clock.now()
    const body = problemJson(denial, decisionId)
    const downstream = new Http2Downstream(this, stream, hasEnded)
    stream.user = downstream
    downstream.respondLocally({ status: denial.status, headers: [PROBLEM_JSON], body, isBroken: true, nowMs })
    engine.observer.request(malformedRecord({ denial, decisionId, nowMs, body, client: this.client, site: this.site }))
    downstream.finished()
  }

  #tell({ name }: Denial, reason: string): void {
    const { engine, client, site } = this
    const about = {
      decisionId: engine.newId(),
      direction: site.direction,
      listener: site.listener(''),
      spiffeId: client.peer.spiffeId,
      clientIp: client.peer.ip,
      upstream: '',
      endpoint: undefined,
      refusal: undefined,
      rule: undefined,
      wouldDeny: undefined,
    }
    tellClosed(engine, about, 'denied', refusalOf(name, reason))
  }

  #onDeadline(): void {
    if (this.#session.isClosed) return void this.#socket.destroy()
    this.#guard(() => this.#session.close())
  }

  #onClose(): void {
    this.engine.deadlines.remove(this.#deadline)
    this.#guard(() => this.#session.disconnected())
  }

  /** A mistake of ours ends this connection and no other. */
  #guard(run: () => void): void {
    try {
      run()
    } catch (err) {
      this.engine.log.error('request failed in the proxy', { err })
      this.#socket.destroy()
    }
  }
}

function ignore(): void {}
