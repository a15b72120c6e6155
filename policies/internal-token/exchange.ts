import { type Check, type Consideration, defineFilter } from '../../model/filter.ts'
import type { Facts } from '../../model/request.ts'
import { ok } from '../../model/result.ts'
import { readWire } from '../read-wire.ts'
import { TokenExchangeConfig } from './config.ts'
import { TOKEN_EXCHANGE_DENIALS } from './denials.ts'
import { goOnWith } from './go-on-with.ts'
import { scopeWords } from './issuer.ts'

/**
 * Lets a request go on with an internal token in place of the user's, which was verified and taken off before; one without a
 * user goes on with a token of the workload itself. It comes last: nothing is made for a request that somebody refuses.
 */
export const tokenExchange = defineFilter<TokenExchangeConfig>({
  name: 'token-exchange',
  denials: TOKEN_EXCHANGE_DENIALS,
  repeatable: false,
  tcp: false,
  since: () => 3,
  decode: (wire) => readWire(TokenExchangeConfig, wire),
  compile({ scope, ttlSeconds, claims }, { internalTokens }) {
    const check: Check = (_request, facts) => {
      const { subject } = facts
      delete facts.subject
      const wanted =
        subject === undefined
          ? { scope: scope ?? [], ttlSeconds, claims: [] }
          : { subject, scope: narrowed(scope, facts), ttlSeconds, claims }
      return goOnWith(wanted, internalTokens, facts)
    }
    return ok(check)
  },
  explain({ scope }): readonly Consideration[] {
    const expected = scope === undefined ? 'the scope of the user' : scope.join(' ') || 'no scope'
    return [
      { filter: 'token-exchange', outcome: 'allowed', field: 'scope', expected, got: 'what the token service says' },
    ]
  },
})

/** Of what the policy names, what the user's token has; one that says nothing of scope narrows nothing. */
function narrowed(scope: readonly string[] | undefined, { token }: Facts): readonly string[] {
  if (token === undefined || !Object.hasOwn(token.claims, 'scope')) return scope ?? []
  const ofUser = scopeWords(token.claims['scope'])
  return scope === undefined ? ofUser : scope.filter((word) => ofUser.includes(word))
}
