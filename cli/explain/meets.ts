import { parseTrustDomain } from '../../model/spiffe-id.ts'
import type { AuthorizationConfig, Rule } from '../../policies/authorization/config.ts'
import { authorization } from '../../policies/authorization/filter.ts'
import { compileFrom, compileRule } from '../../policies/authorization/rule.ts'
import type { Chain } from '../../sidecar/compile/pipeline.ts'
import { type Asked, viewOf } from './asked.ts'
import { jwtConfigOf, tokenOf } from './judge.ts'

/** The conditions of a rule; without `to` and `when` it is a `from` that stands alone (`onlyFrom`). */
export type RuleWords = Pick<Rule, 'from' | 'to' | 'when'>

export function authorizationOf({ enforced }: Chain): AuthorizationConfig | undefined {
  const step = enforced.find(({ filter, unresolved }) => filter.name === authorization.name && unresolved === undefined)
  return step?.config as AuthorizationConfig | undefined
}

/** The fields of an allow rule that this request does not meet, as an explanation names them: `to.methods`, `when`. */
export function failingFields(rule: RuleWords, asked: Asked, chain: Chain, trustDomain: string): readonly string[] {
  const domain = parseTrustDomain(trustDomain)
  if (!domain.ok) return []
  const isFrom = rule.to === undefined && rule.when === undefined && rule.from !== undefined
  const compiled = isFrom
    ? compileFrom(rule.from ?? {}, 'allow', domain.value)
    : compileRule({ name: '', origin: '', ...rule }, 'allow', domain.value)
  if (!compiled.ok) return []
  const isVerified = asked.claims !== undefined && jwtConfigOf(chain) !== undefined
  const knowsClient = asked.client !== undefined && chain.enforced.some(({ filter }) => filter.knowsClient === true)
  const facts = {
    ...(isVerified && { token: tokenOf(asked.claims ?? {}, chain) }),
    ...(knowsClient && { client: { id: asked.client ?? '' } }),
  }
  const request = viewOf(asked)
  const failing = compiled.value.conditions.filter((condition) => !condition.holds(request, facts))
  return failing.map(({ field }) => (isFrom ? field.replace(/^(?!from\.)/, 'from.') : field))
}
