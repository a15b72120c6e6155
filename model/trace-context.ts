/** What a request says of the trace that it is part of: `traceparent` of W3C Trace Context. */
export interface TraceParent {
  /** 32 lower-case hex digits, not all of them 0. */
  readonly traceId: string
  /** The span of whoever sent it: 16 lower-case hex digits, not all of them 0. */
  readonly parentId: string
  /** {@link SAMPLED} and {@link RANDOM}; bits that nobody has given a meaning are 0. */
  readonly flags: number
}

/** Somebody up to here has recorded the request. */
export const SAMPLED = 0x01

/** The trace id was drawn at random (level 2 of the recommendation). */
export const RANDOM = 0x02

/** Members of `tracestate` that may be passed on (3.3.1.1). */
export const MAX_TRACE_STATE_MEMBERS = 32

/** Characters of `tracestate`, all lines together. The recommendation asks for 512 at least (3.3.1.5). */
export const MAX_TRACE_STATE_LENGTH = 1_024

/**
 * Reads `traceparent` (W3C Trace Context, 3.2). Of a version that is not known yet, what the first one has in common with it
 * counts, as 3.2.4 asks. Undefined: it says nothing, and whoever got it starts a trace.
 */
export function parseTraceParent(text: string): TraceParent | undefined {
  if (text.length < LENGTH || text[2] !== '-' || text[35] !== '-' || text[52] !== '-') return undefined
  const version = text.slice(0, 2)
  if (version === '00' ? text.length !== LENGTH : text.length > LENGTH && text[LENGTH] !== '-') return undefined
  const traceId = text.slice(3, 35)
  const parentId = text.slice(36, 52)
  const flags = text.slice(53, LENGTH)
  if (!isHex(version) || version === 'ff' || !isHex(traceId) || !isHex(parentId) || !isHex(flags)) return undefined
  if (traceId === NO_TRACE || parentId === NO_SPAN) return undefined
  return { traceId, parentId, flags: Number.parseInt(flags, 16) & (SAMPLED | RANDOM) }
}

/** Writes `traceparent`, version 00. */
export function formatTraceParent({ traceId, parentId, flags }: TraceParent): string {
  return `00-${traceId}-${parentId}-0${flags}`
}

/**
 * Whether `tracestate`, over all its lines, may be passed on (3.3): members of the right form, none twice, no more than
 * {@link MAX_TRACE_STATE_MEMBERS}. What may not is left out whole; `traceparent` stays.
 */
export function isTraceState(lines: readonly string[]): boolean {
  const text = lines.join(',')
  if (text.length > MAX_TRACE_STATE_LENGTH) return false
  const keys = new Set<string>()
  let members = 0
  for (const part of text.split(',')) {
    const member = part.replace(/^[ \t]+|[ \t]+$/g, '')
    if (member === '') continue
    const [, key] = MEMBER.exec(member) ?? []
    members += 1
    if (key === undefined || keys.has(key) || members > MAX_TRACE_STATE_MEMBERS) return false
    keys.add(key)
  }
  return true
}

/**
 * Whether a trace that begins here is recorded: the same answer for the same id, wherever it is asked, so that a part of all
 * traces is recorded whole. `ratio` is from 0 (none) to 1 (every one).
 */
export function isSampled(traceId: string, ratio: number): boolean {
  // 52 bits of it: as many as a number holds exactly.
  return ratio >= 1 || Number.parseInt(traceId.slice(-13), 16) < ratio * 2 ** 52
}

/** Characters of version 00. */
const LENGTH = 55
const NO_TRACE = '0'.repeat(32)
const NO_SPAN = '0'.repeat(16)

/** 3.3.1.3: a key, of one tenant or of many, and a value without `,` and `=` that does not end in a space. */
const MEMBER =
  /^([a-z][a-z0-9_\-*/]{0,255}|[a-z0-9][a-z0-9_\-*/]{0,240}@[a-z][a-z0-9_\-*/]{0,13})=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]$/

function isHex(text: string): boolean {
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (!((code >= 0x30 && code <= 0x39) || (code >= 0x61 && code <= 0x66))) return false
  }
  return true
}
