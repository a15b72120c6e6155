import * as v from 'valibot'
import { CONTRACT_VERSIONS } from './workload-config.ts'

/** Revocations that a sidecar holds at most; where there are more, it takes no token at all. */
export const MAX_REVOCATIONS = 10_000

/** Characters of what a revocation goes by. */
export const MAX_REVOKED_TEXT = 256

const text = v.pipe(v.string(), v.minLength(1), v.maxLength(MAX_REVOKED_TEXT))
const time = v.pipe(v.number(), v.minValue(0), v.maxValue(8.64e15))

/** One TokenRevocation. A token is revoked if all that is said here is true of it, and something is said of tokens. */
export const Revocation = v.strictObject({
  /** Of the TokenRevocation. */
  name: v.pipe(v.string(), v.minLength(1), v.maxLength(253)),
  /** The name of a TokenIssuer. Absent: tokens of all of them. */
  issuer: v.optional(v.pipe(v.string(), v.minLength(1), v.maxLength(253))),
  jti: v.optional(text),
  sub: v.optional(text),
  kid: v.optional(text),
  /** Seconds since the epoch: tokens with an `iat` before it, or without one. */
  issuedBefore: v.optional(time),
  /** Milliseconds since the epoch: from then on it revokes nothing. Absent: it does until it is gone. */
  untilMs: v.optional(time),
})
export type Revocation = v.InferOutput<typeof Revocation>

/**
 * The tokens that count no more although they have not expired. Since 3; older sidecars are not sent any, and the status of
 * each TokenRevocation names them.
 */
export const RevocationsDocument = v.strictObject({
  contract: v.picklist(CONTRACT_VERSIONS),
  version: v.string(),
  /** There are more than {@link MAX_REVOCATIONS}: which tokens are good, nobody can say, and none is taken. */
  tooMany: v.optional(v.literal(true)),
  revocations: v.pipe(v.array(Revocation), v.maxLength(MAX_REVOCATIONS)),
})
export type RevocationsDocument = v.InferOutput<typeof RevocationsDocument>
