import type { Clock } from '../../../runtime/clock.ts'
import { totalLength } from '../http1/chunk.ts'
import type { HeaderFilter, HeaderFilterSource } from '../http1/header-filter.ts'
import type { HeaderLines } from '../http1/header-lines.ts'
import type { RequestHead, ResponseHead } from '../http1/message.ts'
import type { Problem } from '../http1/problem.ts'
import { copyBytes } from './byte-ring.ts'
import { ERROR_CODE, type ErrorCode } from './error-code.ts'
import { FieldDecoder, MAX_BLOCK_FACTOR, type SectionKind } from './field-decoder.ts'
import { boundOf, boundOfLines, FieldEncoder } from './field-encoder.ts'
import { FloodGuard, type FloodKind } from './flood-guard.ts'
import {
  ACK,
  CONTINUATION,
  DATA,
  DEFAULT_WINDOW_BYTES,
  ENABLE_CONNECT_PROTOCOL,
  ENABLE_PUSH,
  END_HEADERS,
  END_STREAM,
  FRAME_HEAD_BYTES,
  GOAWAY,
  HEADER_TABLE_SIZE,
  HEADERS,
  INITIAL_WINDOW_SIZE,
  LARGEST_FRAME_BYTES,
  MAX_CONCURRENT_STREAMS,
  MAX_FRAME_BYTES,
  MAX_FRAME_SIZE,
  MAX_HEADER_LIST_SIZE,
  MAX_STREAM_ID,
  MAX_WINDOW_BYTES,
  PADDED,
  PING,
  PREFACE,
  PRIORITY,
  PUSH_PROMISE,
  RST_STREAM,
  readUint32,
  SETTINGS,
  WINDOW_UPDATE,
  WITH_PRIORITY,
  writeFrameHead,
  writeUint32,
} from './frame.ts'
import type {
  Http2Handler,
  Http2Request,
  Http2Response,
  Http2StreamUser,
  MalformedReason,
  SessionEnd,
} from './handler.ts'
import { KnownSection } from './known-section.ts'
import { DRIBBLE_BYTES, type Http2Limits } from './limits.ts'
import { Output } from './output.ts'
import { RequestHeads } from './request-head.ts'
import { readResponseHead } from './response-head.ts'
import { Http2Stream, type StreamOwner } from './stream.ts'
import { StreamIds } from './stream-ids.ts'
import { type Flushable, flushAtTurnEnd } from './turn.ts'

export interface Http2SessionOptions {
  readonly role: 'server' | 'client'
  /** Sends bytes, which are lent for the time of the call. False: nothing more is made until `onWritable`. */
  readonly write: (bytes: Buffer) => boolean
  readonly clock: Pick<Clock, 'monotonic'>
  readonly limits: Http2Limits
  readonly handler: Http2Handler
  /** Names that somebody relies on, as for the HTTP/1.1 parsers: spellings with `_` are refused. */
  readonly trusted?: HeaderFilterSource
}

/**
 * One HTTP/2 connection, either end of it (RFC 9113): frames, fields, windows, and who does too much. No sockets: bytes go in by
 * `receive` and out by `write`, all that was made in one turn of the event loop in one write.
 *
 * Frames are read in place and written into one block; DATA passes through as it comes. A stream is the only object that a
 * request makes here besides its head.
 */
export class Http2Session implements StreamOwner, Flushable {
  isClosed = false
  /** False after `write` has returned false, until `onWritable`. */
  isWritable = true
  /** Client role: the peer has said that it takes extended CONNECT. */
  takesExtendedConnect = false

  readonly #isServer: boolean
  readonly #write: (bytes: Buffer) => boolean
  readonly #clock: Pick<Clock, 'monotonic'>
  readonly #limits: Http2Limits
  readonly #handler: Http2Handler
  readonly #guard: FloodGuard
  readonly #decoder: FieldDecoder
  readonly #encoder = new FieldEncoder()
  readonly #knownRequest = new KnownSection<RequestHead>()
  readonly #knownResponse = new KnownSection<ResponseHead>()
  readonly #knownTrailers = new KnownSection<HeaderLines>()
  readonly #heads: RequestHeads
  readonly #out = new Output()
  #isFlushPlanned = false
  /** Frames that answer the peer's, while it reads none. */
  #unreadAnswers = 0

  readonly #streams = new Map<number, Http2Stream>()
  /** Client role: opened, and nothing sent yet. */
  readonly #unsent = new Set<Http2Stream>()
  /** Those that hold something back, in the order in which they began to. */
  readonly #blocked = new Set<Http2Stream>()
  /** Streams on which frames of the peer's may still be under way. */
  readonly #resetByUs = new StreamIds(1_024)
  readonly #recentlyClosed = new StreamIds(128)
  /** Of the streams that the peer opened. */
  #lastPeerId = 0
  /** Of those that we opened. */
  #nextId = 1
  #areSettingsAcknowledged = false

  #sendWindow = DEFAULT_WINDOW_BYTES
  #receiveWindow: number
  #unannounced = 0
  #peerInitialWindow = DEFAULT_WINDOW_BYTES
  #peerMaxFrame = MAX_FRAME_BYTES
  #peerMaxStreams = Number.POSITIVE_INFINITY

  #goaway: typeof NOT_LEAVING | typeof ANNOUNCED | typeof LEAVING = NOT_LEAVING
  #hasPeerLeft = false

  #phase: number
  #prefaceAt = 0
  /** Of a frame's head, when it comes in pieces. */
  #headHeld = 0
  #head: Buffer | undefined
  #length = 0
  #type = 0
  #flags = 0
  #id = 0
  #hasSettings = false
  /** A payload that comes in pieces. */
  #payload: Buffer | undefined
  #payloadHeld = 0
  /** What of a DATA frame, or of a frame that is skipped, is still to come. */
  #left = 0
  #padLeft = 0
  #needsPadLength = false
  #dataStream: Http2Stream | undefined
  /** A field section that goes on in CONTINUATION frames. */
  #section: Buffer = NOTHING
  #sectionHeld = 0
  #sectionId = 0
  #sectionFlags = 0
  #continuations = 0

  constructor({ role, write, clock, limits, handler, trusted }: Http2SessionOptions) {
    this.#isServer = role === 'server'
    this.#write = write
    this.#clock = clock
    this.#limits = limits
    this.#handler = handler
    this.#guard = new FloodGuard(limits.floods)
    this.#guard.nowMs = clock.monotonic()
    this.#decoder = new FieldDecoder(limits, trusted)
    this.#heads = new RequestHeads(limits)
    this.#phase = this.#isServer ? IN_PREFACE : IN_HEAD
    this.#receiveWindow = limits.connectionWindowBytes
    this.#begin()
  }

  /** Streams open now. */
  get streams(): number {
    return this.#streams.size + this.#unsent.size
  }

  /** Client role: how many streams may be opened now. 0 after a GOAWAY of either side. */
  get room(): number {
    const opened = this.#unsent.size
    const isOver = this.isClosed || this.#hasPeerLeft || this.#goaway !== NOT_LEAVING
    if (isOver || this.#nextId + 2 * opened > MAX_STREAM_ID) return 0
    const most = Math.min(this.#peerMaxStreams, this.#limits.maxConcurrentStreams)
    return Math.max(0, most - this.#streams.size - opened)
  }

  /** Client role: the peer's settings have come, and `room` is what it says. */
  get isReady(): boolean {
    return this.#hasSettings
  }

  /** Client role: a stream, undefined without `room`. Until its `sendRequest` it keeps the room and no more. */
  open(user: Http2StreamUser): Http2Stream | undefined {
    if (this.room === 0) return undefined
    this.#guard.nowMs = this.#clock.monotonic()
    this.#guard.onStream()
    const stream = this.#makeStream(0)
    this.#unsent.add(stream)
    stream.user = user
    return stream
  }

  /** Reads `chunk[start, end)`, which is lent. After a close it is ignored. */
  receive(chunk: Buffer, start = 0, end = chunk.length): void {
    if (this.isClosed) return
    this.#guard.nowMs = this.#clock.monotonic()
    let at = start
    while (at < end && !this.isClosed) {
      switch (this.#phase) {
        case IN_HEAD:
          at = this.#readHead(chunk, at, end)
          break
        case IN_DATA:
          at = this.#readData(chunk, at, end)
          break
        case IN_PAYLOAD:
          at = this.#readPayload(chunk, at, end)
          break
        case SKIPPING: {
          const skipped = Math.min(this.#left, end - at)
          this.#left -= skipped
          at += skipped
          if (this.#left === 0) this.#phase = IN_HEAD
          break
        }
        default:
          at = this.#readPreface(chunk, at, end)
      }
    }
  }

  /** The socket has drained after `write` returned false. */
  onWritable(): void {
    if (this.isClosed) return
    this.isWritable = true
    this.#unreadAnswers = 0
    this.#pump()
    this.flush()
  }

  /** Has what was made so far go out now and not at the end of the turn. */
  flush(): void {
    this.#isFlushPlanned = false
    if (this.#out.at === 0 || !this.isWritable) return
    this.isWritable = this.#out.lendTo(this.#write)
  }

  /**
   * Takes no new streams and ends with the last one: `onClose` with `drained`. A server says so first and refuses none that was
   * on its way (RFC 9113, 6.8); a second call stops waiting for those.
   */
  goaway(): void {
    if (this.isClosed || this.#goaway === LEAVING) return
    if (!this.#isServer || this.#goaway === ANNOUNCED) return this.#leave()
    this.#goaway = ANNOUNCED
    this.#writeGoaway(MAX_STREAM_ID, ERROR_CODE.NO_ERROR)
    this.#room(FRAME_HEAD_BYTES + PING_BYTES)
    const out = this.#out
    out.at = writeFrameHead(out.bytes, out.at, PING_BYTES, PING, 0, 0)
    out.at += LEAVING_PING.copy(out.bytes, out.at)
  }

  /** Has the peer say something, if it is there. */
  ping(): void {
    if (this.isClosed) return
    this.#room(FRAME_HEAD_BYTES + PING_BYTES)
    const out = this.#out
    out.at = writeFrameHead(out.bytes, out.at, PING_BYTES, PING, 0, 0)
    out.at += PRESENCE_PING.copy(out.bytes, out.at)
  }

  /** Ends everything now: GOAWAY, `onReset` for each stream, `onClose`. */
  close(code: ErrorCode = ERROR_CODE.NO_ERROR): void {
    if (this.isClosed) return
    this.#writeGoaway(this.#lastPeerId, code)
    this.#end({ kind: 'local', code, reason: 'closed' })
  }

  /** The socket is gone: `onReset` for each stream, `onClose` with `disconnected`. */
  disconnected(): void {
    if (this.isClosed) return
    this.isWritable = false
    this.#end({ kind: 'disconnected', code: ERROR_CODE.CANCEL, reason: 'connection closed' })
  }

  // What streams ask for.

  sendHead(stream: Http2Stream, message: Http2Request | Http2Response, endStream: boolean): Problem | undefined {
    if (!stream.isOpen || stream.hasSentEnd) return undefined
    const bound = boundOf(message)
    this.#room(FRAME_HEAD_BYTES + bound + continuationBytes(bound, this.#peerMaxFrame))
    const out = this.#out
    const start = out.at
    const end =
      'status' in message
        ? this.#encoder.writeResponse(out.bytes, start + FRAME_HEAD_BYTES, message)
        : this.#encoder.writeRequest(out.bytes, start + FRAME_HEAD_BYTES, message)
    if (typeof end !== 'number') return end
    if (!('status' in message)) {
      this.#giveId(stream)
      stream.toHead = message.method === 'HEAD'
      stream.isTunnel = message.protocol !== undefined
    }
    this.#frameSection(start, end, stream.id, endStream)
    if (endStream) this.#endSending(stream)
    return undefined
  }

  sendData(stream: Http2Stream, slices: readonly Buffer[], endStream: boolean): boolean {
    if (!stream.isOpen || stream.hasSentEnd || stream.id === 0) return true
    const total = totalLength(slices)
    if (endStream) stream.endsBehindHeld = true
    if (stream.heldBytes === 0) {
      if (total === 0) {
        if (endStream) this.#sendEnd(stream)
        return true
      }
      const sent = this.#sendSlices(stream, slices, 0, total, Number.POSITIVE_INFINITY)
      if (sent === total) {
        if (endStream) this.#endSending(stream)
        return true
      }
      if (this.isClosed) return true
      hold(stream, slices, sent)
      this.#blocked.add(stream)
    } else {
      hold(stream, slices, 0)
    }
    if (endStream) stream.hasSentEnd = true
    return false
  }

  sendTrailers(stream: Http2Stream, lines: HeaderLines, drop: HeaderFilter | undefined): void {
    if (!stream.isOpen || stream.hasSentEnd || stream.id === 0) return
    if (stream.heldBytes > 0) {
      stream.trailersBehindHeld = lines
      stream.trailersDrop = drop
      stream.hasSentEnd = true
      return
    }
    const bound = boundOfLines(lines)
    this.#room(FRAME_HEAD_BYTES + bound + continuationBytes(bound, this.#peerMaxFrame))
    const start = this.#out.at
    const end = this.#encoder.writeTrailers(this.#out.bytes, start + FRAME_HEAD_BYTES, lines, drop)
    if (end === start + FRAME_HEAD_BYTES) return this.#sendEnd(stream)
    this.#frameSection(start, end, stream.id, true)
    this.#endSending(stream)
  }

  consumed(stream: Http2Stream, bytes: number): void {
    // What a stream had when it ended was given back to the connection then.
    if (!stream.isOpen || bytes <= 0) return
    const used = Math.min(bytes, stream.unconsumed)
    stream.unconsumed -= used
    this.#giveBack(used)
    if (stream.hasReceivedEnd) return
    stream.unannounced += used
    if (stream.unannounced < this.#limits.streamWindowBytes / 2) return
    stream.receiveWindow += stream.unannounced
    this.#writeWindowUpdate(stream.id, stream.unannounced)
    stream.unannounced = 0
  }

  reset(stream: Http2Stream, code: ErrorCode): void {
    if (!stream.isOpen) return
    stream.user = undefined
    if (stream.id !== 0) this.#writeReset(stream.id, code)
    this.#remove(stream)
  }

  // Reading.

  #readPreface(chunk: Buffer, start: number, end: number): number {
    let at = start
    while (at < end && this.#prefaceAt < PREFACE.length) {
      if (chunk[at] !== PREFACE[this.#prefaceAt]) {
        this.#fail(ERROR_CODE.PROTOCOL_ERROR, 'no HTTP/2 preface')
        return end
      }
      at += 1
      this.#prefaceAt += 1
    }
    if (this.#prefaceAt === PREFACE.length) this.#phase = IN_HEAD
    return at
  }

  #readHead(chunk: Buffer, start: number, end: number): number {
    let bytes = chunk
    let at = start
    let next = start + FRAME_HEAD_BYTES
    if (this.#headHeld > 0 || end < next) {
      this.#head ??= Buffer.allocUnsafeSlow(FRAME_HEAD_BYTES)
      const taken = Math.min(FRAME_HEAD_BYTES - this.#headHeld, end - start)
      chunk.copy(this.#head, this.#headHeld, start, start + taken)
      this.#headHeld += taken
      if (this.#headHeld < FRAME_HEAD_BYTES) return end
      this.#headHeld = 0
      bytes = this.#head
      at = 0
      next = start + taken
    }
    this.#length = (bytes[at]! << 16) | (bytes[at + 1]! << 8) | bytes[at + 2]!
    this.#type = bytes[at + 3]!
    this.#flags = bytes[at + 4]!
    this.#id = readUint32(bytes, at + 5) & MAX_STREAM_ID
    this.#beginFrame()
    return next
  }

  #beginFrame(): void {
    const type = this.#type
    if (this.#length > MAX_FRAME_BYTES) return this.#fail(ERROR_CODE.FRAME_SIZE_ERROR, 'frame too large')
    if (this.#sectionId !== 0 && (type !== CONTINUATION || this.#id !== this.#sectionId))
      return this.#fail(ERROR_CODE.PROTOCOL_ERROR, 'another frame inside a field section')
    if (!this.#hasSettings && (type !== SETTINGS || (this.#flags & ACK) !== 0))
      return this.#fail(ERROR_CODE.PROTOCOL_ERROR, 'no settings first')
    if (type === DATA) return this.#beginData()
    if (type > CONTINUATION) {
      if (this.#guard.onPriority()) return this.#flood('priorities')
      this.#left = this.#length
      this.#phase = this.#length === 0 ? IN_HEAD : SKIPPING
      return
    }
    if (this.#length === 0) return this.#onPayload(NOTHING, 0, 0)
    this.#phase = IN_PAYLOAD
  }

  #readPayload(chunk: Buffer, start: number, end: number): number {
    const length = this.#length
    if (this.#payloadHeld === 0 && end - start >= length) {
      this.#phase = IN_HEAD
      this.#onPayload(chunk, start, start + length)
      return start + length
    }
    this.#payload ??= Buffer.allocUnsafeSlow(length)
    const taken = Math.min(length - this.#payloadHeld, end - start)
    chunk.copy(this.#payload, this.#payloadHeld, start, start + taken)
    this.#payloadHeld += taken
    if (this.#payloadHeld < length) return end
    const payload = this.#payload
    this.#payload = undefined
    this.#payloadHeld = 0
    this.#phase = IN_HEAD
    this.#onPayload(payload, 0, length)
    return start + taken
  }

  #onPayload(bytes: Buffer, start: number, end: number): void {
    switch (this.#type) {
      case HEADERS:
        return this.#onHeaders(bytes, start, end)
      case PRIORITY:
        return this.#onPriority(bytes, start, end)
      case RST_STREAM:
        return this.#onReset(bytes, start, end)
      case SETTINGS:
        return this.#onSettings(bytes, start, end)
      case PING:
        return this.#onPing(bytes, start, end)
      case GOAWAY:
        return this.#onGoaway(bytes, start, end)
      case WINDOW_UPDATE:
        return this.#onWindowUpdate(bytes, start, end)
      case CONTINUATION:
        return this.#onContinuation(bytes, start, end)
      case PUSH_PROMISE:
        // Servers take none, and we have told servers not to.
        return this.#fail(ERROR_CODE.PROTOCOL_ERROR, 'push promise')
    }
  }

  // DATA (RFC 9113, 6.1).

  #beginData(): void {
    const id = this.#id
    const length = this.#length
    if (id === 0 || this.#isIdle(id)) return this.#fail(ERROR_CODE.PROTOCOL_ERROR, 'data on no stream')
    this.#receiveWindow -= length
    if (this.#receiveWindow < 0) return this.#fail(ERROR_CODE.FLOW_CONTROL_ERROR, 'connection window exceeded')
    this.#guard.onDataReceived()
    const isPadded = (this.#flags & PADDED) !== 0
    if (isPadded && length === 0) return this.#fail(ERROR_CODE.FRAME_SIZE_ERROR, 'no room for padding')
    let stream = this.#streams.get(id)
    if (stream === undefined) {
      if (!this.#isExpectedLate(id)) this.#resetUnknown(id, ERROR_CODE.STREAM_CLOSED)
    } else if (stream.hasReceivedEnd || (!this.#isServer && !stream.hasHead)) {
      this.#streamError(stream, stream.hasReceivedEnd ? ERROR_CODE.STREAM_CLOSED : ERROR_CODE.PROTOCOL_ERROR)
      stream = undefined
    } else {
      stream.receiveWindow -= length
      if (stream.receiveWindow < 0) {
        this.#streamError(stream, ERROR_CODE.FLOW_CONTROL_ERROR)
        stream = undefined
      }
    }
    if (this.isClosed) return
    this.#dataStream = stream
    this.#left = length
    this.#padLeft = 0
    this.#needsPadLength = isPadded
    this.#phase = IN_DATA
    if (length === 0) this.#endData(true)
  }

  #readData(chunk: Buffer, start: number, end: number): number {
    let at = start
    if (this.#needsPadLength) {
      this.#needsPadLength = false
      const padding = chunk[at++]!
      this.#left -= 1
      if (padding > this.#left) {
        this.#fail(ERROR_CODE.PROTOCOL_ERROR, 'more padding than frame')
        return end
      }
      this.#left -= padding
      this.#padLeft = padding
      this.#onPadding(padding + 1)
      if (this.#left === 0 && (this.#flags & END_STREAM) === 0 && this.#guard.onEmptyData()) {
        this.#flood('empty-data')
        return end
      }
    }
    const taken = Math.min(this.#left, end - at)
    if (taken > 0) {
      this.#left -= taken
      this.#onData(chunk, at, at + taken)
      at += taken
      if (this.isClosed) return end
    }
    if (this.#left > 0) return at
    const skipped = Math.min(this.#padLeft, end - at)
    this.#padLeft -= skipped
    at += skipped
    if (this.#padLeft === 0) this.#endData(false)
    return at
  }

  #onPadding(bytes: number): void {
    const stream = this.#dataStream
    if (stream === undefined || !stream.isOpen) return this.#giveBack(bytes)
    stream.unconsumed += bytes
    this.consumed(stream, bytes)
  }

  #onData(chunk: Buffer, start: number, end: number): void {
    const stream = this.#dataStream
    const length = end - start
    if (stream === undefined || !stream.isOpen) return this.#giveBack(length)
    stream.receivedBytes += length
    if (stream.expectedBytes !== -1 && stream.receivedBytes > stream.expectedBytes) {
      this.#giveBack(length)
      return this.#malformed(stream, 'content-length-mismatch')
    }
    if (stream.user === undefined) return this.#giveBack(length)
    stream.unconsumed += length
    stream.user.onData(chunk, start, end)
  }

  #endData(isEmpty: boolean): void {
    this.#phase = IN_HEAD
    const stream = this.#dataStream
    this.#dataStream = undefined
    if ((this.#flags & END_STREAM) === 0) {
      if (isEmpty && this.#guard.onEmptyData()) this.#flood('empty-data')
    } else if (stream?.isOpen === true) {
      this.#endReceiving(stream)
    }
  }

  /** The peer's side of the stream is whole, if it is what was promised. */
  #endReceiving(stream: Http2Stream): void {
    if (stream.expectedBytes !== -1 && stream.receivedBytes !== stream.expectedBytes)
      return this.#malformed(stream, 'content-length-mismatch')
    stream.hasReceivedEnd = true
    stream.user?.onEnd()
    if (stream.isOpen && isDone(stream)) this.#remove(stream)
  }

  // Field sections (RFC 9113, 6.2 and 6.10).

  #onHeaders(bytes: Buffer, from: number, to: number): void {
    const id = this.#id
    const flags = this.#flags
    if (id === 0) return this.#fail(ERROR_CODE.PROTOCOL_ERROR, 'headers on no stream')
    let start = from
    let end = to
    if ((flags & PADDED) !== 0) {
      if (start === end) return this.#fail(ERROR_CODE.FRAME_SIZE_ERROR, 'no room for padding')
      const padding = bytes[start++]!
      if (padding > end - start) return this.#fail(ERROR_CODE.PROTOCOL_ERROR, 'more padding than frame')
      end -= padding
    }
    let isSelfDependent = false
    if ((flags & WITH_PRIORITY) !== 0) {
      if (end - start < PRIORITY_BYTES) return this.#fail(ERROR_CODE.FRAME_SIZE_ERROR, 'no room for priority')
      isSelfDependent = (readUint32(bytes, start) & MAX_STREAM_ID) === id
      start += PRIORITY_BYTES
    }
    this.#sectionFlags = (flags & END_STREAM) | (isSelfDependent ? SELF_DEPENDENT : 0)
    if ((flags & END_HEADERS) !== 0) return this.#onSection(id, bytes, start, end)
    this.#sectionId = id
    this.#continuations = 0
    this.#sectionHeld = 0
    this.#holdSection(bytes, start, end)
  }

  #onContinuation(bytes: Buffer, start: number, end: number): void {
    const id = this.#sectionId
    if (id === 0) return this.#fail(ERROR_CODE.PROTOCOL_ERROR, 'continuation of nothing')
    this.#continuations += 1
    // CVE-2024-27316: without an end, or without octets.
    if (this.#continuations > this.#limits.floods.maxContinuations) return this.#flood('continuations')
    this.#holdSection(bytes, start, end)
    if (this.isClosed || (this.#flags & END_HEADERS) === 0) return
    const section = this.#section
    this.#section = NOTHING
    this.#sectionId = 0
    this.#onSection(id, section, 0, this.#sectionHeld)
  }

  #holdSection(bytes: Buffer, start: number, end: number): void {
    const size = this.#sectionHeld + end - start
    if (size > this.#limits.maxHeadBytes * MAX_BLOCK_FACTOR) return this.#flood('header-bomb')
    if (size > this.#section.length) {
      const grown = Buffer.allocUnsafeSlow(Math.max(size, this.#section.length * 2))
      this.#section.copy(grown, 0, 0, this.#sectionHeld)
      this.#section = grown
    }
    bytes.copy(this.#section, this.#sectionHeld, start, end)
    this.#sectionHeld = size
  }

  #onSection(id: number, bytes: Buffer, start: number, end: number): void {
    const hasEnded = (this.#sectionFlags & END_STREAM) !== 0
    const stream = this.#streams.get(id)
    if (stream === undefined) {
      if (this.#isServer) return this.#onRequest(id, bytes, start, end, hasEnded)
      if (this.#isIdle(id)) return this.#fail(ERROR_CODE.PROTOCOL_ERROR, 'headers on a stream of nobody')
      this.#decode(bytes, start, end, 'response')
      return
    }
    if (!this.#isServer && !stream.hasHead) return this.#onResponse(stream, bytes, start, end, hasEnded)
    const decoder = this.#decoder
    const { generation } = decoder
    let lines = this.#knownTrailers.find(bytes, start, end, generation, 0)
    if (lines === undefined) {
      if (!this.#decode(bytes, start, end, 'trailers')) return
      lines = decoder.lines
      if (lines !== undefined && decoder.generation === generation)
        this.#knownTrailers.remember(bytes, start, end, generation, 0, lines)
    }
    if (stream.hasReceivedEnd) return this.#streamError(stream, ERROR_CODE.STREAM_CLOSED)
    if (!hasEnded) return this.#streamError(stream, ERROR_CODE.PROTOCOL_ERROR)
    if (lines === undefined) return this.#malformed(stream, decoder.malformed ?? 'bad-trailer')
    if (stream.expectedBytes !== -1 && stream.receivedBytes !== stream.expectedBytes)
      return this.#malformed(stream, 'content-length-mismatch')
    if (lines.count > 0) stream.user?.onTrailers(lines)
    if (stream.isOpen) this.#endReceiving(stream)
  }

  #onRequest(id: number, bytes: Buffer, start: number, end: number, hasEnded: boolean): void {
    if ((id & 1) === 0) return this.#fail(ERROR_CODE.PROTOCOL_ERROR, 'even stream of a client')
    const decoder = this.#decoder
    const { generation } = decoder
    const context = hasEnded ? 1 : 0
    const known = this.#knownRequest.find(bytes, start, end, generation, context)
    if (known === undefined && !this.#decode(bytes, start, end, 'request')) return
    if (id <= this.#lastPeerId) {
      if (this.#resetByUs.has(id)) return
      const isClosed = this.#recentlyClosed.has(id)
      return this.#fail(
        isClosed ? ERROR_CODE.STREAM_CLOSED : ERROR_CODE.PROTOCOL_ERROR,
        isClosed ? 'headers on a closed stream' : 'stream out of order',
      )
    }
    if (this.#goaway === LEAVING) return
    this.#lastPeerId = id
    this.#guard.onStream()
    if (this.#streams.size >= this.#limits.maxConcurrentStreams) {
      this.#writeReset(id, ERROR_CODE.REFUSED_STREAM)
      // Before it knew better, it did nothing wrong.
      if (this.#areSettingsAcknowledged && this.#guard.onReset(this.#guard.nowMs)) this.#flood('resets')
      return
    }
    if ((this.#sectionFlags & SELF_DEPENDENT) !== 0) return this.#resetUnknown(id, ERROR_CODE.PROTOCOL_ERROR)
    const head = known ?? this.#heads.read(decoder, hasEnded)
    if (typeof head === 'string') {
      this.#handler.onMalformed?.(head)
      return this.#resetUnknown(id, ERROR_CODE.PROTOCOL_ERROR)
    }
    if (known === undefined && head.kind === 'request' && decoder.generation === generation)
      this.#knownRequest.remember(bytes, start, end, generation, context, head)
    const stream = this.#makeStream(id)
    stream.hasReceivedEnd = hasEnded
    if (head.kind === 'request') {
      stream.isTunnel = head.upgrade !== undefined
      if (head.framing.kind === 'length') stream.expectedBytes = head.framing.bytes
    }
    this.#handler.onStream(stream, head, hasEnded)
  }

  #onResponse(stream: Http2Stream, bytes: Buffer, start: number, end: number, hasEnded: boolean): void {
    const decoder = this.#decoder
    const { generation } = decoder
    const context = (hasEnded ? 1 : 0) | (stream.toHead ? 2 : 0)
    let head: ResponseHead | MalformedReason | undefined = this.#knownResponse.find(
      bytes,
      start,
      end,
      generation,
      context,
    )
    if (head === undefined) {
      if (!this.#decode(bytes, start, end, 'response')) return
      head = readResponseHead(decoder, hasEnded, stream.toHead)
      if (typeof head === 'string') return this.#malformed(stream, head)
      if (decoder.generation === generation) this.#knownResponse.remember(bytes, start, end, generation, context, head)
    }
    if (!head.interim) {
      stream.hasHead = true
      stream.hasReceivedEnd = hasEnded
      const { framing } = head
      if (framing.kind === 'length') stream.expectedBytes = framing.bytes
      // A tunnel's answer has no length of its own.
      else if (framing.kind === 'none') stream.expectedBytes = 0
      if (stream.isTunnel && head.status < 300) stream.expectedBytes = -1
    }
    stream.user?.onHead(head, hasEnded)
    if (hasEnded && stream.isOpen && isDone(stream)) this.#remove(stream)
  }

  /** False: the session is over. */
  #decode(bytes: Buffer, start: number, end: number, kind: SectionKind): boolean {
    const decoded = this.#decoder.decode(bytes, start, end, kind)
    if (decoded === 'ok') return true
    if (decoded === 'bomb') this.#flood('header-bomb')
    else this.#fail(ERROR_CODE.COMPRESSION_ERROR, 'field section is no HPACK')
    return false
  }

  // The other frames.

  #onPriority(bytes: Buffer, start: number, end: number): void {
    const id = this.#id
    if (id === 0) return this.#fail(ERROR_CODE.PROTOCOL_ERROR, 'priority of no stream')
    if (this.#guard.onPriority()) return this.#flood('priorities')
    // The stream may be one that is over, which cannot be reset: a peer that cannot write frames goes altogether (5.4.1).
    if (end - start !== PRIORITY_BYTES) return this.#fail(ERROR_CODE.FRAME_SIZE_ERROR, 'priority of another length')
    if ((readUint32(bytes, start) & MAX_STREAM_ID) !== id) return
    const stream = this.#streams.get(id)
    if (stream !== undefined) this.#streamError(stream, ERROR_CODE.PROTOCOL_ERROR)
    else if (this.#isIdle(id)) this.#fail(ERROR_CODE.PROTOCOL_ERROR, 'priority that depends on itself')
  }

  /** RFC 9113, 6.4. */
  #onReset(bytes: Buffer, start: number, end: number): void {
    const id = this.#id
    if (end - start !== 4) return this.#fail(ERROR_CODE.FRAME_SIZE_ERROR, 'reset of another length')
    if (id === 0 || this.#isIdle(id)) return this.#fail(ERROR_CODE.PROTOCOL_ERROR, 'reset of no stream')
    const stream = this.#streams.get(id)
    if (stream === undefined) {
      // It met ours on the way: whoever made us reset was counted then, and a stream is reset but once by either side.
      if (this.#resetByUs.delete(id)) return
      if (this.#guard.onReset(this.#guard.nowMs)) this.#flood('resets')
      return
    }
    // A server cannot reset more than we ask it for, and those who do ask are bounded where they do. A client that has the
    // whole answer takes back the rest of its request, which nobody waits for (RFC 9113, 8.1).
    if (this.#isServer && !isDone(stream) && this.#guard.onReset(stream.openedMs)) return this.#flood('resets')
    const { user } = stream
    const code = readUint32(bytes, start)
    stream.user = undefined
    this.#remove(stream)
    user?.onReset(code, code === ERROR_CODE.REFUSED_STREAM)
  }

  /** RFC 9113, 6.5. */
  #onSettings(bytes: Buffer, start: number, end: number): void {
    if (this.#id !== 0) return this.#fail(ERROR_CODE.PROTOCOL_ERROR, 'settings of a stream')
    if (this.#guard.onSettings()) return this.#flood('settings')
    if ((this.#flags & ACK) !== 0) {
      if (end !== start) return this.#fail(ERROR_CODE.FRAME_SIZE_ERROR, 'settings with their acknowledgement')
      this.#areSettingsAcknowledged = true
      return
    }
    if ((end - start) % SETTING_BYTES !== 0) return this.#fail(ERROR_CODE.FRAME_SIZE_ERROR, 'half a setting')
    for (let at = start; at < end; at += SETTING_BYTES) {
      if (!this.#onSetting((bytes[at]! << 8) | bytes[at + 1]!, readUint32(bytes, at + 2))) return
    }
    this.#hasSettings = true
    if (!this.#answer(0)) return
    this.#out.at = writeFrameHead(this.#out.bytes, this.#out.at, 0, SETTINGS, ACK, 0)
    this.#pump()
    this.#handler.onRoom?.()
  }

  /** False: the session is over. */
  #onSetting(id: number, value: number): boolean {
    switch (id) {
      case HEADER_TABLE_SIZE:
        this.#encoder.resize(value)
        return true
      case ENABLE_PUSH:
        if (value <= (this.#isServer ? 1 : 0)) return true
        this.#fail(ERROR_CODE.PROTOCOL_ERROR, 'bad setting of push')
        return false
      case MAX_CONCURRENT_STREAMS:
        this.#peerMaxStreams = value
        return true
      case INITIAL_WINDOW_SIZE:
        return this.#onInitialWindow(value)
      case MAX_FRAME_SIZE:
        if (value < MAX_FRAME_BYTES || value > LARGEST_FRAME_BYTES) {
          this.#fail(ERROR_CODE.PROTOCOL_ERROR, 'bad setting of frame size')
          return false
        }
        // Larger frames save nothing, and others wait behind them.
        this.#peerMaxFrame = MAX_FRAME_BYTES
        return true
      case ENABLE_CONNECT_PROTOCOL:
        if (value > 1) {
          this.#fail(ERROR_CODE.PROTOCOL_ERROR, 'bad setting of extended connect')
          return false
        }
        this.takesExtendedConnect = value === 1
        return true
      default:
        return true
    }
  }

  /** RFC 9113, 6.9.2: it moves the windows that there are, below nothing if need be. */
  #onInitialWindow(value: number): boolean {
    if (value > MAX_WINDOW_BYTES) {
      this.#fail(ERROR_CODE.FLOW_CONTROL_ERROR, 'bad setting of window')
      return false
    }
    const moved = value - this.#peerInitialWindow
    this.#peerInitialWindow = value
    for (const stream of this.#streams.values()) {
      stream.sendWindow += moved
      if (stream.sendWindow > MAX_WINDOW_BYTES) {
        this.#fail(ERROR_CODE.FLOW_CONTROL_ERROR, 'window beyond its limit')
        return false
      }
    }
    return true
  }

  /** RFC 9113, 6.7. */
  #onPing(bytes: Buffer, start: number, end: number): void {
    if (end - start !== PING_BYTES) return this.#fail(ERROR_CODE.FRAME_SIZE_ERROR, 'ping of another length')
    if (this.#id !== 0) return this.#fail(ERROR_CODE.PROTOCOL_ERROR, 'ping of a stream')
    if (this.#guard.onPing()) return this.#flood('pings')
    if ((this.#flags & ACK) !== 0) {
      if (this.#goaway === ANNOUNCED && LEAVING_PING.compare(bytes, start, end) === 0) this.#leave()
      return
    }
    if (!this.#answer(PING_BYTES)) return
    const out = this.#out
    out.at = writeFrameHead(out.bytes, out.at, PING_BYTES, PING, ACK, 0)
    out.at = copyBytes(bytes, start, end, out.bytes, out.at)
  }

  /** RFC 9113, 6.8. */
  #onGoaway(bytes: Buffer, start: number, end: number): void {
    if (this.#id !== 0) return this.#fail(ERROR_CODE.PROTOCOL_ERROR, 'goaway of a stream')
    if (end - start < 8) return this.#fail(ERROR_CODE.FRAME_SIZE_ERROR, 'goaway too short')
    if (this.#guard.onSettings()) return this.#flood('settings')
    const lastStreamId = readUint32(bytes, start) & MAX_STREAM_ID
    const code = readUint32(bytes, start + 4)
    this.#hasPeerLeft = true
    if (!this.#isServer) {
      for (const stream of [...this.#unsent, ...this.#streams.values()]) {
        if (stream.id !== 0 && stream.id <= lastStreamId) continue
        const { user } = stream
        stream.user = undefined
        this.#forget(stream)
        user?.onReset(ERROR_CODE.REFUSED_STREAM, true)
      }
    }
    if (this.isClosed) return
    this.#handler.onGoaway(lastStreamId, code)
    if (!this.isClosed) this.#endIfDrained()
  }

  /** RFC 9113, 6.9. */
  #onWindowUpdate(bytes: Buffer, start: number, end: number): void {
    const id = this.#id
    if (end - start !== 4) return this.#fail(ERROR_CODE.FRAME_SIZE_ERROR, 'window update of another length')
    if (this.#guard.onWindowUpdate()) return this.#flood('window-updates')
    const increment = readUint32(bytes, start) & MAX_WINDOW_BYTES
    if (id === 0) {
      if (increment === 0) return this.#fail(ERROR_CODE.PROTOCOL_ERROR, 'window update of nothing')
      this.#sendWindow += increment
      if (this.#sendWindow > MAX_WINDOW_BYTES)
        return this.#fail(ERROR_CODE.FLOW_CONTROL_ERROR, 'window beyond its limit')
      return this.#pump()
    }
    if (this.#isIdle(id)) return this.#fail(ERROR_CODE.PROTOCOL_ERROR, 'window update of no stream')
    const stream = this.#streams.get(id)
    if (stream === undefined) {
      // No honest peer sends it whatever the stream's state: an answer that was faster than the frame makes no difference.
      if (increment === 0) this.#fail(ERROR_CODE.PROTOCOL_ERROR, 'window update of nothing')
      return
    }
    if (increment === 0) return this.#streamError(stream, ERROR_CODE.PROTOCOL_ERROR)
    stream.sendWindow += increment
    if (stream.sendWindow > MAX_WINDOW_BYTES) return this.#streamError(stream, ERROR_CODE.FLOW_CONTROL_ERROR)
    if (stream.heldBytes > 0) this.#pump()
  }

  // Writing.

  #begin(): void {
    const { maxConcurrentStreams, streamWindowBytes, connectionWindowBytes, maxHeadBytes, extendedConnect } =
      this.#limits
    this.#room(PREFACE.length + 2 * FRAME_HEAD_BYTES + 4 * SETTING_BYTES + 4)
    const out = this.#out
    if (!this.#isServer) out.at += PREFACE.copy(out.bytes, out.at)
    const settings = [INITIAL_WINDOW_SIZE, streamWindowBytes, MAX_HEADER_LIST_SIZE, maxHeadBytes]
    if (this.#isServer) settings.push(MAX_CONCURRENT_STREAMS, maxConcurrentStreams)
    else settings.push(ENABLE_PUSH, 0)
    if (this.#isServer && extendedConnect) settings.push(ENABLE_CONNECT_PROTOCOL, 1)
    out.at = writeFrameHead(out.bytes, out.at, (settings.length / 2) * SETTING_BYTES, SETTINGS, 0, 0)
    for (let index = 0; index < settings.length; index += 2) {
      out.bytes[out.at++] = 0
      out.bytes[out.at++] = settings[index]!
      out.at = writeUint32(out.bytes, out.at, settings[index + 1]!)
    }
    if (connectionWindowBytes > DEFAULT_WINDOW_BYTES)
      this.#writeWindowUpdate(0, connectionWindowBytes - DEFAULT_WINDOW_BYTES)
  }

  /** Makes room for what is written next, and sees to it that it goes out. */
  #room(bytes: number): void {
    this.#out.reserve(bytes)
    if (this.#isFlushPlanned) return
    this.#isFlushPlanned = true
    flushAtTurnEnd(this)
  }

  /** Makes room for a frame that the peer made us send. False: it reads none of them (CVE-2019-9517), and the session is over. */
  #answer(payloadBytes: number): boolean {
    this.#room(FRAME_HEAD_BYTES + payloadBytes)
    if (this.isWritable || ++this.#unreadAnswers <= this.#limits.floods.maxUnreadAnswers) return true
    this.#flood('unread-answers')
    return false
  }

  /** The section `[start + head, end)` was encoded: puts frames around it. */
  #frameSection(start: number, end: number, id: number, endStream: boolean): void {
    const out = this.#out
    const { bytes } = out
    const max = this.#peerMaxFrame
    const length = end - start - FRAME_HEAD_BYTES
    const first = Math.min(length, max)
    const flags = (endStream ? END_STREAM : 0) | (first === length ? END_HEADERS : 0)
    writeFrameHead(bytes, start, first, HEADERS, flags, id)
    out.at = end
    // Rare: each piece after the first moves back to make room for a head of its own.
    for (let at = start + FRAME_HEAD_BYTES + first; at < out.at; ) {
      bytes.copyWithin(at + FRAME_HEAD_BYTES, at, out.at)
      out.at += FRAME_HEAD_BYTES
      const piece = Math.min(out.at - at - FRAME_HEAD_BYTES, max)
      const next = at + FRAME_HEAD_BYTES + piece
      writeFrameHead(bytes, at, piece, CONTINUATION, next === out.at ? END_HEADERS : 0, id)
      at = next
    }
  }

  /**
   * Writes as much of `slices`, from the octet `start` of the first on, as windows and `most` allow. Returns how much; the last
   * frame ends the stream when all of it went and nothing comes behind.
   */
  #sendSlices(stream: Http2Stream, slices: readonly Buffer[], start: number, total: number, most: number): number {
    if (!this.isWritable) return 0
    const allowed = Math.min(total, most, this.#sendWindow, stream.sendWindow)
    const out = this.#out
    let sent = 0
    let index = 0
    let from = start
    while (sent < allowed) {
      const length = Math.min(allowed - sent, this.#peerMaxFrame)
      this.#room(FRAME_HEAD_BYTES + length)
      const isLast = sent + length === total && stream.endsBehindHeld
      out.at = writeFrameHead(out.bytes, out.at, length, DATA, isLast ? END_STREAM : 0, stream.id)
      for (let left = length; left > 0; ) {
        const slice = slices[index]!
        const taken = Math.min(left, slice.length - from)
        out.at = copyBytes(slice, from, from + taken, out.bytes, out.at)
        left -= taken
        from += taken
        if (from === slice.length) {
          index += 1
          from = 0
        }
      }
      sent += length
      this.#guard.onDataSent()
      if (length < DRIBBLE_BYTES && sent < total && this.#guard.onDribble()) {
        this.#flood('dribbles')
        return sent
      }
    }
    if (sent > 0) {
      this.#sendWindow -= sent
      stream.sendWindow -= sent
    }
    return sent
  }

  /** Sends what was held back as far as it goes now, a frame of each stream in turn. */
  #pump(): void {
    for (let hasMoved = true; hasMoved && this.#blocked.size > 0 && this.isWritable && this.#sendWindow > 0; ) {
      hasMoved = false
      for (const stream of this.#blocked) {
        if (this.#sendHeld(stream)) hasMoved = true
        if (this.isClosed) return
      }
      if (this.#out.at > MAX_PUMPED_BYTES) this.flush()
    }
  }

  /** False: nothing went. */
  #sendHeld(stream: Http2Stream): boolean {
    const { held, heldBytes } = stream
    const sent = this.#sendSlices(stream, held, stream.heldStart, heldBytes, this.#peerMaxFrame)
    if (sent === 0 || this.isClosed) return false
    stream.heldBytes -= sent
    if (stream.heldBytes > 0) {
      let left = sent + stream.heldStart
      let gone = 0
      while (left >= held[gone]!.length) left -= held[gone++]!.length
      if (gone > 0) held.splice(0, gone)
      stream.heldStart = left
      return true
    }
    held.length = 0
    stream.heldStart = 0
    this.#blocked.delete(stream)
    if (stream.endsBehindHeld) {
      this.#endSending(stream)
    } else if (stream.trailersBehindHeld !== undefined) {
      const lines = stream.trailersBehindHeld
      stream.trailersBehindHeld = undefined
      stream.hasSentEnd = false
      this.sendTrailers(stream, lines, stream.trailersDrop)
    } else {
      stream.user?.onDrain()
    }
    return true
  }

  /** The end, with no octets. */
  #sendEnd(stream: Http2Stream): void {
    this.#room(FRAME_HEAD_BYTES)
    this.#out.at = writeFrameHead(this.#out.bytes, this.#out.at, 0, DATA, END_STREAM, stream.id)
    this.#endSending(stream)
  }

  #endSending(stream: Http2Stream): void {
    stream.hasSentEnd = true
    if (stream.hasReceivedEnd) this.#remove(stream)
  }

  #writeReset(id: number, code: ErrorCode): void {
    this.#resetByUs.add(id)
    if (!this.#answer(4)) return
    const out = this.#out
    out.at = writeFrameHead(out.bytes, out.at, 4, RST_STREAM, 0, id)
    out.at = writeUint32(out.bytes, out.at, code)
  }

  #writeWindowUpdate(id: number, increment: number): void {
    if (!this.#answer(4)) return
    const out = this.#out
    out.at = writeFrameHead(out.bytes, out.at, 4, WINDOW_UPDATE, 0, id)
    out.at = writeUint32(out.bytes, out.at, increment)
  }

  #writeGoaway(lastStreamId: number, code: ErrorCode): void {
    this.#room(FRAME_HEAD_BYTES + 8)
    const out = this.#out
    out.at = writeFrameHead(out.bytes, out.at, 8, GOAWAY, 0, 0)
    out.at = writeUint32(out.bytes, out.at, lastStreamId)
    out.at = writeUint32(out.bytes, out.at, code)
  }

  /** Lets the peer send as much more on the connection. */
  #giveBack(bytes: number): void {
    this.#unannounced += bytes
    if (this.#unannounced < this.#limits.connectionWindowBytes / 2 || this.isClosed) return
    this.#receiveWindow += this.#unannounced
    const increment = this.#unannounced
    this.#unannounced = 0
    this.#writeWindowUpdate(0, increment)
  }

  // Streams.

  #makeStream(id: number): Http2Stream {
    const stream = new Http2Stream(this, id, this.#guard.nowMs, this.#peerInitialWindow, this.#limits.streamWindowBytes)
    if (id !== 0) this.#streams.set(id, stream)
    return stream
  }

  #giveId(stream: Http2Stream): void {
    if (stream.id !== 0) return
    stream.id = this.#nextId
    this.#nextId += 2
    this.#unsent.delete(stream)
    stream.sendWindow = this.#peerInitialWindow
    this.#streams.set(stream.id, stream)
  }

  /** Whether nobody has opened it yet. */
  #isIdle(id: number): boolean {
    const isOurs = ((id & 1) === 1) !== this.#isServer
    if (isOurs) return id >= this.#nextId || this.#isServer
    return id > this.#lastPeerId && this.#goaway !== LEAVING
  }

  /** Whether frames on a stream that is over are no fault of the peer's: it cannot have known. */
  #isExpectedLate(id: number): boolean {
    return this.#resetByUs.has(id) || (this.#goaway === LEAVING && id > this.#lastPeerId) || !this.#isServer
  }

  #remove(stream: Http2Stream): void {
    this.#forget(stream)
    if (this.isClosed) return
    if (this.streams === 0) this.#handler.onIdle()
    if (!this.isClosed && !this.#endIfDrained() && !this.#isServer) this.#handler.onRoom?.()
  }

  #forget(stream: Http2Stream): void {
    stream.isOpen = false
    if (this.#unsent.delete(stream)) return
    this.#streams.delete(stream.id)
    this.#blocked.delete(stream)
    this.#recentlyClosed.add(stream.id)
    stream.held.length = 0
    stream.heldBytes = 0
    if (stream.unconsumed > 0) this.#giveBack(stream.unconsumed)
    stream.unconsumed = 0
  }

  /** The message on it is none: whoever has it must not take what came for the whole (RFC 9113, 8.1.1). */
  #malformed(stream: Http2Stream, reason: MalformedReason): void {
    this.#handler.onMalformed?.(reason)
    this.#streamError(stream, ERROR_CODE.PROTOCOL_ERROR)
  }

  /** Resets a stream because of what the peer sent on it, which counts as if it had done so itself (CVE-2025-8671). */
  #streamError(stream: Http2Stream, code: ErrorCode): void {
    const { user } = stream
    this.reset(stream, code)
    user?.onReset(code, false)
    if (!this.isClosed && this.#guard.onReset(stream.openedMs)) this.#flood('resets')
  }

  /** The same for one that is no longer there, or never was. */
  #resetUnknown(id: number, code: ErrorCode): void {
    this.#writeReset(id, code)
    if (!this.isClosed && this.#guard.onReset(this.#guard.nowMs)) this.#flood('resets')
  }

  // Ends.

  #leave(): void {
    this.#goaway = LEAVING
    this.#writeGoaway(this.#lastPeerId, ERROR_CODE.NO_ERROR)
    this.#endIfDrained()
  }

  #endIfDrained(): boolean {
    if (this.streams > 0 || (this.#goaway !== LEAVING && !this.#hasPeerLeft)) return false
    if (this.#goaway !== LEAVING) this.#writeGoaway(this.#lastPeerId, ERROR_CODE.NO_ERROR)
    this.#end({ kind: 'drained', code: ERROR_CODE.NO_ERROR, reason: 'drained' })
    return true
  }

  #flood(flood: FloodKind): void {
    if (this.isClosed) return
    this.#writeGoaway(this.#lastPeerId, ERROR_CODE.ENHANCE_YOUR_CALM)
    this.#end({ kind: 'flood', code: ERROR_CODE.ENHANCE_YOUR_CALM, reason: flood, flood })
  }

  #fail(code: ErrorCode, reason: string): void {
    if (this.isClosed) return
    this.#writeGoaway(this.#lastPeerId, code)
    this.#end({ kind: 'protocol', code, reason })
  }

  #end(end: SessionEnd): void {
    this.isClosed = true
    const { kind, code } = end
    if (kind !== 'disconnected' && this.#out.at > 0) this.#out.lendTo(this.#write)
    else this.#out.clear()
    const streams = [...this.#unsent, ...this.#streams.values()]
    this.#unsent.clear()
    this.#streams.clear()
    this.#blocked.clear()
    this.#section = NOTHING
    this.#payload = undefined
    for (const stream of streams) {
      const { user } = stream
      stream.isOpen = false
      stream.user = undefined
      user?.onReset(code, stream.id === 0)
    }
    this.#handler.onClose(end)
  }
}

/** Whether both sides have sent all, and nothing of ours is held back. */
function isDone(stream: Http2Stream): boolean {
  return stream.hasSentEnd && stream.heldBytes === 0
}

/** Keeps a copy of `slices` from the octet `start` on. */
function hold(stream: Http2Stream, slices: readonly Buffer[], start: number): void {
  let skipped = start
  for (const slice of slices) {
    if (skipped >= slice.length) {
      skipped -= slice.length
      continue
    }
    const copy = Buffer.from(slice.subarray(skipped))
    stream.held.push(copy)
    stream.heldBytes += copy.length
    skipped = 0
  }
}

/** Octets of the frame heads that a section of `bound` octets may need after its first. */
function continuationBytes(bound: number, maxFrame: number): number {
  return Math.ceil(bound / maxFrame) * FRAME_HEAD_BYTES
}

const NOTHING = Buffer.alloc(0)

const SETTING_BYTES = 6
const PING_BYTES = 8
const PRIORITY_BYTES = 5

/** Beside the flags of a HEADERS frame that matter once its section is whole. */
const SELF_DEPENDENT = 0x100

/** Bytes that one round of what was held back makes before they are handed over. */
const MAX_PUMPED_BYTES = 262_144

/** What the answer to tells that everything sent before the first GOAWAY came has been read. */
const LEAVING_PING: Buffer = Buffer.from('farewell', 'latin1')

const PRESENCE_PING: Buffer = Buffer.from('presence', 'latin1')

const NOT_LEAVING = 0
const ANNOUNCED = 1
const LEAVING = 2

/** Where in the bytes of the connection the reader is. */
const IN_PREFACE = 0
const IN_HEAD = 1
const IN_PAYLOAD = 2
const IN_DATA = 3
const SKIPPING = 4
