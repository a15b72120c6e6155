/**
 * Why a message was refused: a value, never thrown, because under attack the refusal is the hot path.
 *
 * Each is frozen and made once. `reason` is stable and kebab-case: a metric label of bounded cardinality and a log field.
 * The connection that sent the message must be closed: nobody knows where its next message starts.
 */
export interface Problem {
  readonly kind: 'problem'
  /** What the client is told: 400, 405, 414, 417, 431, 501 or 505 for its own fault, 502 for the upstream's, 500 for ours. */
  readonly status: number
  readonly reason: ProblemReason
}

export type ProblemReason = keyof typeof REASONS

/** Every reason, with the status a client gets that sent such a message. From an upstream each of them is a 502. */
const REASONS = {
  // The request line (RFC 9112, 3).
  'bad-request-line': 400,
  'bad-method': 400,
  'unknown-method': 501,
  'connect-not-allowed': 405,
  'bad-version': 400,
  'unsupported-version': 505,
  'target-too-long': 414,
  'bad-target': 400,
  'target-with-fragment': 400,
  'bad-escape': 400,
  'double-escape': 400,
  'ambiguous-path': 400,
  'asterisk-needs-options': 400,
  'authority-needs-connect': 400,

  // The status line (RFC 9112, 4).
  'bad-status-line': 400,
  'bad-status': 400,

  // Fields (RFC 9112, 5; RFC 9110, 5).
  'too-many-headers': 431,
  'head-too-long': 431,
  'bad-header-name': 400,
  'space-before-colon': 400,
  'bad-header-value': 400,
  'folded-header': 400,
  'bare-cr': 400,
  'bare-lf': 400,
  'underscore-header': 400,
  'connection-names-protected-header': 400,
  'bad-connection-header': 400,

  // Routing (RFC 9112, 3.2).
  'missing-host': 400,
  'duplicate-host': 400,
  'empty-host': 400,
  'bad-host': 400,
  'host-differs-from-target': 400,

  // Framing (RFC 9112, 6).
  'duplicate-content-length': 400,
  'bad-content-length': 400,
  'duplicate-transfer-encoding': 400,
  'bad-transfer-encoding': 400,
  'te-and-cl': 400,
  'te-on-http10': 400,
  'body-not-allowed': 400,

  // Everything of which there may be one.
  'duplicate-authorization': 400,
  'duplicate-header': 400,
  'unknown-expectation': 417,
  'bad-upgrade': 400,
  'unexpected-upgrade': 400,

  // Bodies (RFC 9112, 7).
  'bad-chunk-size': 400,
  'chunk-too-big': 400,
  'bad-chunk-extension': 400,
  'chunk-extension-too-long': 400,
  'bad-chunk-end': 400,
  'trailers-too-long': 400,
  'bad-trailer': 400,
  'forbidden-trailer': 400,
  'truncated-head': 400,
  'truncated-body': 400,

  // What we were about to write ourselves.
  'unwritable-head': 500,
} as const

const OF_CLIENT = new Map(Object.entries(REASONS).map(([reason, status]) => [reason, frozen(reason, status)]))
const OF_UPSTREAM = new Map(Object.keys(REASONS).map((reason) => [reason, frozen(reason, 502)]))

/** Who sent the message that is refused. */
export type Sender = 'client' | 'upstream'

/** Every reason there is, for metrics that are made before the first refusal. */
export const PROBLEM_REASONS = Object.freeze(Object.keys(REASONS)) as readonly ProblemReason[]

export function problem(sender: Sender, reason: ProblemReason): Problem {
  return (sender === 'client' ? OF_CLIENT : OF_UPSTREAM).get(reason)!
}

/** The one that is our own fault: a head that we were asked to write would have split. */
export const UNWRITABLE: Problem = problem('client', 'unwritable-head')

function frozen(reason: string, status: number): Problem {
  return Object.freeze({ kind: 'problem', status, reason: reason as ProblemReason })
}
