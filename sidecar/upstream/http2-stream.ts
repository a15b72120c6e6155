import { hash } from 'node:crypto'
import { compileHeaderFilter, PROTECTED } from '../serve/http1/header-filter.ts'
import { HeaderLines } from '../serve/http1/header-lines.ts'
import type { ResponseHead } from '../serve/http1/message.ts'
import { hashOfName } from '../serve/http1/octets.ts'
import type { Problem } from '../serve/http1/problem.ts'
import { WEBSOCKET_GUID } from '../serve/http1/websocket.ts'
import type { RequestToWrite } from '../serve/http1/write-head.ts'
import { ERROR_CODE, type ErrorCode } from '../serve/http2/error-code.ts'
import type { Http2StreamUser, MalformedReason } from '../serve/http2/handler.ts'
import type { Http2Stream } from '../serve/http2/stream.ts'
import { StreamBytes } from './stream-bytes.ts'
import type { UpstreamFailure, UpstreamStream, UpstreamStreamUser } from './upstream-stream.ts'

/** The session that a stream is one of. */
export interface StreamHome {
  readonly peerSpiffeId: string | undefined
  readonly scheme: 'http' | 'https'
  readonly takesExtendedConnect: boolean
  /** When something was last read of it, in monotonic time. */
  readonly lastReadMs: number
  /** Why the last message was none, if the reset that is told of just now is for that. Once. */
  takeMalformed(): MalformedReason | undefined
  /** Whether it had served others before this stream, and is gone. */
  readonly isStale: boolean
  now(): number
  /** Calls `flush` when what is being read has been read. */
  flushLater(stream: Http2UpstreamStream): void
  /** Gives up a stream of which the other side has not sent all. `sentMs`: when its request went. */
  giveUp(stream: Http2Stream, sentMs: number, hasRead: boolean): void
}

/** One request on a session that others share. */
export class Http2UpstreamStream implements UpstreamStream, Http2StreamUser {
  user: UpstreamStreamUser | undefined
  readonly version = 'http2'
  readonly #home: StreamHome
  readonly #stream: Http2Stream
  #sentMs = -1
  #hasRead = false
  /** Of a request for a WebSocket. */
  #key: string | undefined

  /** What was read and not handed out yet: all of one read goes out together. */
  #head: ResponseHead | undefined
  readonly #slices: Buffer[] = []
  #trailers: HeaderLines | undefined
  #isDone = false
  #isFlushPlanned = false

  #isPaused = false
  /** Bytes that were handed out while nobody took them. */
  #owed = 0

  constructor(home: StreamHome, open: (user: Http2StreamUser) => Http2Stream) {
    this.#home = home
    this.#stream = open(this)
  }

  get peerSpiffeId(): string | undefined {
    return this.#home.peerSpiffeId
  }

  get takesWebSocket(): boolean {
    return this.#home.takesExtendedConnect
  }

  sendHead(
    message: RequestToWrite,
    slices: readonly Buffer[],
    done: boolean,
    trailers: HeaderLines | undefined,
  ): boolean | Problem {
    const { scheme } = this.#home
    const isUpgrade = message.upgrade !== undefined
    // A tunnel has no end yet, whatever its request was.
    const endsHere = done && slices.length === 0 && trailers === undefined && !isUpgrade
    const { method, target, host, headers, connectionNames, edits, framing } = message
    const problem = this.#stream.sendRequest(
      {
        method,
        target,
        host,
        headers,
        framing,
        scheme,
        // What they say in the end is passed on to whoever can take it; gRPC does not answer those who cannot.
        trailers: true,
        ...(connectionNames === undefined ? {} : { connectionNames }),
        ...(edits === undefined ? {} : { edits }),
        ...(isUpgrade ? { protocol: 'websocket' as const } : {}),
      },
      endsHere,
    )
    if (problem !== undefined) return problem
    this.#sentMs = this.#home.now()
    if (isUpgrade) {
      this.#key = headers.get('sec-websocket-key')
      return true
    }
    return endsHere || this.sendBody(slices, done, trailers)
  }

  sendBody(slices: readonly Buffer[], done: boolean, trailers: HeaderLines | undefined): boolean {
    const endsHere = done && trailers === undefined
    const isFlowing =
      slices.length === 0 && !endsHere ? this.#stream.isFlowing : this.#stream.sendData(slices, endsHere)
    if (done && trailers !== undefined) this.#stream.sendTrailers(trailers, PROTECTED_NAMES)
    return isFlowing
  }

  pause(): void {
    this.#isPaused = true
  }

  resume(): void {
    if (!this.#isPaused) return
    this.#isPaused = false
    const owed = this.#owed
    this.#owed = 0
    this.#stream.consumed(owed)
    if (this.#slices.length > 0 || this.#isDone) this.flush()
  }

  release(): void {
    this.user = undefined
    this.#stream.user = undefined
    // The answer is whole and the request is not: nobody wants the rest of it (RFC 9113, 8.1).
    this.#stream.reset(ERROR_CODE.NO_ERROR)
  }

  drop(): void {
    this.user = undefined
    this.#slices.length = 0
    const stream = this.#stream
    stream.user = undefined
    if (stream.isOpen) this.#home.giveUp(stream, this.#sentMs, this.#hasRead)
  }

  /** Hands out what one read brought. */
  flush(): void {
    this.#isFlushPlanned = false
    const slices = this.#slices
    try {
      if (this.#head !== undefined) {
        const head = this.#head
        this.#head = undefined
        this.user?.onResponseHead(head)
      }
      if (this.#isPaused) {
        // It was read into what is read over next.
        for (let index = 0; index < slices.length; index++) slices[index] = Buffer.from(slices[index]!)
        return
      }
      const { user } = this
      if (user === undefined) return
      let bytes = 0
      for (const slice of slices) bytes += slice.length
      const handed = slices.splice(0)
      user.onResponseBody(handed, this.#isDone, this.#trailers)
      if (this.#isPaused) this.#owed += bytes
      else this.#stream.consumed(bytes)
    } catch (error) {
      slices.length = 0
      this.user?.onFault(error)
    }
  }

  onHead(head: ResponseHead, hasEnded: boolean): void {
    this.#hasRead = true
    if (head.interim) return this.#guard((user) => user.onInterim(head))
    if (this.#key !== undefined && head.status === 200 && !hasEnded) return this.#switch(head, this.#key)
    this.#head = head
    this.#isDone = hasEnded
    this.#plan()
  }

  onData(chunk: Buffer, start: number, end: number): void {
    const slice = chunk.subarray(start, end)
    this.#slices.push(this.#isPaused ? Buffer.from(slice) : slice)
    if (!this.#isPaused) this.#plan()
  }

  onTrailers(lines: HeaderLines): void {
    this.#trailers = lines
  }

  onEnd(): void {
    this.#isDone = true
    if (!this.#isPaused) this.#plan()
  }

  onReset(code: ErrorCode, isRefused: boolean): void {
    if (this.#isFlushPlanned) this.flush()
    const malformed = this.#home.takeMalformed()
    const { isStale, lastReadMs } = this.#home
    const isWhole = this.#isDone && !this.#isFlushPlanned
    if (isWhole || this.user === undefined) return
    if (malformed !== undefined) return this.#break('protocol', malformed, 'seen')
    const isUnread = !this.#hasRead && isStale && lastReadMs <= this.#sentMs
    this.#break('reset', `reset with ${code}`, isRefused ? 'unseen' : isUnread ? 'closed' : 'seen')
  }

  onDrain(): void {
    this.#guard((user) => user.onUpstreamDrain())
  }

  #plan(): void {
    if (this.#isFlushPlanned) return
    this.#isFlushPlanned = true
    this.#home.flushLater(this)
  }

  /** The other side's consent, in the form that it has in HTTP/1.1. */
  #switch(head: ResponseHead, key: string): void {
    const { user } = this
    this.user = undefined
    const bytes = new StreamBytes(this.#stream, (stream) => this.#home.giveUp(stream, this.#sentMs, true))
    try {
      user?.onSwitched(
        { ...head, status: 101, interim: false, upgrade: 'websocket', headers: withAccept(head.headers, key) },
        bytes,
        NOTHING,
      )
    } catch (error) {
      bytes.destroy()
      user?.onFault(error)
    }
  }

  #break(kind: UpstreamFailure['kind'], detail: string, request: UpstreamFailure['request']): void {
    const { user } = this
    this.drop()
    try {
      user?.onUpstreamBroken({ kind, detail, request })
    } catch (error) {
      user?.onFault(error)
    }
  }

  #guard(run: (user: UpstreamStreamUser) => void): void {
    const { user } = this
    if (user === undefined) return
    try {
      run(user)
    } catch (error) {
      user.onFault(error)
    }
  }
}

/** RFC 6455, 4.2.2: whoever asked by HTTP/1.1 is told what HTTP/2 has no word for. */
function withAccept(headers: HeaderLines, key: string): HeaderLines {
  const { block, origin, marks } = headers
  const length = marks.length === 0 ? 0 : marks[marks.length - 1]! + 2
  const line = `${ACCEPT}: ${hash('sha1', key + WEBSOCKET_GUID, 'base64')}`
  const lines = Buffer.concat([block.subarray(origin, origin + length), Buffer.from(`${line}\r\n`, 'latin1')])
  const mark = [hashOfName(ACCEPT), length, length + ACCEPT.length, length + ACCEPT.length + 2, length + line.length]
  return new HeaderLines(lines, 0, [...marks, ...mark])
}

/** What decides anything is not said behind a body (T12). */
const PROTECTED_NAMES = compileHeaderFilter(PROTECTED)

const ACCEPT = 'sec-websocket-accept'
const NOTHING = Buffer.alloc(0)
