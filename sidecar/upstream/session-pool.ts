import { MESH_ALPN } from '../../contract/alpn.ts'
import type { Clock } from '../../runtime/clock.ts'
import { ConnectError } from './connect.ts'
import { UpstreamConnection } from './connection.ts'
import type { Deadline, Deadlines } from './deadlines.ts'
import { Http2Upstream, type PresenceSettings, type SessionOwner } from './http2-upstream.ts'
import type { Opened, OpenedStream } from './pool.ts'
import type { UpstreamStream } from './upstream-stream.ts'

/** Milliseconds for which a sidecar that knows no HTTP/2 is not asked for it again. */
const HTTP1_ONLY_MS = 60_000

/** Requests that a connection which is being made is thought to take: more make another. */
const EXPECTED_ROOM = 100

export interface SessionPoolOptions {
  readonly clock: Clock
  readonly deadlines: Deadlines
  /** Milliseconds that a session without streams is kept. */
  readonly idleMs: number
  /** Whether a session without streams may be kept at all. */
  mayKeep(): boolean
  /** Milliseconds that the other side has, once connected, to say what it takes. */
  readonly settingsMs: number
  /** Absent: the other side is never asked whether it is there. */
  readonly presence?: PresenceSettings
  connect(done: (opened: Opened) => void): { abort(): void }
  /** A connection to a sidecar that knows HTTP/1.1 only. */
  streamOn(connection: UpstreamConnection): UpstreamStream
  openHttp1(done: (opened: OpenedStream) => void): { abort(): void }
}

/** A request that waits for a connection. */
interface Waiter {
  readonly done: (opened: OpenedStream) => void
  isOver: boolean
  /** Where it waits elsewhere. */
  moved: { abort(): void } | undefined
}

/**
 * The HTTP/2 sessions with one endpoint: as few as there are streams for, shared by everybody. One that leaves, is old or
 * has gone silent gets no new stream and ends behind its last one.
 */
export class SessionPool implements SessionOwner {
  readonly #options: SessionPoolOptions
  /** That new streams may be opened on. */
  readonly #sessions: Http2Upstream[] = []
  /** Connected, and silent so far. */
  readonly #unready = new Map<Http2Upstream, Deadline>()
  readonly #waiters: Waiter[] = []
  #connecting = 0
  #http1UntilMs = Number.NEGATIVE_INFINITY
  #isClosed = false

  constructor(options: SessionPoolOptions) {
    this.#options = options
  }

  /** Connections that may take requests. */
  get count(): number {
    return this.#sessions.length
  }

  /** Streams open now. */
  get streams(): number {
    let streams = 0
    for (const session of this.#sessions) streams += session.streams
    return streams
  }

  /** Whether the other side was found to know no HTTP/2. */
  isHttp1Only(nowMs: number): boolean {
    return nowMs < this.#http1UntilMs
  }

  /** A stream on a session that has room for it now. */
  take(nowMs: number): UpstreamStream | undefined {
    const sessions = this.#sessions
    for (let index = 0; index < sessions.length; index++) {
      const session = sessions[index]!
      if (session.connection.retireAtMs <= nowMs) {
        session.leave()
        // It has taken itself out.
        index -= 1
      } else if (session.room > 0) {
        return session.open()
      }
    }
    return undefined
  }

  /** A stream on the next session that has room, made if need be; `done` is called once, never before this returns. */
  open(done: (opened: OpenedStream) => void): { abort(): void } {
    const waiter: Waiter = { done, isOver: false, moved: undefined }
    this.#waiters.push(waiter)
    this.#connect()
    return {
      abort: () => {
        waiter.isOver = true
        waiter.moved?.abort()
        const index = this.#waiters.indexOf(waiter)
        if (index !== -1) this.#waiters.splice(index, 1)
      },
    }
  }

  /** Ends the session that has no streams, if there is one. */
  closeIdle(): boolean {
    const idle = this.#sessions.find(({ streams }) => streams === 0)
    idle?.leave()
    return idle !== undefined
  }

  /** Ends each behind its last stream. */
  close(): void {
    this.#isClosed = true
    for (const session of [...this.#sessions]) session.leave()
  }

  onReady(session: Http2Upstream): void {
    this.#stopWaitingFor(session)
    this.#sessions.push(session)
    this.#serve()
    if (session.streams === 0) this.onIdle(session)
    if (this.#isClosed) session.leave()
  }

  onIdle(session: Http2Upstream): void {
    const { clock, deadlines, idleMs, mayKeep } = this.#options
    if (!mayKeep()) return session.leave()
    const nowMs = clock.monotonic()
    deadlines.set(session.idleDeadline, Math.max(0, Math.min(idleMs, session.connection.retireAtMs - nowMs)), nowMs)
  }

  onRoom(): void {
    if (this.#waiters.length > 0) this.#serve()
  }

  onLeaving(session: Http2Upstream): void {
    const index = this.#sessions.indexOf(session)
    if (index !== -1) this.#sessions.splice(index, 1)
    if (!this.#unready.has(session)) return
    this.#stopWaitingFor(session)
    this.#failWaiters(new ConnectError('unreachable', 'the endpoint does not speak HTTP/2'))
  }

  #connect(): void {
    if (this.#waiters.length <= (this.#connecting + this.#unready.size) * EXPECTED_ROOM) return
    this.#connecting += 1
    this.#options.connect((opened) => {
      this.#connecting -= 1
      if (!(opened instanceof UpstreamConnection)) return this.#failWaiters(opened)
      if (opened.alpn === MESH_ALPN.http) return this.#fallBack(opened)
      const { clock, deadlines, settingsMs, presence } = this.#options
      const session = new Http2Upstream(opened, this, clock, deadlines, presence)
      const deadline = deadlines.create(() => opened.destroy())
      deadlines.set(deadline, settingsMs)
      this.#unready.set(session, deadline)
    })
  }

  #stopWaitingFor(session: Http2Upstream): void {
    const deadline = this.#unready.get(session)
    if (deadline !== undefined) this.#options.deadlines.remove(deadline)
    this.#unready.delete(session)
  }

  #serve(): void {
    const nowMs = this.#options.clock.monotonic()
    while (this.#waiters.length > 0) {
      const stream = this.take(nowMs)
      if (stream === undefined) return this.#connect()
      this.#waiters.shift()!.done(stream)
    }
  }

  /** Whoever may still be served by another connection goes on waiting for that one. */
  #failWaiters(failure: Exclude<Opened, UpstreamConnection>): void {
    if (this.#connecting + this.#unready.size > 0) return
    for (const waiter of this.#waiters.splice(0)) waiter.done(failure)
  }

  /** The sidecar there is of an older version: each has a connection for himself, as ever. */
  #fallBack(connection: UpstreamConnection): void {
    const { clock, openHttp1, streamOn } = this.#options
    this.#http1UntilMs = clock.monotonic() + HTTP1_ONLY_MS
    const waiters = this.#waiters.splice(0)
    const first = waiters.shift()
    if (first === undefined) connection.destroy()
    else first.done(streamOn(connection))
    for (const waiter of waiters) {
      waiter.moved = openHttp1((opened) => {
        if (!waiter.isOver) waiter.done(opened)
      })
    }
  }
}
