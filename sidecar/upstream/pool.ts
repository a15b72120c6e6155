import { MESH_ALPN } from '../../contract/alpn.ts'
import type { Candidate } from './balancer.ts'
import { type ConnectDeps, ConnectError, connect, describeTarget, type Target } from './connect.ts'
import { type ConnectionOwner, UpstreamConnection } from './connection.ts'
import { ConnectionCount } from './connection-count.ts'
import type { RingMember } from './hash-ring.ts'
import { PassiveHealth } from './health.ts'
import { Http1Stream } from './http1-stream.ts'
import { PeakEwma } from './latency.ts'
import { SessionPool } from './session-pool.ts'
import type { HttpVersion, UpstreamStream } from './upstream-stream.ts'

/** Bounds of the connections to one endpoint. */
export interface PoolLimits {
  /** Connections at once, those being made included. */
  readonly maxConnectionsPerEndpoint: number
  readonly maxIdlePerEndpoint: number
  /** Milliseconds that a connection to another sidecar waits for its next request. */
  readonly upstreamIdleMs: number
  /** Milliseconds that a connection to anybody else does. */
  readonly appIdleMs: number
  /** Milliseconds after which a connection takes no new request. */
  readonly upstreamAgeMs: number
  /** Milliseconds of silence of another sidecar's HTTP/2 connection before it is asked, and those that it has to answer. */
  readonly pingMs: number
  readonly pongMs: number
}

/** Counts over all pools. */
export interface PoolCounts {
  open: number
  idle: number
}

export interface PoolDeps extends ConnectDeps {
  readonly limits: PoolLimits
  readonly counts: PoolCounts
}

/** What is known of an endpoint beside how it is reached. */
export interface EndpointFacts {
  /** When it came among the others, in monotonic time. */
  readonly sinceMs: number
  /** Where it is; undefined: nobody says. */
  readonly zone?: string | undefined
  /** What a session that is with it is told, and says again. Nobody can tell from it what the endpoint is. */
  readonly sessionToken?: string
}

/** What its upstream says of the connections to an endpoint. */
export interface PoolSettings {
  /** Milliseconds to connect, TLS included; undefined: as everywhere. */
  readonly connectMs: number | undefined
  /** Of all endpoints of the upstream. Always the same one: it is told of what was opened and of what is closed. */
  readonly count: ConnectionCount
  /** Closes a connection to any of them that nobody uses; false: there is none. */
  readonly makeRoom: () => boolean
}

/** How a connection is made. */
export interface OpenOptions {
  readonly preferHttp2?: boolean
  /** For a tunnel: one direction may end before the other. */
  readonly allowHalfOpen?: boolean
}

/** The endpoint has as many connections as it may. */
export class PoolFullError extends Error {
  override readonly name = 'PoolFullError'
}

export type Opened = UpstreamConnection | ConnectError | PoolFullError
export type OpenedStream = UpstreamStream | ConnectError | PoolFullError

/**
 * The connections to one endpoint. The one that was used last is used next, so that the others can grow old and go.
 *
 * Only its user knows whether a connection may serve again: it gives it back, or destroys it.
 */
export class EndpointPool implements Candidate, RingMember, ConnectionOwner {
  readonly target: Target
  /** For logs. */
  readonly label: string
  readonly health = new PassiveHealth()
  readonly latency = new PeakEwma()
  readonly sinceMs: number
  readonly sessionToken: string
  zone: string | undefined
  #deps: PoolDeps
  /** Where its upstream does not say otherwise. */
  readonly #connectMs: number
  #count = new ConnectionCount()
  #makeRoom: PoolSettings['makeRoom'] = () => this.closeIdle()
  readonly #idle: UpstreamConnection[] = []
  #sessions: SessionPool | undefined
  #open = 0
  #isClosed = false
  /** Those who want to know whether the endpoint is there, while that is being found out. */
  #probers: ((isThere: boolean) => void)[] = []

  constructor(target: Target, deps: PoolDeps, { sinceMs, zone, sessionToken = '' }: EndpointFacts = { sinceMs: 0 }) {
    this.target = target
    this.label = describeTarget(target)
    this.sinceMs = sinceMs
    this.zone = zone
    this.sessionToken = sessionToken
    this.#deps = deps
    this.#connectMs = deps.connectMs
  }

  /** For whoever comes from now on. */
  configure({ connectMs = this.#connectMs, count, makeRoom }: PoolSettings): void {
    this.#count = count
    this.#makeRoom = makeRoom
    if (connectMs !== this.#deps.connectMs) this.#deps = { ...this.#deps, connectMs }
  }

  get key(): string {
    return this.label
  }

  /** Connections, those being made included. */
  get connections(): number {
    return this.#open
  }

  get outstanding(): number {
    const alone = this.#open - this.#idle.length
    return this.#sessions === undefined ? alone : alone - this.#sessions.count + this.#sessions.streams
  }

  isAvailable(nowMs: number): boolean {
    return this.health.isAvailable(nowMs)
  }

  latencyMs(nowMs: number): number {
    return this.latency.at(nowMs)
  }

  /** What a request can be sent on now, without waiting. `preferred`: what is spoken to whoever takes either. */
  takeStream(nowMs: number, preferred: HttpVersion): UpstreamStream | undefined {
    if (this.#speaksHttp2(preferred, nowMs)) return this.#sessions?.take(nowMs)
    const kept = this.take(nowMs)
    return kept === undefined ? undefined : this.#streamOn(kept)
  }

  /** Makes what a request can be sent on; `done` is called once, never before this returns. */
  openStream(preferred: HttpVersion, done: (opened: OpenedStream) => void): { abort(): void } {
    if (this.#speaksHttp2(preferred, this.#deps.clock.monotonic())) {
      this.#sessions ??= this.#makeSessions()
      return this.#sessions.open(done)
    }
    return this.open((opened) => done(opened instanceof UpstreamConnection ? this.#streamOn(opened) : opened))
  }

  /** Another sidecar is spoken to as whoever asks prefers; everybody else as he was declared. */
  #speaksHttp2(preferred: HttpVersion, nowMs: number): boolean {
    const { target } = this
    if (target.kind === 'mesh' && target.speaks === undefined) {
      return preferred === 'http2' && target.alpn === MESH_ALPN.http && this.#sessions?.isHttp1Only(nowMs) !== true
    }
    return target.kind !== 'outside' && target.speaks === 'http2'
  }

  #makeSessions(): SessionPool {
    const { clock, deadlines, limits, connectMs } = this.#deps
    return new SessionPool({
      clock,
      deadlines,
      idleMs: this.target.kind === 'mesh' ? limits.upstreamIdleMs : limits.appIdleMs,
      mayKeep: () => this.#count.mayKeep(),
      // Applications are on loopback, and servers of gRPC take those who ask for attackers.
      ...(this.target.kind === 'mesh' && { presence: limits }),
      settingsMs: connectMs,
      connect: (done) => this.open(done, { preferHttp2: this.target.kind === 'mesh' }),
      streamOn: (connection) => this.#streamOn(connection),
      openHttp1: (done) => this.openStream('http1', done),
    })
  }

  #streamOn(connection: UpstreamConnection): UpstreamStream {
    connection.http1 ??= new Http1Stream(connection, this)
    connection.user = connection.http1
    return connection.http1
  }

  /** A kept connection that may take another request now. */
  take(nowMs: number): UpstreamConnection | undefined {
    for (let connection = this.#idle.pop(); connection !== undefined; connection = this.#idle.pop()) {
      const idleUntilMs = connection.idleDeadline?.dueMs ?? Number.POSITIVE_INFINITY
      this.#leaveIdle(connection)
      // A process that was held up is late with its deadlines, and the other end, which may have hung up by now, is not.
      if (Math.min(connection.retireAtMs, idleUntilMs) > nowMs && !connection.isClosed) {
        connection.uses += 1
        return connection
      }
      connection.destroy()
    }
    return undefined
  }

  /** Makes a new connection; `done` is called once, never before this returns. */
  open(done: (opened: Opened) => void, options: OpenOptions = {}): { abort(): void } {
    if (this.#open >= this.#deps.limits.maxConnectionsPerEndpoint || !this.#count.mayOpen(this.#makeRoom)) {
      let isAborted = false
      process.nextTick(() => {
        if (!isAborted) done(new PoolFullError(`${this.label} may have no more than ${this.#open} connections`))
      })
      return {
        abort() {
          isAborted = true
        },
      }
    }
    this.#open += 1
    this.#count.opened()
    this.#deps.counts.open += 1
    let made: UpstreamConnection | undefined
    return connect(
      this.target,
      this.#deps,
      (length, lent) => made?.onRead(length, lent),
      (result) => {
        if (result instanceof ConnectError) {
          this.#countClosed()
          done(result)
          return
        }
        const nowMs = this.#deps.clock.monotonic()
        const retireAtMs = nowMs + Math.min(this.#deps.limits.upstreamAgeMs, result.usableMs)
        made = new UpstreamConnection(result, retireAtMs, this)
        made.uses = 1
        done(made)
      },
      options,
    )
  }

  /** The response is complete and nothing is left on the wire: the connection may serve again. `nowMs` is monotonic. */
  giveBack(connection: UpstreamConnection, nowMs: number = this.#deps.clock.monotonic()): void {
    connection.user = undefined
    const { limits, deadlines } = this.#deps
    const usableMs = connection.retireAtMs - nowMs
    const mayKeep = !this.#isClosed && this.#idle.length < limits.maxIdlePerEndpoint && this.#count.mayKeep()
    if (connection.isClosed || usableMs <= 0 || !mayKeep) {
      connection.destroy()
      return
    }
    connection.idleDeadline ??= deadlines.create(() => connection.destroy())
    const idleMs = this.target.kind === 'mesh' ? limits.upstreamIdleMs : limits.appIdleMs
    deadlines.set(connection.idleDeadline, Math.min(idleMs, usableMs), nowMs)
    this.#idle.push(connection)
    this.#deps.counts.idle += 1
  }

  /**
   * Finds out by a new connection whether the endpoint is there, once for all who ask meanwhile. Where it is not, what is idle is
   * closed: nobody is to meet the same silence on it. `done` is called once.
   */
  probe(done: (isThere: boolean) => void): void {
    this.#probers.push(done)
    if (this.#probers.length > 1) return
    this.open((opened) => {
      const isThere = !(opened instanceof ConnectError)
      if (opened instanceof UpstreamConnection) this.#keepProbe(opened)
      if (!isThere) while (this.closeIdle());
      for (const prober of this.#probers.splice(0)) prober(isThere)
    })
  }

  /** It serves the next request, where that is not spoken in HTTP/2. */
  #keepProbe(connection: UpstreamConnection): void {
    const { target } = this
    if (target.kind !== 'outside' && target.speaks === 'http2') connection.destroy()
    else this.giveBack(connection)
  }

  /** Closes the connection that has waited longest for a request; false: none waits. */
  closeIdle(): boolean {
    const connection = this.#idle.shift()
    if (connection === undefined) return this.#sessions?.closeIdle() === true
    this.#leaveIdle(connection)
    connection.destroy()
    return true
  }

  /** Closes what is idle, and what is in use as soon as it is given back. */
  close(): void {
    this.#isClosed = true
    for (const connection of this.#idle.splice(0)) {
      this.#leaveIdle(connection)
      connection.destroy()
    }
    this.#sessions?.close()
  }

  onIdleData(connection: UpstreamConnection): void {
    // Nobody asked for anything: an answer too many (F14), or a farewell.
    this.#forget(connection)
    connection.destroy()
  }

  onClosed(connection: UpstreamConnection): void {
    this.#forget(connection)
    if (connection.idleDeadline !== undefined) this.#deps.deadlines.remove(connection.idleDeadline)
    this.#countClosed()
  }

  #leaveIdle(connection: UpstreamConnection): void {
    this.#deps.counts.idle -= 1
    if (connection.idleDeadline !== undefined) this.#deps.deadlines.clear(connection.idleDeadline)
  }

  #forget(connection: UpstreamConnection): void {
    const index = this.#idle.lastIndexOf(connection)
    if (index === -1) return
    this.#idle.splice(index, 1)
    this.#leaveIdle(connection)
  }

  #countClosed(): void {
    this.#open -= 1
    this.#count.closed()
    this.#deps.counts.open -= 1
  }
}
