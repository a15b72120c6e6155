import type { Clock } from '../../runtime/clock.ts'
import type { ByteStream } from '../upstream/byte-stream.ts'
import type { SocketWriter } from '../upstream/socket-writer.ts'
import { BodyPace } from './body-pace.ts'
import type { Client } from './client.ts'
import type { Downstream, LocalAnswer, Transaction, TunnelRecord } from './downstream.ts'
import { bodyReader } from './http1/body.ts'
import { encodeChunk } from './http1/chunk.ts'
import { type BodyReader, type BodySink, type Framing, NO_BODY, type RequestHead } from './http1/message.ts'
import type { Problem } from './http1/problem.ts'
import { framingTowards, type ResponseToWrite, writeResponseHead } from './http1/write-head.ts'
import type { Limits } from './limits.ts'
import { writeLocalResponse } from './local-response.ts'
import type { Judged } from './open-tunnels.ts'
import type { HttpSite } from './site.ts'

/** Bytes of a refused request's body that are read past, so that the connection can be used again. */
const MAX_DISCARDED_BYTES = 65_536

/** A connection that requests come on one after the other, as whoever answers one of them uses it. */
export interface Http1Wire {
  readonly client: Client
  readonly site: HttpSite
  /** Where it says false: wait for `onDownstreamDrain` before writing more. */
  readonly writer: SocketWriter
  /** Stops reading the client until `resume`. */
  pause(): void
  /** Reads on: what waits here first, then the socket. */
  resume(): void
  setDeadline(delayMs: number, nowMs?: number): void
  clearDeadline(): void
  /** The response is written, and the request read; or it never will be: then `keepAlive` is false. `nowMs` is monotonic. */
  finished(keepAlive: boolean, nowMs?: number): void
  /** The response ends here, and the client must see that it is not whole. */
  abort(): void
  /** Whether no request after this one is wanted. */
  isClosing(): boolean
  /** From now on bytes pass both ways unread. `early` came behind the upstream's consent. */
  tunnel(upstream: ByteStream, early: Buffer, about: TunnelRecord, judged: Judged): void
  /** What follows on this connection is HTTP for another site: after a CONNECT. */
  enter(site: HttpSite): void
}

/** The requests and responses of one client's connection, one after the other, as HTTP/1.1. */
export class Http1Downstream implements Downstream, BodySink {
  readonly version = 'http1'
  readonly #wire: Http1Wire
  readonly #limits: Limits
  readonly #clock: Clock
  /** Slices of what is read just now; emptied before the read returns. */
  readonly #slices: Buffer[] = []
  #head: RequestHead | undefined
  #transaction: Transaction | undefined
  #reader: BodyReader = NOTHING
  /** Of a body that did not come with its head, until the response begins: then it is a conversation. */
  #pace: BodyPace | undefined
  #framing: Framing = NO_BODY
  #hasResponded = false
  #isEarly = false
  #willClose = false
  #isDiscarding = false

  constructor(wire: Http1Wire, limits: Limits, clock: Clock) {
    this.#wire = wire
    this.#limits = limits
    this.#clock = clock
  }

  get client(): Client {
    return this.#wire.client
  }

  get site(): HttpSite {
    return this.#wire.site
  }

  /** The response has been written, and what is left of the request is read past. */
  get isDiscarding(): boolean {
    return this.#isDiscarding
  }

  /** Whether `consume` can take bytes of the body now. */
  get wantsBody(): boolean {
    return this.#isDiscarding || this.#transaction?.wantsBody === true
  }

  /** A request begins. */
  begin(head: RequestHead, transaction: Transaction): void {
    this.#head = head
    this.#transaction = transaction
    this.#reader = bodyReader(head.framing, 'client')
    this.#isEarly = false
    this.#willClose = false
    this.#hasResponded = false
  }

  /** Reads bytes of the body; returns where it stopped. */
  consume(chunk: Buffer, start: number, end: number): number {
    const slices = this.#slices
    const next = this.#reader.read(chunk, start, end, this)
    if (this.#isDiscarding) {
      slices.length = 0
      if (this.#reader.done) this.#leave(true)
      return next as number
    }
    if (typeof next !== 'number') {
      slices.length = 0
      this.#transaction!.onRequestProblem(next)
      return end
    }
    this.#transaction!.onRequestBody(slices, this.#reader.done, undefined)
    slices.length = 0
    if (!this.#reader.done) this.#keepPace(next - start)
    return next
  }

  onBody(chunk: Buffer, start: number, end: number): void {
    this.#slices.push(chunk.subarray(start, end))
  }

  interim(message: ResponseToWrite): void {
    const written = writeResponseHead(message)
    if (Buffer.isBuffer(written)) this.#wire.writer.write(written)
  }

  respond(message: ResponseToWrite, slices: readonly Buffer[], done: boolean): boolean | Problem {
    const { minor, keepAlive, upgrade } = this.#head!
    const framing = framingTowards(minor, message.framing)
    this.#isEarly = !this.#reader.done
    const close =
      // Who is refused should stop sending; who is answered while it sends may be at it for long.
      (this.#isEarly && message.status >= 300) ||
      !keepAlive ||
      upgrade !== undefined ||
      framing.kind === 'until-close' ||
      this.#wire.isClosing()
    const { writer } = this.#wire
    const written = writeResponseHead({ ...message, framing, close }, { slices, done }, writer)
    if (!Buffer.isBuffer(written)) return written
    this.#framing = framing
    this.#willClose = close
    this.#pace = undefined
    this.#hasResponded = true
    return writer.write(written)
  }

  respondBody(slices: readonly Buffer[], done: boolean): boolean {
    const { writer } = this.#wire
    if (this.#framing.kind !== 'chunked') return slices.length === 0 || writer.writeLent(slices)
    const bytes = encodeChunk(slices, done, writer)
    return bytes.length === 0 || writer.write(bytes)
  }

  respondLocally({ status, headers, body, isBroken, nowMs }: LocalAnswer): void {
    const { keepAlive, method } = this.#head!
    const canBeRead = this.#reader.done || (!isBroken && this.#canBeDiscarded())
    const close = !keepAlive || this.#wire.isClosing() || !canBeRead
    this.#willClose = close
    this.#wire.writer.write(writeLocalResponse({ status, headers, body, toHead: method === 'HEAD', close, nowMs }))
  }

  pause(): void {
    this.#wire.pause()
  }

  resume(): void {
    this.#pace?.waits(this.#clock.monotonic())
    this.#wire.resume()
  }

  setDeadline(delayMs: number, nowMs?: number): void {
    this.#wire.setDeadline(delayMs, nowMs)
  }

  clearDeadline(): void {
    this.#wire.clearDeadline()
  }

  finished(nowMs: number): void {
    if (this.#reader.done || this.#willClose || !this.#canBeDiscarded()) return this.#leave(!this.#willClose, nowMs)
    this.#isDiscarding = true
    this.#wire.setDeadline(this.#limits.bodyMs)
  }

  abort(): void {
    this.#forget()
    this.#wire.abort()
  }

  tunnel(
    message: ResponseToWrite,
    upstream: ByteStream,
    early: Buffer,
    about: TunnelRecord,
    judged: Judged,
  ): Problem | undefined {
    const written = writeResponseHead(message)
    if (!Buffer.isBuffer(written)) return written
    this.#wire.writer.write(written)
    this.#forget()
    this.#wire.tunnel(upstream, early, about, judged)
    return undefined
  }

  #canBeDiscarded(): boolean {
    const { framing, expectContinue } = this.#head!
    return !this.#isEarly && framing.kind === 'length' && framing.bytes <= MAX_DISCARDED_BYTES && !expectContinue
  }

  #leave(keepAlive: boolean, nowMs?: number): void {
    const isRead = this.#reader.done
    this.#forget()
    this.#wire.finished(keepAlive && isRead, nowMs)
  }

  #keepPace(bytes: number): void {
    const transaction = this.#transaction
    if (transaction === undefined || this.#hasResponded) return
    const nowMs = this.#clock.monotonic()
    this.#pace ??= new BodyPace(this.#limits)
    const isInTime = this.#pace.took(bytes, nowMs)
    if (!transaction.wantsBody) return
    if (isInTime) this.#pace.waits(nowMs)
    else transaction.onDeadline()
  }

  #forget(): void {
    this.#pace = undefined
    this.#head = undefined
    this.#transaction = undefined
    this.#reader = NOTHING
    this.#isDiscarding = false
  }
}

const NOTHING: BodyReader = bodyReader(NO_BODY, 'client')
