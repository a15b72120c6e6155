import { CHUNKED, type Framing, NO_BODY, type ResponseHead } from '../http1/message.ts'
import type { FieldDecoder } from './field-decoder.ts'
import type { MalformedReason } from './handler.ts'

/**
 * The head of a response out of a decoded section (RFC 9113, 8.3.2), as strict as towards a client: the backend may be
 * hostile. A text is a message that HTTP/2 forbids.
 */
export function readResponseHead(
  section: FieldDecoder,
  hasEnded: boolean,
  toHead: boolean,
): ResponseHead | MalformedReason {
  const { malformed, contentLength, lines } = section
  if (malformed !== undefined) return malformed
  if (section.status === undefined) return 'missing-pseudo-field'
  const status = readStatus(section.status)
  // RFC 9113, 8.6: there is no switching here.
  if (status === 0 || status === 101) return 'bad-status'
  if (section.problem !== undefined) return section.problem === 'underscore-header' ? 'bad-field-name' : 'head-too-long'
  if (lines === undefined) return 'head-too-long'
  const interim = status < 200
  if (interim && hasEnded) return 'bad-status'
  const isBodyless = interim || status === 204
  if (isBodyless && contentLength > 0) return 'content-length-mismatch'
  const hasNoBody = isBodyless || status === 304 || toHead
  if (hasEnded && contentLength > 0 && !hasNoBody) return 'content-length-mismatch'
  return {
    kind: 'response',
    status,
    minor: 1,
    interim,
    headers: lines,
    framing: hasNoBody ? NO_BODY : framingOf(contentLength, hasEnded),
    declaredLength: hasNoBody && !isBodyless && contentLength !== -1 ? contentLength : undefined,
    keepAlive: true,
    upgrade: undefined,
    connectionNames: NO_NAMES,
  }
}

function framingOf(contentLength: number, hasEnded: boolean): Framing {
  if (contentLength !== -1) return { kind: 'length', bytes: contentLength }
  // Nothing follows, and HTTP/1.1 has a word for that.
  return hasEnded ? EMPTY : CHUNKED
}

/** Three digits from 100 to 599; else 0. */
function readStatus(text: string): number {
  return /^[1-5][0-9]{2}$/.test(text) ? Number(text) : 0
}

const EMPTY: Framing = Object.freeze({ kind: 'length', bytes: 0 })
const NO_NAMES: readonly string[] = Object.freeze([])
