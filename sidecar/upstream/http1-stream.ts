import { bodyReader } from '../serve/http1/body.ts'
import { encodeChunk } from '../serve/http1/chunk.ts'
import type { BodyReader, BodySink, ResponseHead } from '../serve/http1/message.ts'
import type { Problem } from '../serve/http1/problem.ts'
import { ResponseHeadParser } from '../serve/http1/response-head.ts'
import { isUpgradeAccepted } from '../serve/http1/websocket.ts'
import { type RequestToWrite, writeRequestHead } from '../serve/http1/write-head.ts'
import type { ByteStreamUser } from './byte-stream.ts'
import type { UpstreamConnection } from './connection.ts'
import type { UpstreamFailure, UpstreamStream, UpstreamStreamUser } from './upstream-stream.ts'

/** Where a connection goes that may serve another request. */
export interface ConnectionHome {
  giveBack(connection: UpstreamConnection, nowMs: number): void
}

/** The requests of one upstream connection, one after the other, as HTTP/1.1. */
export class Http1Stream implements UpstreamStream, ByteStreamUser, BodySink {
  user: UpstreamStreamUser | undefined
  readonly version = 'http1'
  readonly takesWebSocket = true
  readonly #connection: UpstreamConnection
  readonly #home: ConnectionHome
  readonly #parser = new ResponseHeadParser()
  /** Slices of what is read just now; emptied before the read returns to the socket. */
  readonly #slices: Buffer[] = []

  #request: RequestToWrite | undefined
  #isRequestSent = false
  #hasRead = false
  #response: ResponseHead | undefined
  #reader: BodyReader | undefined
  /** The response began before the request had ended: what is still to come of that would be taken for the next one. */
  #isEarly = false
  #hasExcess = false

  constructor(connection: UpstreamConnection, home: ConnectionHome) {
    this.#connection = connection
    this.#home = home
  }

  get peerSpiffeId(): string | undefined {
    return this.#connection.peerSpiffeId
  }

  sendHead(message: RequestToWrite, slices: readonly Buffer[], done: boolean): boolean | Problem {
    const { writer } = this.#connection
    const written = writeRequestHead(message, { slices, done }, writer)
    if (!Buffer.isBuffer(written)) return written
    this.#parser.expect(message)
    this.#request = message
    this.#isRequestSent = done
    return writer.write(written)
  }

  sendBody(slices: readonly Buffer[], done: boolean): boolean {
    this.#isRequestSent = done
    const { writer } = this.#connection
    if (this.#request!.framing.kind !== 'chunked') return slices.length === 0 || writer.writeLent(slices)
    const bytes = encodeChunk(slices, done, writer)
    return bytes.length === 0 || writer.write(bytes)
  }

  pause(): void {
    this.#connection.pause()
  }

  resume(): void {
    this.#connection.resume()
  }

  release(nowMs: number): void {
    const connection = this.#connection
    const response = this.#response!
    const isClean =
      this.#isRequestSent &&
      !this.#isEarly &&
      !this.#hasExcess &&
      this.#request!.upgrade === undefined &&
      response.keepAlive &&
      !this.#mayBeFollowed(response)
    this.#leave()
    if (isClean) this.#home.giveBack(connection, nowMs)
    else connection.destroy()
  }

  drop(): void {
    this.#leave()
    this.#connection.destroy()
  }

  onBytes(bytes: Buffer, length: number): void {
    try {
      this.#read(bytes, length)
    } catch (error) {
      this.#slices.length = 0
      this.user?.onFault(error)
    }
  }

  onBody(chunk: Buffer, start: number, end: number): void {
    this.#slices.push(chunk.subarray(start, end))
  }

  onDrain(): void {
    this.#guard((user) => user.onUpstreamDrain())
  }

  onEnd(): void {
    this.#guard((user) => {
      const isWhole = this.#reader?.close() === undefined && this.#reader?.done === true
      if (isWhole) user.onResponseBody(this.#slices, true, undefined)
      else this.#connection.destroy()
    })
  }

  onClose(error: Error | undefined): void {
    this.#guard(() => this.#break('reset', error?.message ?? 'closed'))
  }

  #read(bytes: Buffer, length: number): void {
    if (this.#request === undefined) return this.#break('protocol', 'answered before it was asked')
    this.#hasRead = true
    let at = 0
    while (this.#reader === undefined) {
      const head = this.#parser.parse(bytes, at, length)
      if (head === undefined) return
      if (head.kind === 'problem') return this.#break('protocol', head.reason)
      at = this.#parser.offset
      if (head.status === 101) return this.#switch(head, Buffer.from(bytes.subarray(at, length)))
      if (!head.interim) {
        this.#response = head
        this.#reader = bodyReader(head.framing, 'upstream')
        this.#isEarly = !this.#isRequestSent
        this.user!.onResponseHead(head)
      } else {
        this.user!.onInterim(head)
      }
      // Whoever was told may have given it up.
      if (this.user === undefined) return
    }
    const slices = this.#slices
    const next = this.#reader.read(bytes, at, length, this)
    if (typeof next !== 'number') {
      // What was whole up to there may go; it will be seen that more should have come.
      slices.length = 0
      return this.#break('protocol', next.reason)
    }
    if (next < length) this.#hasExcess = true
    this.user!.onResponseBody(slices, this.#reader.done, undefined)
    slices.length = 0
  }

  #switch(head: ResponseHead, early: Buffer): void {
    if (!isUpgradeAccepted(this.#request!, head)) return this.#break('protocol', 'upgrade without proof')
    const { user } = this
    this.#leave()
    user!.onSwitched(head, this.#connection, early)
  }

  #break(kind: UpstreamFailure['kind'], detail: string): void {
    const { user } = this
    const isStale = this.#connection.uses > 1 && !this.#hasRead
    const request = this.#request === undefined ? 'unseen' : isStale ? 'closed' : 'seen'
    this.drop()
    user?.onUpstreamBroken({ kind, detail, request })
  }

  /** Some applications send the body that a response only tells of: it must not be taken for the next answer (T15). */
  #mayBeFollowed({ status, declaredLength = 0 }: ResponseHead): boolean {
    if (this.peerSpiffeId !== undefined) return false
    return this.#request!.method === 'HEAD' || (status === 304 && declaredLength > 0)
  }

  /** Nobody is told anything any more; the next request finds all of it as new. */
  #leave(): void {
    this.#connection.user = undefined
    this.user = undefined
    this.#request = undefined
    this.#isRequestSent = false
    this.#hasRead = false
    this.#response = undefined
    this.#reader = undefined
    this.#isEarly = false
    this.#hasExcess = false
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
