import { hash } from 'node:crypto'

/**
 * A name for a user that tells nobody who it is, and is the same in every process of the mesh: the first 16 hex digits of the SHA-256 of
 * the token's `sub`. It keeps names out of what many read. It is no secret: whoever has a list of all users can make the same list.
 */
export function pseudonymOf(subject: string): string {
  return hash('sha256', subject, 'hex').slice(0, 16)
}
