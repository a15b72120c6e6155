import { type Issue, issue } from '../../model/result.ts'
import type { JsonSchema } from '../../model/section.ts'

/** `spec` of a TokenRevocation: a token is revoked if all that is said is true of it. */
export interface TokenRevocationSpec {
  readonly issuer?: string
  readonly jti?: string
  readonly sub?: string
  readonly kid?: string
  readonly issuedBefore?: string
  readonly until?: string
}

/** Characters of what a revocation goes by: as many as sidecars are told. */
const MAX_TEXT = 256

/** RFC 3339, in UTC. */
const TIME: JsonSchema = {
  type: 'string',
  maxLength: 30,
  pattern: '^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]{1,3})?Z$',
}

const text = (description: string): JsonSchema => ({
  type: 'string',
  minLength: 1,
  maxLength: MAX_TEXT,
  description,
})

/** The schema of `TokenRevocation.spec`. */
export const TOKEN_REVOCATION_SPEC_SCHEMA: JsonSchema = {
  type: 'object',
  description: 'spec is which tokens count no more: those of which all that is said here is true.',
  properties: {
    issuer: {
      type: 'string',
      minLength: 1,
      maxLength: 253,
      pattern: '^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$',
      description:
        'issuer is the name of the TokenIssuer whose tokens are meant: a sub or a jti means something at its issuer only. Default: tokens of every TokenIssuer.',
    },
    jti: text('jti is the id of one token. Default: of any id, or of none.'),
    sub: text('sub is the user whose tokens are meant. Default: of any user.'),
    kid: text('kid is the key that has signed them, as their header names it. Default: any key.'),
    issuedBefore: {
      ...TIME,
      description:
        'issuedBefore is the time before which they were issued, by their iat, such as 2026-11-23T12:00:00Z; a token without an iat is older than any. Default: whenever they were issued, also after the revocation.',
    },
    until: {
      ...TIME,
      description:
        'until is when the revocation is over, and sidecars forget it: once every token that it concerns has expired. Default: where MeshConfig maxTokenLifetime is set and the revocation says issuedBefore or jti, when the last such token has expired; otherwise when the resource is deleted.',
    },
  },
  'x-kubernetes-validations': [
    {
      rule: 'has(self.jti) || has(self.sub) || has(self.kid) || has(self.issuedBefore)',
      message: 'at least one of jti, sub, kid and issuedBefore must be set',
    },
  ],
}

/** What a schema cannot see: days that there are not. Paths are below `spec`. */
export function reviewTokenRevocation(spec: TokenRevocationSpec): readonly Issue[] {
  return (['issuedBefore', 'until'] as const).flatMap((field) => {
    const written = spec[field]
    return written === undefined || !Number.isNaN(Date.parse(written))
      ? []
      : [issue('out-of-range', field, `is ${written}, and there is no such time`)]
  })
}
