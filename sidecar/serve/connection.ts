import type { Socket } from 'node:net'
import type { Denial } from '../../model/verdict.ts'
import type { ByteStream } from '../upstream/byte-stream.ts'
import type { Deadline } from '../upstream/deadlines.ts'
import { SocketWriter } from '../upstream/socket-writer.ts'
import type { Served } from './accepted.ts'
import type { Client } from './client.ts'
import { denialOf, REQUEST_TIMEOUT } from './denials.ts'
import type { Transaction, TunnelRecord } from './downstream.ts'
import type { Engine } from './engine.ts'
import { Exchange } from './exchange.ts'
import { closeAtExpiry } from './expiry.ts'
import { IDENTITY_HEADERS } from './forwarded.ts'
import type { RequestHead } from './http1/message.ts'
import { RequestHeadParser } from './http1/request-head.ts'
import { Http1Downstream, type Http1Wire } from './http1-downstream.ts'
import { keepReads, lendReads } from './lent-reads.ts'
import { PROBLEM_JSON, problemJson, writeLocalResponse } from './local-response.ts'
import { malformedRecord } from './malformed.ts'
import type { Judged } from './open-tunnels.ts'
import type { HttpSite } from './site.ts'
import { SocketBytes } from './socket-bytes.ts'
import { startTunnel } from './tunnel.ts'

/** Milliseconds that a connection which was told goodbye is still read from, so that the goodbye is not lost to a reset. */
const LINGER_MS = 2_000

/** Bytes read past meanwhile. */
const MAX_LINGER_BYTES = 1024 * 1024

/** What a connection is opened with. */
export interface HttpConnectionOptions {
  readonly engine: Engine
  readonly socket: Socket
  readonly client: Client
  readonly site: HttpSite
  /** Takes the connection for another site: what it speaks there is yet to be seen. */
  handOver(site: HttpSite): void
}

/**
 * One client's connection that speaks HTTP/1.1: request after request, each answered before the next is looked at.
 *
 * Pipelined requests wait unread. Nothing of a next request is touched while the client does not take the responses.
 */
export class HttpConnection implements Http1Wire, Served {
  readonly client: Client
  readonly site: HttpSite
  readonly writer: SocketWriter
  idleSinceMs: number | undefined
  headSinceMs: number | undefined
  readonly #engine: Engine
  readonly #socket: Socket
  readonly #handOver: HttpConnectionOptions['handOver']
  readonly #parser: RequestHeadParser
  readonly #http: Http1Downstream
  #transaction: Transaction | undefined
  /** Read, and not looked at yet. */
  #waiting: Buffer | undefined
  #isRunning = false
  #isPaused = false
  #hasClientEnded = false
  #isClosing = false
  #isTunnel = false
  /** What the rest of the connection is for, after a CONNECT. */
  #next: HttpSite | undefined
  #isDraining = false
  #lingered = 0
  #requests = 0
  readonly #deadline: Deadline
  /** Of a client that has ended while it is answered. */
  #endedDeadline: Deadline | undefined
  #writtenBefore = 0

  constructor({ engine, socket, client, site, handOver }: HttpConnectionOptions) {
    this.#engine = engine
    this.#socket = socket
    this.writer = new SocketWriter(socket)
    this.client = client
    this.site = site
    this.#parser = new RequestHeadParser({ connect: site.transaction !== undefined, trusted: IDENTITY_HEADERS })
    this.#handOver = handOver
    this.#http = new Http1Downstream(this, engine.limits, engine.clock)
    this.#deadline = engine.deadlines.create(() => this.#onDeadline())
    closeAtExpiry(engine, client, socket, () => this.#isTunnel)
    this.#becomeIdle(engine.clock.monotonic())
    lendReads(socket, engine.clientReadBuffer, this.#onLent)
    socket.on('data', this.#onData)
    socket.on('drain', this.#onDrain)
    socket.on('end', this.#onEnd)
    socket.on('error', ignore)
    socket.on('close', this.#onClose)
    // Whoever looked at its first byte may have stopped it.
    socket.resume()
  }

  pause(): void {
    if (this.#isPaused) return
    this.#isPaused = true
    this.#socket.pause()
  }

  resume(): void {
    if (this.#isRunning || this.#isTunnel) return
    const waiting = this.#waiting
    if (waiting !== undefined) {
      this.#waiting = undefined
      this.#run(waiting, 0, waiting.length)
    } else {
      this.#transaction?.flush()
    }
    if (this.#isPaused && this.#waiting === undefined && (this.#transaction === undefined || this.#http.wantsBody)) {
      this.#isPaused = false
      this.#socket.resume()
    }
  }

  setDeadline(delayMs: number, nowMs?: number): void {
    this.#engine.deadlines.set(this.#deadline, delayMs, nowMs)
  }

  clearDeadline(): void {
    this.#engine.deadlines.clear(this.#deadline)
  }

  finished(keepAlive: boolean, nowMs: number = this.#engine.clock.monotonic()): void {
    this.#transaction = undefined
    this.#requests += 1
    if (!keepAlive || this.#isDraining || this.#isAtEnd()) return this.#close()
    if (this.#socket.writableNeedDrain) this.setDeadline(this.#engine.limits.bodyMs)
    else this.#becomeIdle(nowMs)
    this.resume()
  }

  abort(): void {
    this.#transaction = undefined
    // Without a close_notify, or with a reset: nobody can take what was sent for the whole (F14).
    // A reset in the moment in which an end is on its way fails, and Node would keep the socket for ever.
    if (this.client.isSecure || this.#socket.writableEnded) this.#socket.destroy()
    else this.#socket.resetAndDestroy()
  }

  isClosing(): boolean {
    return (
      this.#isDraining ||
      this.#isAtEnd() ||
      this.#engine.isDraining() ||
      this.#requests + 1 >= this.#engine.limits.maxRequestsPerConnection
    )
  }

  tunnel(upstream: ByteStream, early: Buffer, about: TunnelRecord, judged: Judged): void {
    const socket = this.#socket
    const { site, client } = this
    this.#transaction = undefined
    this.#isTunnel = true
    this.clearDeadline()
    this.#forgetEnd()
    keepReads(socket)
    socket.off('data', this.#onData)
    socket.off('drain', this.#onDrain)
    socket.off('end', this.#onEnd)
    const tunnel = startTunnel(this.#engine, new SocketBytes(socket), upstream, {
      ...about,
      direction: site.direction,
      listener: site.listener(''),
      spiffeId: client.peer.spiffeId,
      clientIp: client.peer.ip,
    })
    const waiting = this.#waiting
    this.#waiting = undefined
    if (early.length > 0) tunnel.sendToClient(early)
    if (waiting !== undefined) tunnel.sendToUpstream(waiting)
    if (this.#hasClientEnded) tunnel.endUpstream()
    this.#engine.tunnels.add(tunnel, judged)
    socket.resume()
  }

  enter(site: HttpSite): void {
    this.#transaction = undefined
    this.#next = site
    if (!this.#isRunning) this.#leave(site, this.#waiting)
  }

  /** Hands the socket over, with what was read of it and not looked at. */
  #leave(site: HttpSite, unread: Buffer | undefined): void {
    const socket = this.#socket
    this.#waiting = undefined
    this.#engine.deadlines.remove(this.#deadline)
    this.#forgetEnd()
    keepReads(socket)
    socket.off('data', this.#onData)
    socket.off('drain', this.#onDrain)
    socket.off('end', this.#onEnd)
    socket.off('close', this.#onClose)
    socket.pause()
    if (unread !== undefined && unread.length > 0) socket.unshift(unread)
    this.#handOver(site)
  }

  /** Stops answering idle clients and, with the next response, the others. */
  drain(): void {
    this.#isDraining = true
    if (this.#transaction === undefined && !this.#isTunnel && this.#parser.idle && this.#waiting === undefined)
      this.#close()
  }

  destroy(): void {
    this.#socket.destroy()
  }

  readonly #onData = (chunk: Buffer): void => this.#onRead(chunk, chunk.length)

  readonly #onLent = (length: number, lent: Buffer): void => this.#onRead(lent, length)

  #onRead(chunk: Buffer, length: number): void {
    if (this.#isClosing) {
      this.#lingered += length
      if (this.#lingered > MAX_LINGER_BYTES) this.#socket.destroy()
      return
    }
    if (this.#waiting === undefined) this.#run(chunk, 0, length)
    else this.#waiting = Buffer.concat([this.#waiting, chunk.subarray(0, length)])
  }

  /** `chunk[at, end)` to keep: what is lent is read over with the next read of any client. */
  #own(chunk: Buffer, at: number, end: number): Buffer {
    const part = chunk.subarray(at, end)
    return chunk === this.#engine.clientReadBuffer ? Buffer.from(part) : part
  }

  #run(chunk: Buffer, start: number, end: number): void {
    this.#isRunning = true
    try {
      this.#read(chunk, start, end)
    } catch (err) {
      // A mistake of ours ends this connection and no other.
      this.#engine.log.error('request failed in the proxy', { err })
      this.#transaction?.onClientGone()
      this.#socket.destroy()
    } finally {
      this.#isRunning = false
    }
  }

  #read(chunk: Buffer, start: number, end: number): void {
    let at = start
    while (at < end && !this.#isClosing) {
      if (this.#transaction === undefined) {
        if (this.#socket.writableNeedDrain) return this.#wait(chunk, at, end)
        const head = this.#parser.parse(chunk, at, end)
        if (head === undefined) return this.#hasClientEnded ? this.#onAllRead() : this.#awaitHead()
        if (head.kind === 'problem') return this.#refuse(denialOf(head))
        at = this.#parser.offset
        this.idleSinceMs = undefined
        this.headSinceMs = undefined
        this.clearDeadline()
        this.#begin(head)
        if (this.#next !== undefined) return this.#leave(this.#next, this.#own(chunk, at, end))
      } else if (this.#http.wantsBody) {
        at = this.#http.consume(chunk, at, end)
      } else {
        return this.#wait(chunk, at, end)
      }
    }
    this.#transaction?.flush()
    if (this.#hasClientEnded) this.#onAllRead()
  }

  /** The client has said all that it had to say, and everything but what is answered now has been. */
  #isAtEnd(): boolean {
    return this.#hasClientEnded && this.#waiting === undefined && !this.#isRunning
  }

  /** The client has ended, and what it has sent has been looked at, but for what waits. */
  #onAllRead(): void {
    if (this.#waiting !== undefined || this.#isClosing) return
    const transaction = this.#transaction
    if (transaction === undefined) {
      if (this.#parser.idle) this.#close()
      else this.#socket.destroy()
    } else if (transaction.onClientEnd()) {
      this.#transaction = undefined
      this.#socket.destroy()
    }
  }

  #begin(head: RequestHead): void {
    let transaction = this.site.transaction?.(this.#engine, this, head)
    if (transaction === undefined) {
      transaction = new Exchange(this.#engine, this.#http, head)
      this.#http.begin(head, transaction)
    }
    this.#transaction = transaction
    transaction.begin()
  }

  #wait(chunk: Buffer, at: number, end: number): void {
    this.#transaction?.flush()
    this.#waiting = this.#own(chunk, at, end)
    this.pause()
  }

  #awaitHead(): void {
    if (this.idleSinceMs === undefined) return
    // From the first byte on it is no longer idle, and the whole head has one limit however slowly it comes (T20).
    this.idleSinceMs = undefined
    this.headSinceMs = this.#engine.clock.monotonic()
    this.setDeadline(this.#engine.limits.headMs, this.headSinceMs)
  }

  #becomeIdle(nowMs: number): void {
    this.idleSinceMs = nowMs
    this.#engine.deadlines.set(this.#deadline, this.#engine.limits.idleMs, nowMs)
  }

  readonly #onDrain = (): void => {
    if (this.#transaction !== undefined) return this.#transaction.onDownstreamDrain()
    if (this.#isClosing) return
    this.#becomeIdle(this.#engine.clock.monotonic())
    this.resume()
  }

  readonly #onEnd = (): void => {
    this.#hasClientEnded = true
    this.#onAllRead()
    if (this.#transaction === undefined) return
    this.#endedDeadline = this.#engine.deadlines.create(() => this.#onSilence())
    this.#awaitProgress()
  }

  /** A client that ended may still read; one that is gone looks the same until something is written to it. */
  #awaitProgress(): void {
    this.#writtenBefore = this.#socket.bytesWritten
    this.#engine.deadlines.set(this.#endedDeadline!, this.#engine.limits.halfClosedMs)
  }

  #onSilence(): void {
    if (this.#transaction === undefined) return
    if (this.#socket.bytesWritten > this.#writtenBefore) this.#awaitProgress()
    else this.#socket.destroy()
  }

  #forgetEnd(): void {
    if (this.#endedDeadline !== undefined) this.#engine.deadlines.remove(this.#endedDeadline)
  }

  readonly #onClose = (): void => {
    this.#engine.deadlines.remove(this.#deadline)
    this.#forgetEnd()
    const transaction = this.#transaction
    this.#transaction = undefined
    this.#waiting = undefined
    transaction?.onClientGone()
  }

  #onDeadline(): void {
    if (this.#isClosing) return void this.#socket.destroy()
    if (this.#http.isDiscarding) return this.abort()
    if (this.#transaction !== undefined) return this.#transaction.onDeadline()
    if (!this.#parser.idle) return this.#refuse(REQUEST_TIMEOUT)
    if (this.#socket.writableNeedDrain) return void this.#socket.destroy()
    this.#close()
  }

  /** What was sent is no request: nobody knows where the next one would start. */
  #refuse(denial: Denial): void {
    const engine = this.#engine
    const decisionId = engine.newId()
    const nowMs = engine.clock.now()
    const body = problemJson(denial, decisionId)
    this.#socket.write(
      writeLocalResponse({ status: denial.status, headers: [PROBLEM_JSON], body, toHead: false, close: true, nowMs }),
    )
    engine.observer.request(malformedRecord({ denial, decisionId, nowMs, body, client: this.client, site: this.site }))
    this.#close()
  }

  #close(): void {
    if (this.#isClosing) return
    this.#isClosing = true
    this.#waiting = undefined
    // What was written may take its time to go out; only then is the client waited for.
    this.setDeadline(this.#engine.limits.bodyMs)
    this.#socket.end(() => {
      if (!this.#socket.destroyed) this.setDeadline(LINGER_MS)
    })
    this.#socket.resume()
  }
}

function ignore(): void {}
