import type { RequestHead } from '../serve/http1/message.ts'
import type { UpstreamFailure } from './upstream-stream.ts'

/** What is known of an attempt that failed before a response began. */
export interface FailedAttempt {
  /** Attempts before this one. */
  readonly retries: number
  readonly request: UpstreamFailure['request']
  readonly method: string
  readonly hasBody: boolean
  /** Whether some of the body was handed to the attempt: nobody has it any more. */
  readonly hasSentBody: boolean
}

/** RFC 9110, 9.2.2. */
const IDEMPOTENT = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE', 'PUT', 'DELETE'])

/** Whether a request may be made twice, and can be, having no body. */
export function isRepeatable({ method, framing, upgrade }: RequestHead): boolean {
  return framing.kind === 'none' && upgrade === undefined && IDEMPOTENT.has(method)
}

/**
 * Whether a failed attempt may be made once more without anyone noticing twice: the other side has not looked at the request,
 * or a kept connection turned out to be closed (RFC 9112, 9.3.1) and the request may be repeated and can be, having no body.
 */
export function mayRetry({ retries, request, method, hasBody, hasSentBody }: FailedAttempt): boolean {
  if (retries > 0 || hasSentBody) return false
  if (request === 'unseen') return true
  return request === 'closed' && !hasBody && IDEMPOTENT.has(method)
}
