/** Bounds of one HTTP/2 connection; which a connection gets, its kind says: {@link OUTSIDE_LIMITS}, {@link MESH_LIMITS}, {@link DIALLED_LIMITS}. */
export interface Http2Limits {
  /** Streams that the peer may have open at once; one more is refused (RFC 9113, 5.1.2). */
  readonly maxConcurrentStreams: number
  /** Bytes that the peer may send on one stream before we have taken them: SETTINGS_INITIAL_WINDOW_SIZE. */
  readonly streamWindowBytes: number
  /** The same for all streams of the connection together, 65,535 or more. */
  readonly connectionWindowBytes: number
  /** Bytes of a header or trailer section as lines: beyond it 431. */
  readonly maxHeadBytes: number
  /** Field lines of a section: beyond it 431. */
  readonly maxHeaders: number
  /** Bytes of a request's path with its query: beyond it 414. */
  readonly maxTargetBytes: number
  /** Whether the peer may open tunnels by extended CONNECT (RFC 8441). */
  readonly extendedConnect: boolean
  readonly floods: FloodLimits
}

/** What a peer may do in one window of `windowMs` before it is taken for an attacker: GOAWAY with ENHANCE_YOUR_CALM, and close (T18). */
export interface FloodLimits {
  readonly windowMs: number
  /** Streams that the peer reset, or made us reset by what it sent. */
  readonly maxResets: number
  /** As many resets more for each stream opened; 0 for peers of whom nothing good is known. */
  readonly resetsPerStream: number
  /** Milliseconds: the reset of a stream that lived this long costs us no more than its answer would have, and does not count. */
  readonly prematureMs: number
  readonly maxSettings: number
  /** On top of one for each DATA frame sent or received: some peers measure the path with them. */
  readonly maxPings: number
  /** DATA without octets, without the end of the stream. */
  readonly maxEmptyData: number
  /** On top of ten for each DATA frame that we sent and two for each stream opened. */
  readonly maxWindowUpdates: number
  /** PRIORITY and frames of unknown types, on top of as many for each stream opened. */
  readonly maxPriorities: number
  /** DATA frames that the peer's windows made smaller than {@link DRIBBLE_BYTES} though there was more. */
  readonly maxDribbles: number
  /** CONTINUATION frames of one field section. */
  readonly maxContinuations: number
  /** Frames that answer the peer's and that it does not read. Not by the window. */
  readonly maxUnreadAnswers: number
}

/** Bytes: what is cut below this by a window is a dribble. */
export const DRIBBLE_BYTES = 64

const FLOODS: FloodLimits = {
  windowMs: 10_000,
  maxResets: 200,
  resetsPerStream: 0,
  prematureMs: Number.POSITIVE_INFINITY,
  maxSettings: 100,
  maxPings: 1_000,
  maxEmptyData: 200,
  maxWindowUpdates: 1_000,
  maxPriorities: 100,
  maxDribbles: 1_000,
  maxContinuations: 16,
  maxUnreadAnswers: 1_000,
}

/** For clients of whom nothing is known. */
export const OUTSIDE_LIMITS: Http2Limits = Object.freeze({
  maxConcurrentStreams: 100,
  streamWindowBytes: 131_072,
  connectionWindowBytes: 1_048_576,
  maxHeadBytes: 16_384,
  maxHeaders: 100,
  maxTargetBytes: 8_192,
  extendedConnect: true,
  floods: Object.freeze(FLOODS),
})

/**
 * Between sidecars: one connection carries the calls of many clients, each of whom the dialling side bounds. Its window has
 * room for that of each stream: whoever does not take what was sent to him holds up nobody else.
 */
export const MESH_LIMITS: Http2Limits = Object.freeze({
  ...OUTSIDE_LIMITS,
  maxConcurrentStreams: 1_000,
  streamWindowBytes: 65_536,
  connectionWindowBytes: 1_000 * 65_536,
  floods: Object.freeze({ ...FLOODS, resetsPerStream: 0.5, prematureMs: 1_000 }),
})

/**
 * For whoever dialled. An answer that is whole before its request is has a reset behind it (RFC 9113, 8.1), of a stream that is
 * over by then: each that was opened may have one, or clients who send half a request would end the calls of all others.
 */
export const DIALLED_LIMITS: Http2Limits = Object.freeze({
  ...MESH_LIMITS,
  floods: Object.freeze({ ...MESH_LIMITS.floods, resetsPerStream: 1 }),
})
