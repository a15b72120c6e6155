import { INTERNAL_TOKENS } from '../../model/internal-tokens.ts'
import type { VerifiedToken } from '../../model/request.ts'
import type { JwtConfig } from './config.ts'

/** Whether the token that speaks for a request is an internal one. */
export function isInternal(token: VerifiedToken | undefined): boolean {
  return token?.issuer === INTERNAL_TOKENS
}

/** Whether it was exchanged for a token of one of these issuers: then that one need not be sent. */
export function isOfUserOf(token: VerifiedToken | undefined, { issuers }: Pick<JwtConfig, 'issuers'>): boolean {
  if (token === undefined || !isInternal(token)) return false
  const context = token.claims['rctx']
  if (typeof context !== 'object' || context === null || !Object.hasOwn(context, 'issuer')) return false
  const { issuer } = context as { readonly issuer: unknown }
  return issuers.some(({ name }) => name === issuer)
}
