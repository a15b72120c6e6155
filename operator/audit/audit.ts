/** Something that somebody may ask about later: who did what, and when. Never a key, a token or what a Secret holds. */
export interface AuditEvent {
  /** `event.action` of ECS: a stable name. */
  readonly action: AuditAction
  /** Fields of ECS, and ours below `hauberk.`: flat names, plain JSON. */
  readonly fields: Readonly<Record<string, AuditValue>>
}

export type AuditValue = string | number | boolean | readonly string[] | undefined

export type AuditAction =
  /** The operator began to write: the first record of a chain, or where it goes on after a restart. */
  | 'audit-started'
  /** The operator ended as it was told to: nothing was cut off behind this one before the next start. */
  | 'audit-ended'
  /** As the API server has it, or the files: what is in force. */
  | 'policy-created'
  | 'policy-changed'
  | 'policy-deleted'
  /** As somebody asked the API server for it, and the webhook answered: whether it was stored, the webhook does not see. */
  | 'policy-admitted'
  | 'policy-refused'
  | 'certificate-issued'
  | 'token-issued'
  /** A key of the operator's own was made, or one of a token issuer came. */
  | 'key-created'
  | 'issuer-keys-changed'
  | 'root-distributing'
  | 'root-signing'
  | 'root-retiring'
  | 'root-rotated'
  | 'root-distrusted'

/** Where events are told. Never throws, never blocks. */
export interface Audit {
  record(event: AuditEvent): void
}

/** For whoever runs without one: benchmarks, and tests of something else. */
export const NO_AUDIT: Audit = Object.freeze({ record() {} })
