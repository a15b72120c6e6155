/** What is known of an attempt that failed before a response began. */
export interface FailedAttempt {
  /** Attempts before this one. */
  readonly retries: number
  /** Whether a byte of the request went to the connection. */
  readonly hasWritten: boolean
  /** Whether a byte came back. */
  readonly hasRead: boolean
  /** Whether the connection had served another request before. */
  readonly wasReused: boolean
  readonly method: string
  readonly hasBody: boolean
}

/** RFC 9110, 9.2.2. */
const IDEMPOTENT = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE', 'PUT', 'DELETE'])

/**
 * Whether a failed attempt may be made once more without anyone noticing twice: nothing was written at all, or a kept
 * connection turned out to be closed (RFC 9112, 9.3.1) and the request may be repeated and can be, having no body.
 */
export function mayRetry({ retries, hasWritten, hasRead, wasReused, method, hasBody }: FailedAttempt): boolean {
  if (retries > 0 || hasRead) return false
  if (!hasWritten) return true
  return wasReused && !hasBody && IDEMPOTENT.has(method)
}
