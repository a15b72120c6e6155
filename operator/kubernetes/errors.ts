/** Reasons of ours, where no API server said one: nobody answered, not in time, something that is not its protocol, or too much. */
export type TransportReason = 'Unreachable' | 'Timeout' | 'Malformed' | 'TooLarge' | 'Unauthenticated'

/** What a {@link KubernetesError} is made of. */
export interface KubernetesErrorFields {
  /** HTTP status; 0 when there was no answer. */
  readonly status: number
  /** `metav1.Status.reason` (`NotFound`, `AlreadyExists`, `Conflict`, `Expired`, ...) or a {@link TransportReason}. */
  readonly reason: string
  readonly message: string
  /** What the server asked to wait, in milliseconds (RFC 9110, 10.2.3); at most 5 minutes. */
  readonly retryAfterMs?: number | undefined
  /** `metav1.Status.details`, as it came. */
  readonly details?: unknown
  readonly cause?: unknown
}

/** A request to the API server that failed. Decide by `status` and `reason`; the message is for people. */
export class KubernetesError extends Error {
  override readonly name = 'KubernetesError'
  readonly status: number
  readonly reason: string
  readonly retryAfterMs: number | undefined
  readonly details: unknown

  constructor({ status, reason, message, retryAfterMs, details, cause }: KubernetesErrorFields) {
    super(message, cause === undefined ? {} : { cause })
    this.status = status
    this.reason = reason
    this.retryAfterMs = retryAfterMs
    this.details = details
  }
}

/** 404 of the resource, or of its whole kind. */
export function isNotFound(error: unknown): error is KubernetesError {
  return error instanceof KubernetesError && error.status === 404
}

/** 409 because the name is taken. */
export function isAlreadyExists(error: unknown): error is KubernetesError {
  return error instanceof KubernetesError && error.status === 409 && error.reason === 'AlreadyExists'
}

/** 409 because somebody else was faster (resourceVersion), or owns the field (server-side apply). */
export function isConflict(error: unknown): error is KubernetesError {
  return error instanceof KubernetesError && error.status === 409 && error.reason === 'Conflict'
}

/** 410: the resourceVersion or the continue token is too old. */
export function isExpired(error: unknown): error is KubernetesError {
  return error instanceof KubernetesError && (error.status === 410 || error.reason === 'Expired')
}

/** 403: the role of whoever asks does not allow it. */
export function isForbidden(error: unknown): error is KubernetesError {
  return error instanceof KubernetesError && error.status === 403
}
