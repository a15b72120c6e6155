import type { AuditEvent } from './audit.ts'

/** What is told of a token that was signed: nothing that it could be used by. */
export interface IssuedToken {
  /** The SPIFFE id that asked for it, and that it is bound to. */
  readonly caller: string
  /** `txn`: what every record of the same transaction has. */
  readonly txn: string
  /** Absent: a service asked for itself. */
  readonly sub?: string
  readonly audience?: string
  readonly scope?: string
  /** Of the key that signed it. */
  readonly kid: string
  /** Milliseconds since the epoch. */
  readonly expiresMs: number
  /** What it was given for: a `user`'s token, the `token` that a call had brought, or the `workload` that asked. */
  readonly of: 'user' | 'token' | 'workload'
}

/** An internal token was signed. */
export function tokenIssued({ caller, txn, sub, audience, scope, kid, expiresMs, of }: IssuedToken): AuditEvent {
  return {
    action: 'token-issued',
    fields: {
      'client.spiffe_id': caller,
      'user.id': sub,
      'hauberk.txn': txn,
      'hauberk.audience': audience,
      'hauberk.scope': scope,
      'hauberk.kid': kid,
      'hauberk.exchanged_for': of,
      'hauberk.expires_at': new Date(expiresMs).toISOString(),
    },
  }
}

/** A key of the operator's own was made. `use`: `internal-tokens`, for example. */
export function keyCreated(kid: string, use: string): AuditEvent {
  return { action: 'key-created', fields: { 'hauberk.kid': kid, 'hauberk.key.use': use } }
}

/** The keys that a TokenIssuer's tokens are verified by are others than before. None: they were too old. */
export function issuerKeysChanged(issuer: string, kids: readonly string[]): AuditEvent {
  return {
    action: 'issuer-keys-changed',
    fields: { 'hauberk.issuer': issuer, 'hauberk.keys': kids.length, 'hauberk.kids': kids },
  }
}
