import type { RequestHead, ResponseHead } from '../../http1/message.ts'
import type { Problem } from '../../http1/problem.ts'
import { PREFACE, SETTINGS } from '../frame.ts'
import type { Http2StreamUser, SessionEnd } from '../handler.ts'
import { type Http2Limits, OUTSIDE_LIMITS } from '../limits.ts'
import { Http2Session } from '../session.ts'
import type { Http2Stream } from '../stream.ts'
import { type Frame, frame, framesIn } from './frames.ts'

/** What a user was told, as texts. */
export class Transcript implements Http2StreamUser {
  readonly events: string[] = []
  readonly heads: ResponseHead[] = []
  body = ''
  /** Gives the window back at once. */
  readonly stream: Http2Stream | undefined

  constructor(stream?: Http2Stream) {
    this.stream = stream
  }

  onHead(head: ResponseHead, hasEnded: boolean): void {
    this.heads.push(head)
    this.events.push(`head ${head.status}${hasEnded ? ' end' : ''}`)
  }

  onData(chunk: Buffer, start: number, end: number): void {
    this.body += chunk.toString('latin1', start, end)
    this.stream?.consumed(end - start)
  }

  onTrailers(lines: Iterable<readonly [string, string]>): void {
    this.events.push(`trailers ${[...lines].map((line) => line.join('=')).join(' ')}`)
  }

  onEnd(): void {
    this.events.push('end')
  }

  onReset(code: number, isRefused: boolean): void {
    this.events.push(`reset ${code}${isRefused ? ' refused' : ''}`)
  }

  onDrain(): void {
    this.events.push('drain')
  }
}

/** A request as the handler got it. */
export interface Received {
  readonly stream: Http2Stream
  readonly head: RequestHead | Problem
  readonly hasEnded: boolean
  readonly user: Transcript
}

/** A session between a test that writes its input and one that reads its output: no sockets. */
export class SessionOnPaper {
  readonly session: Http2Session
  readonly requests: Received[] = []
  readonly told: string[] = []
  readonly malformed: string[] = []
  end: SessionEnd | undefined
  nowMs = 0
  /** What `write` answers. */
  isTaken = true
  writes = 0
  #written: Buffer[] = []

  constructor(role: 'server' | 'client', limits: Http2Limits = OUTSIDE_LIMITS, onStream?: (got: Received) => void) {
    this.session = new Http2Session({
      role,
      limits,
      clock: { monotonic: () => this.nowMs },
      write: (bytes) => {
        this.writes += 1
        this.#written.push(Buffer.from(bytes))
        return this.isTaken
      },
      handler: {
        onStream: (stream, head, hasEnded) => {
          const user = new Transcript(stream)
          stream.user = user
          const got = { stream, head, hasEnded, user }
          this.requests.push(got)
          onStream?.(got)
        },
        onGoaway: (last, code) => this.told.push(`goaway ${last} ${code}`),
        onIdle: () => this.told.push('idle'),
        onMalformed: (reason) => this.malformed.push(reason),
        onClose: (end) => {
          this.end = end
        },
      },
    })
  }

  /** Begins as a peer does that asks for nothing special. */
  begin(): this {
    if (this.session.isReady) return this
    const isServer = this.#writtenSoFar().subarray(0, PREFACE.length).compare(PREFACE) !== 0
    this.session.receive(Buffer.concat([isServer ? PREFACE : Buffer.alloc(0), frame(SETTINGS, 0, 0)]))
    this.sent()
    return this
  }

  receive(...bytes: readonly Buffer[]): void {
    this.session.receive(Buffer.concat(bytes))
  }

  /** The frames that were sent since the last time. */
  sent(): readonly Frame[] {
    const bytes = this.#writtenSoFar()
    this.#written = []
    return framesIn(bytes.subarray(0, PREFACE.length).equals(PREFACE) ? bytes.subarray(PREFACE.length) : bytes)
  }

  #writtenSoFar(): Buffer {
    this.session.flush()
    return Buffer.concat(this.#written)
  }
}
