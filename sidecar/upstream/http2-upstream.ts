import type { Clock } from '../../runtime/clock.ts'
import { ERROR_CODE } from '../serve/http2/error-code.ts'
import type { MalformedReason } from '../serve/http2/handler.ts'
import { DIALLED_LIMITS } from '../serve/http2/limits.ts'
import { Http2Session } from '../serve/http2/session.ts'
import type { Http2Stream } from '../serve/http2/stream.ts'
import type { ByteStreamUser } from './byte-stream.ts'
import type { UpstreamConnection } from './connection.ts'
import type { Deadline, Deadlines } from './deadlines.ts'
import { Http2UpstreamStream, type StreamHome } from './http2-stream.ts'
import type { UpstreamStream } from './upstream-stream.ts'

/** Whoever keeps the sessions to one endpoint. */
export interface SessionOwner {
  /** The other side has said how many streams it takes. */
  onReady(upstream: Http2Upstream): void
  onIdle(upstream: Http2Upstream): void
  /** There was none and is one: what waits may go on. */
  onRoom(upstream: Http2Upstream): void
  /** It takes no new request any more; `isReady` says whether it ever did. */
  onLeaving(upstream: Http2Upstream): void
}

/**
 * Streams that may be reset young in one window of time. The other side counts those, and would take very many for an attack
 * of ours; beyond it a stream that nobody wants any more is left to itself until it is old enough not to count.
 */
const MAX_YOUNG_RESETS = 100
const RESET_WINDOW_MS = 10_000

/** Milliseconds from which on a stream is not young: `prematureMs` of the limits between sidecars, and a little more. */
const OLD_MS = 1_500

/** Milliseconds of silence after a request that is given up for which the connection is blamed, and not the request. */
const SILENCE_MS = 1_000

/** Milliseconds that the other side has to take what was said last. */
const LINGER_MS = 2_000

/** How it is found out that nobody is there any more, though the connection was never closed (F15). */
export interface PresenceSettings {
  /** Milliseconds in which nothing came before the other side is asked. */
  readonly pingMs: number
  /** Milliseconds that it then has to say anything at all. */
  readonly pongMs: number
}

/** A connection to an endpoint that speaks HTTP/2, for many requests at once. */
export class Http2Upstream implements ByteStreamUser, StreamHome {
  readonly connection: UpstreamConnection
  readonly scheme: 'http' | 'https'
  lastReadMs = 0
  isReady = false
  isLeaving = false
  readonly #session: Http2Session
  readonly #owner: SessionOwner
  readonly #clock: Clock
  readonly #deadlines: Deadlines
  readonly #unflushed: Http2UpstreamStream[] = []
  #hadStreams = false
  #malformed: MalformedReason | undefined
  #isGone = false

  #youngResets = 0
  #resetsSinceMs = 0
  /** Given up, and not reset yet. */
  readonly #left = new Set<Http2Stream>()
  #leftDeadline: Deadline | undefined
  /** While no stream is open, and after the end. */
  readonly idleDeadline: Deadline
  readonly #presenceDeadline: Deadline | undefined
  #pingedAtMs = Number.NEGATIVE_INFINITY

  /** Absent `presence`: the other side is never asked whether it is there. */
  constructor(
    connection: UpstreamConnection,
    owner: SessionOwner,
    clock: Clock,
    deadlines: Deadlines,
    presence?: PresenceSettings,
  ) {
    this.connection = connection
    this.#owner = owner
    this.#clock = clock
    this.#deadlines = deadlines
    this.scheme = connection.peerSpiffeId === undefined ? 'http' : 'https'
    this.idleDeadline = deadlines.create(() => (this.#isGone ? connection.destroy() : this.leave()))
    this.#session = new Http2Session({
      role: 'client',
      write: (bytes) => connection.writeTurn(bytes),
      clock,
      limits: DIALLED_LIMITS,
      handler: {
        onStream() {},
        onGoaway: () => this.#beginLeaving(),
        onIdle: () => this.#onIdle(),
        onRoom: () => this.#onRoom(),
        onMalformed: (reason) => {
          this.#malformed = reason
        },
        onClose: () => this.#onSessionEnd(),
      },
    })
    connection.user = this
    if (presence === undefined) return
    this.lastReadMs = clock.monotonic()
    this.#presenceDeadline = deadlines.create(() => this.#lookForPeer(presence))
    deadlines.set(this.#presenceDeadline, presence.pingMs)
  }

  get peerSpiffeId(): string | undefined {
    return this.connection.peerSpiffeId
  }

  get takesExtendedConnect(): boolean {
    return this.#session.takesExtendedConnect
  }

  get isStale(): boolean {
    return this.#isGone && this.connection.uses > 1
  }

  /** Streams open now. */
  get streams(): number {
    return this.#session.streams
  }

  /** How many more may be opened. */
  get room(): number {
    return this.isReady && !this.isLeaving ? this.#session.room : 0
  }

  now(): number {
    return this.#clock.monotonic()
  }

  /** The next request's stream. There is room for it. */
  open(): UpstreamStream {
    this.#deadlines.clear(this.idleDeadline)
    if (this.#hadStreams) this.connection.uses += 1
    this.#hadStreams = true
    return new Http2UpstreamStream(this, (user) => this.#session.open(user)!)
  }

  /** Takes no new request, and closes behind the last one. */
  leave(): void {
    this.#beginLeaving()
    this.#session.goaway()
  }

  flushLater(stream: Http2UpstreamStream): void {
    this.#unflushed.push(stream)
  }

  giveUp(stream: Http2Stream, sentMs: number, hasRead: boolean): void {
    // Nobody over there has heard of it.
    if (stream.id === 0) return stream.reset(ERROR_CODE.CANCEL)
    const nowMs = this.#clock.monotonic()
    // A connection on which nothing comes any more is not the one to try again on (F15).
    if (!hasRead && sentMs >= 0 && nowMs - sentMs > SILENCE_MS && this.lastReadMs <= sentMs) this.leave()
    if (nowMs - stream.openedMs >= OLD_MS || this.#mayResetYoung(nowMs)) return stream.reset(ERROR_CODE.CANCEL)
    this.#left.add(stream)
    this.#leftDeadline ??= this.#deadlines.create(() => this.#resetLeft())
    if (this.#left.size === 1) this.#deadlines.set(this.#leftDeadline, OLD_MS, nowMs)
  }

  // What comes from the connection.

  onBytes(bytes: Buffer, length: number): void {
    this.lastReadMs = this.#clock.monotonic()
    this.#malformed = undefined
    this.#session.receive(bytes, 0, length)
    this.#flush()
  }

  onDrain(): void {
    this.#session.onWritable()
  }

  onEnd(): void {
    this.connection.destroy()
  }

  onClose(): void {
    this.#isGone = true
    this.#flush()
    this.#session.disconnected()
    this.#deadlines.remove(this.idleDeadline)
    if (this.#presenceDeadline !== undefined) this.#deadlines.remove(this.#presenceDeadline)
    if (this.#leftDeadline !== undefined) this.#deadlines.remove(this.#leftDeadline)
    this.#beginLeaving()
  }

  takeMalformed(): MalformedReason | undefined {
    const reason = this.#malformed
    this.#malformed = undefined
    return reason
  }

  #lookForPeer({ pingMs, pongMs }: PresenceSettings): void {
    const nowMs = this.#clock.monotonic()
    const silentMs = nowMs - this.lastReadMs
    if (silentMs < pingMs) return this.#deadlines.set(this.#presenceDeadline!, pingMs - silentMs, nowMs)
    if (this.#pingedAtMs >= this.lastReadMs) return this.connection.destroy()
    this.#pingedAtMs = nowMs
    this.#session.ping()
    this.#deadlines.set(this.#presenceDeadline!, pongMs, nowMs)
  }

  #onIdle(): void {
    if (!this.#isGone && !this.isLeaving) this.#owner.onIdle(this)
  }

  #onRoom(): void {
    if (!this.isReady && this.#session.isReady) {
      this.isReady = true
      return this.#owner.onReady(this)
    }
    if (this.room > 0) this.#owner.onRoom(this)
  }

  #onSessionEnd(): void {
    this.#isGone = true
    this.#beginLeaving()
    if (this.connection.isClosed) return
    this.connection.end()
    this.#deadlines.set(this.idleDeadline, LINGER_MS)
  }

  #flush(): void {
    const unflushed = this.#unflushed
    for (let index = 0; index < unflushed.length; index++) unflushed[index]!.flush()
    unflushed.length = 0
  }

  #beginLeaving(): void {
    if (this.isLeaving) return
    this.isLeaving = true
    this.#owner.onLeaving(this)
  }

  #mayResetYoung(nowMs: number): boolean {
    if (nowMs - this.#resetsSinceMs >= RESET_WINDOW_MS) {
      this.#resetsSinceMs = nowMs
      this.#youngResets = 0
    }
    return ++this.#youngResets <= MAX_YOUNG_RESETS
  }

  #resetLeft(): void {
    const nowMs = this.#clock.monotonic()
    for (const stream of this.#left) {
      if (stream.isOpen && nowMs - stream.openedMs < OLD_MS) {
        this.#deadlines.set(this.#leftDeadline!, OLD_MS - (nowMs - stream.openedMs), nowMs)
        return
      }
      this.#left.delete(stream)
      stream.reset(ERROR_CODE.CANCEL)
    }
  }
}
