/** Something that somebody may ask about later: who did what, and when. Never a key, a token or what a Secret holds. */
export interface AuditEvent {
  /** `event.action` of ECS: a stable name. */
  readonly action: AuditAction
  /** Fields of ECS, and ours below `hauberk.`: flat names, plain JSON. */
  readonly fields: Readonly<Record<string, AuditValue>>
}

export type AuditValue = string | number | boolean | readonly string[] | undefined

export type AuditAction =
  /** This log begins here, or goes on after the operator was started again. */
  | 'audit-started'
  /** As the API server has it: what is stored. */
  | 'policy-created'
  | 'policy-changed'
  | 'policy-deleted'
  /** As somebody asked the API server for it, and the webhook answered: whether it was stored, the webhook does not see. */
  | 'policy-admitted'
  | 'policy-refused'
  | 'certificate-issued'
  | 'token-issued'
  | 'key-created'
  | 'root-distributing'
  | 'root-signing'
  | 'root-retiring'
  | 'root-rotated'
  | 'root-distrusted'

/** Where events are told. Never throws, never blocks. */
export interface Audit {
  record(event: AuditEvent): void
}

/** For whoever runs without one: tests, and commands. */
export const NO_AUDIT: Audit = Object.freeze({ record() {} })
