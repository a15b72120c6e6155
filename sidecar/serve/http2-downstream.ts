import type { ByteStream } from '../upstream/byte-stream.ts'
import type { Deadline } from '../upstream/deadlines.ts'
import { StreamBytes } from '../upstream/stream-bytes.ts'
import { BodyPace } from './body-pace.ts'
import type { Client } from './client.ts'
import type { Downstream, LocalAnswer, Transaction, TunnelRecord } from './downstream.ts'
import type { Engine } from './engine.ts'
import { totalLength } from './http1/chunk.ts'
import type { HeaderLines } from './http1/header-lines.ts'
import { NO_BODY } from './http1/message.ts'
import type { Problem } from './http1/problem.ts'
import type { ResponseToWrite } from './http1/write-head.ts'
import { ERROR_CODE, type ErrorCode } from './http2/error-code.ts'
import type { Http2StreamUser } from './http2/handler.ts'
import type { Http2Stream } from './http2/stream.ts'
import { localMessage } from './local-response.ts'
import type { Judged } from './open-tunnels.ts'
import type { HttpSite } from './site.ts'
import { startTunnel } from './tunnel.ts'

/** A connection that many requests come on at once, as one of them uses it. */
export interface Http2Wire {
  readonly engine: Engine
  readonly client: Client
  readonly site: HttpSite
  /** Has `settle` called when all that was read with this has been looked at. */
  later(downstream: Http2Downstream): void
  /** The stream has become a tunnel. */
  tunnelled(): void
}

/** What a request is, as far as its stream is concerned. */
export interface RequestKind {
  readonly method: string
  readonly hasBody: boolean
  /** Its body may take its time: it is no upload. */
  readonly isConversation: boolean
}

/** One stream of a client's connection: a request and its response. */
export class Http2Downstream implements Downstream, Http2StreamUser {
  readonly version = 'http2'
  readonly #wire: Http2Wire
  readonly #stream: Http2Stream
  #transaction: Transaction | undefined
  #deadline: Deadline | undefined
  /** Read, and not handed over yet: no more than the stream's window. */
  #waiting: Buffer[] = []
  /** Those of them, from the first, that are ours. */
  #kept = 0
  #trailers: HeaderLines | undefined
  #hasEnded: boolean
  /** The request's end was handed over, or there was nothing to hand over. */
  #isHandedOver: boolean
  /** Bytes that were handed over and did not go on yet. */
  #owed = 0
  /** Of a body that has to come in time, until the response begins: then it is a conversation. */
  #pace: BodyPace | undefined
  #isSettling = false
  #isToHead = false
  #isFinished = false

  constructor(wire: Http2Wire, stream: Http2Stream, hasEnded: boolean) {
    this.#wire = wire
    this.#stream = stream
    this.#hasEnded = hasEnded
    this.#isHandedOver = hasEnded
  }

  get client(): Client {
    return this.#wire.client
  }

  get site(): HttpSite {
    return this.#wire.site
  }

  begin(transaction: Transaction, { method, hasBody, isConversation }: RequestKind): void {
    this.#transaction = transaction
    this.#isToHead = method === 'HEAD'
    if (!hasBody) this.#isHandedOver = true
    else if (!isConversation) this.#pace = new BodyPace(this.#wire.engine.limits)
    transaction.begin()
    if (!this.#isHandedOver) this.#settleLater()
  }

  /** Hands over what has come of the body, all that was read at once in one. */
  settle(): void {
    this.#isSettling = false
    if (this.#isFinished) return this.#stopRequest()
    const transaction = this.#transaction
    if (transaction === undefined) return
    if (transaction.wantsBody) return this.#handOver(transaction)
    this.#keepWaiting()
    transaction.flush()
  }

  /** What waits beyond the turn that it was read in: the session lent it. */
  #keepWaiting(): void {
    const waiting = this.#waiting
    for (; this.#kept < waiting.length; this.#kept++) waiting[this.#kept] = Buffer.from(waiting[this.#kept]!)
  }

  #handOver(transaction: Transaction): void {
    const slices = this.#waiting
    const done = this.#hasEnded
    if (slices.length === 0 && !done) return transaction.flush()
    this.#waiting = []
    this.#kept = 0
    const bytes = totalLength(slices)
    this.#owed += bytes
    this.#isHandedOver = done
    transaction.onRequestBody(slices, done, this.#trailers)
    if (done) this.#pace = undefined
    if (transaction.wantsBody || done) this.#giveWindowBack()
    this.#keepPace(transaction, bytes)
  }

  #keepPace(transaction: Transaction, bytes: number): void {
    const pace = this.#pace
    if (pace === undefined) return
    const nowMs = this.#wire.engine.clock.monotonic()
    const isInTime = pace.took(bytes, nowMs)
    if (!transaction.wantsBody) return
    if (isInTime) pace.waits(nowMs)
    else transaction.onDeadline()
  }

  #giveWindowBack(): void {
    const owed = this.#owed
    this.#owed = 0
    if (owed > 0) this.#stream.consumed(owed)
  }

  onHead(): void {}

  onData(chunk: Buffer, start: number, end: number): void {
    if (this.#isFinished || this.#isHandedOver) return this.#stream.consumed(end - start)
    this.#waiting.push(chunk.subarray(start, end))
    this.#settleLater()
  }

  onTrailers(lines: HeaderLines): void {
    this.#trailers = lines
  }

  onEnd(): void {
    this.#hasEnded = true
    if (!this.#isHandedOver) this.#settleLater()
  }

  onReset(_code: ErrorCode): void {
    const transaction = this.#transaction
    this.#leave()
    transaction?.onClientGone()
  }

  onDrain(): void {
    if (!this.#isFinished) return this.#transaction?.onDownstreamDrain()
    this.#leave()
    this.#stopRequest()
  }

  interim(message: ResponseToWrite): void {
    this.#stream.sendResponse(message, false)
  }

  respond(
    message: ResponseToWrite,
    slices: readonly Buffer[],
    done: boolean,
    trailers: HeaderLines | undefined,
  ): boolean | Problem {
    this.#pace = undefined
    const endsHere = done && slices.length === 0 && trailers === undefined
    const problem = this.#stream.sendResponse(message, endsHere)
    if (problem !== undefined) return problem
    return endsHere || (slices.length === 0 && !done) ? true : this.respondBody(slices, done, trailers)
  }

  respondBody(slices: readonly Buffer[], done: boolean, trailers: HeaderLines | undefined): boolean {
    const stream = this.#stream
    if (slices.length > 0 || (done && trailers === undefined)) stream.sendData(slices, done && trailers === undefined)
    if (done && trailers !== undefined) stream.sendTrailers(trailers)
    return stream.isFlowing
  }

  respondLocally(answer: LocalAnswer): void {
    const { message: whole, body } = localMessage({ ...answer, toHead: this.#isToHead })
    let message = whole
    const hasBody = body.length > 0
    // The end of the stream says that there is no body; a length of 0 beside it would be one line too many for gRPC.
    if (!hasBody && !this.#isToHead) message = { ...message, framing: NO_BODY }
    if (this.#stream.sendResponse(message, !hasBody) !== undefined) {
      // One of the headers would split: none of them is sent.
      const plain = localMessage({ ...answer, headers: [], toHead: this.#isToHead })
      this.#stream.sendResponse(plain.message, !hasBody)
    }
    if (hasBody) this.#stream.sendData([body], true)
  }

  pause(): void {}

  resume(): void {
    this.#giveWindowBack()
    this.#pace?.waits(this.#wire.engine.clock.monotonic())
    if (!this.#isSettling) this.settle()
  }

  setDeadline(delayMs: number, nowMs?: number): void {
    const { deadlines } = this.#wire.engine
    this.#deadline ??= deadlines.create(() => this.#onDeadline())
    deadlines.set(this.#deadline, delayMs, nowMs)
  }

  clearDeadline(): void {
    if (this.#deadline !== undefined) this.#wire.engine.deadlines.clear(this.#deadline)
  }

  finished(): void {
    this.#isFinished = true
    this.#leave()
    // Nobody waits for ever for what the client does not take (T20).
    if (!this.#stream.isFlowing) this.setDeadline(this.#wire.engine.limits.bodyMs)
    // The rest of the request may be in what was read already.
    else if (!this.#stream.hasReceivedEnd) this.#settleLater()
  }

  abort(): void {
    this.#leave()
    this.#stream.reset(ERROR_CODE.INTERNAL_ERROR)
  }

  tunnel(
    message: ResponseToWrite,
    upstream: ByteStream,
    early: Buffer,
    about: TunnelRecord,
    judged: Judged,
  ): Problem | undefined {
    const problem = this.#stream.sendResponse(consentOf(message), false)
    if (problem !== undefined) return problem
    const { engine, client, site } = this.#wire
    const waiting = this.#waiting
    this.#waiting = []
    this.#leave()
    this.#wire.tunnelled()
    const bytes = new StreamBytes(this.#stream)
    const tunnel = startTunnel(engine, bytes, upstream, {
      ...about,
      direction: site.direction,
      listener: site.listener(''),
      spiffeId: client.peer.spiffeId,
      clientIp: client.peer.ip,
    })
    if (early.length > 0) tunnel.sendToClient(early)
    for (const slice of waiting) bytes.onData(slice, 0, slice.length)
    if (this.#hasEnded) bytes.onEnd()
    engine.tunnels.add(tunnel, judged)
    return undefined
  }

  /** Answered: what the client still sends is of no use (RFC 9113, 8.1). */
  #stopRequest(): void {
    const stream = this.#stream
    if (!stream.isOpen || stream.hasReceivedEnd) return
    // What waits of the response would be lost.
    if (!stream.isFlowing) return
    stream.reset(ERROR_CODE.NO_ERROR)
  }

  #onDeadline(): void {
    if (this.#transaction !== undefined) return this.#transaction.onDeadline()
    this.abort()
  }

  #settleLater(): void {
    if (this.#isSettling) return
    this.#isSettling = true
    this.#wire.later(this)
  }

  #leave(): void {
    this.#transaction = undefined
    this.#pace = undefined
    this.#giveWindowBack()
    let dropped = 0
    for (const slice of this.#waiting) dropped += slice.length
    this.#waiting = []
    if (dropped > 0) this.#stream.consumed(dropped)
    if (this.#deadline !== undefined) this.#wire.engine.deadlines.remove(this.#deadline)
    this.#deadline = undefined
  }
}

/** RFC 8441, 5: the consent is a 200, and the key that proved it over HTTP/1.1 has no meaning. */
function consentOf(message: ResponseToWrite): ResponseToWrite {
  const { edits = {} } = message
  const remove = [...(edits.remove ?? []), 'sec-websocket-accept']
  return { ...message, status: 200, framing: NO_BODY, edits: { ...edits, remove } }
}
