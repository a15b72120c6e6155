import type { Revocation } from '../../contract/revocations.ts'
import type { Resource } from '../../model/resource.ts'
import { fail, ok, type Result, under } from '../../model/result.ts'
import { checkSpec } from '../resources/spec.ts'
import {
  reviewTokenRevocation,
  TOKEN_REVOCATION_SPEC_SCHEMA,
  type TokenRevocationSpec,
} from '../resources/token-revocation.ts'

/** Milliseconds after `exp` at which a token is still taken by an issuer with the widest clock skew that there may be. */
const MAX_CLOCK_SKEW_MS = 300_000

/** Reads a TokenRevocation. What cannot be read revokes nothing, and its status says so: `spec` has nothing by which to be strict. */
export function readTokenRevocation(
  { metadata, spec }: Resource,
  maxTokenLifetimeSeconds: number | undefined,
): Result<Revocation> {
  const structure = checkSpec(TOKEN_REVOCATION_SPEC_SCHEMA, spec ?? {})
  if (structure.length > 0) return fail(...structure.map((found) => under('spec', found)))
  const { issuer, jti, sub, kid, issuedBefore, until } = spec as TokenRevocationSpec
  const issues = reviewTokenRevocation(spec as TokenRevocationSpec)
  if (issues.length > 0) return fail(...issues.map((found) => under('spec', found)))
  const issuedBeforeMs = issuedBefore === undefined ? undefined : Date.parse(issuedBefore)
  const createdMs = Date.parse(metadata.creationTimestamp ?? '')
  // A token that there was when it was revoked was issued before that.
  const newestMs = issuedBeforeMs ?? (jti === undefined || Number.isNaN(createdMs) ? undefined : createdMs)
  const ends = [
    ...(until === undefined ? [] : [Date.parse(until)]),
    ...(newestMs === undefined || maxTokenLifetimeSeconds === undefined
      ? []
      : [newestMs + maxTokenLifetimeSeconds * 1_000 + MAX_CLOCK_SKEW_MS]),
  ]
  return ok({
    name: metadata.name,
    ...(issuer !== undefined && { issuer }),
    ...(jti !== undefined && { jti }),
    ...(sub !== undefined && { sub }),
    ...(kid !== undefined && { kid }),
    ...(issuedBeforeMs !== undefined && { issuedBefore: issuedBeforeMs / 1_000 }),
    ...(ends.length > 0 && { untilMs: Math.min(...ends) }),
  })
}
