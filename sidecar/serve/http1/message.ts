import type { HeaderLines } from './header-lines.ts'
import type { Problem } from './problem.ts'

/** How the end of a body is found (RFC 9112, 6.3). `until-close` is only ever said of a response. */
export type Framing = NoBody | LengthBody | ChunkedBody | UntilCloseBody

export interface NoBody {
  readonly kind: 'none'
}

export interface LengthBody {
  readonly kind: 'length'
  /** 0..2^53-1. */
  readonly bytes: number
}

export interface ChunkedBody {
  readonly kind: 'chunked'
}

export interface UntilCloseBody {
  readonly kind: 'until-close'
}

export const NO_BODY: NoBody = Object.freeze({ kind: 'none' })
export const CHUNKED: ChunkedBody = Object.freeze({ kind: 'chunked' })
export const UNTIL_CLOSE: UntilCloseBody = Object.freeze({ kind: 'until-close' })

/**
 * The head of a request that is unambiguous: RFC 9110 and 9112, and stricter than both (DATA-PLANE, "Strict by
 * construction"). It owns its bytes: it may outlive the chunk it was read from.
 */
export interface RequestHead {
  readonly kind: 'request'
  /** One of the registered methods; case-sensitive. */
  readonly method: string
  /** The target as sent, for the log. */
  readonly target: string
  /** RFC 9112, 3.2. `authority` is CONNECT, `asterisk` is `OPTIONS *`. */
  readonly form: 'origin' | 'absolute' | 'authority' | 'asterisk'
  /** The scheme of an absolute-form target; undefined in every other form. */
  readonly scheme: 'http' | 'https' | undefined
  /** The one normal form (POLICY-API rule 10). Starts with `/`; `*` for `OPTIONS *`; empty for CONNECT. */
  readonly path: string
  /** As sent, without the `?`; empty when there is none. */
  readonly query: string
  /**
   * Whom the request is for: from the Host line, to which an absolute-form target or an authority-form one must be equal.
   * Lower case, no trailing dot, no port, IPv6 in brackets and RFC 5952 form. Empty only for HTTP/1.0 without a Host.
   */
  readonly host: string
  /** The port written beside the host, 1..65535; undefined when none was. */
  readonly port: number | undefined
  /** `host[:port]`: both in one. */
  readonly authority: string
  /** The minor version: 1.0 or 1.1. */
  readonly minor: 0 | 1
  readonly headers: HeaderLines
  /** Never `until-close`. */
  readonly framing: Exclude<Framing, UntilCloseBody>
  /** False for HTTP/1.0 and `Connection: close`. */
  readonly keepAlive: boolean
  /** `websocket` when the client asks for it properly (RFC 6455, 4.1). Every other upgrade, h2c too, is ignored and dropped. */
  readonly upgrade: 'websocket' | undefined
  /** The client waits for `100 Continue` before it sends the body (RFC 9110, 10.1.1). Never with HTTP/1.0 or without a body. */
  readonly expectContinue: boolean
  /** Lower-case names that `Connection` lists beyond the standard hop-by-hop ones; none of them is passed on. */
  readonly connectionNames: readonly string[]
}

/**
 * The head of a response that is unambiguous, as strict as {@link RequestHead}: the backend may be hostile. Its lines are
 * where they were read, and good only until that chunk is read over.
 */
export interface ResponseHead {
  readonly kind: 'response'
  /** 100..599. */
  readonly status: number
  readonly minor: 0 | 1
  /** 1xx but not 101: another head follows on the same connection. The caller bounds how many. */
  readonly interim: boolean
  readonly headers: HeaderLines
  readonly framing: Framing
  /** The Content-Length beside a body that is not sent (HEAD, 304): to be told to the client, not to be read. */
  readonly declaredLength: number | undefined
  /** The connection may carry another request once this body has ended. */
  readonly keepAlive: boolean
  /** A 101 that answers a WebSocket request properly: what follows on the connection is a tunnel. */
  readonly upgrade: 'websocket' | undefined
  readonly connectionNames: readonly string[]
}

/** Bounds of a head. A message beyond them is refused, never cut. */
export interface HeadLimits {
  /** Bytes of the whole head with its last empty line: 431. Default 16,384. */
  readonly maxHeadBytes: number
  /** Field lines: 431. Default 100. */
  readonly maxHeaders: number
  /** Bytes of the request target: 414. Default 8,192. */
  readonly maxTargetBytes: number
}

export const DEFAULT_HEAD_LIMITS: HeadLimits = Object.freeze({
  maxHeadBytes: 16_384,
  maxHeaders: 100,
  maxTargetBytes: 8_192,
})

/**
 * Reads heads from one connection, message after message, however the bytes are cut into chunks.
 *
 * `parse` reads `chunk[start, end)` and returns the head, or the reason for refusing it, or undefined when it needs more.
 * After a head, `offset` says where in that chunk the head ended: body, or the next pipelined message, starts there.
 * Once refused it stays refused.
 */
export interface HeadParser<Head> {
  parse(chunk: Buffer, start?: number, end?: number): Head | Problem | undefined
  readonly offset: number
  /** True when nothing of a next message has been read: the peer may close here. */
  readonly idle: boolean
  /** The peer closed its side: undefined between two messages, else `truncated-head`. */
  close(): Problem | undefined
}

/** Where a body goes while it is read: slices of the chunk that was handed in, valid during the call only if the caller reuses it. */
export interface BodySink {
  onBody(chunk: Buffer, start: number, end: number): void
}

/** Finds the end of one body. It holds no byte of it. */
export interface BodyReader {
  /**
   * Reads `chunk[start, end)`, hands what is body to the sink (never an empty slice), and returns the offset of the first
   * byte that is not part of this message: `end` unless `done`. Trailers are read, judged and dropped.
   */
  read(chunk: Buffer, start: number, end: number, sink: BodySink): number | Problem
  readonly done: boolean
  /** The peer closed its side: undefined if the body had ended or ends by that, else `truncated-body`. */
  close(): Problem | undefined
}
