import { type Check, type Consideration, defineFilter } from '../../model/filter.ts'
import { ok } from '../../model/result.ts'
import type { Deny } from '../../model/verdict.ts'
import { readWire } from '../read-wire.ts'
import { TokenRelayConfig } from './config.ts'
import { INTERNAL_TOKEN_AMBIGUOUS, TOKEN_RELAY_DENIALS } from './denials.ts'
import { goOnWith } from './go-on-with.ts'

/**
 * Has a workload's own call go on with a token for whom it is made: of the request in work with the same trace, exchanged for one
 * in the workload's own name; of the workload itself, where there is none such. Whoever passes no trace on calls for nobody.
 */
export const tokenRelay = defineFilter<TokenRelayConfig>({
  name: 'token-relay',
  denials: TOKEN_RELAY_DENIALS,
  repeatable: true,
  tcp: false,
  readsTrace: true,
  since: () => 3,
  decode: (wire) => readWire(TokenRelayConfig, wire),
  compile({ scope, ttlSeconds }, { internalTokens, liveRequests }) {
    const check: Check = ({ traceId }, facts) => {
      const caller = traceId === undefined ? undefined : liveRequests?.callerOf(traceId)
      if (caller === 'several') return AMBIGUOUS
      const subject = caller?.subject
      const wanted =
        subject === undefined
          ? { scope: scope ?? [], ttlSeconds, claims: [] }
          : { subject, scope: narrowed(scope, caller?.scope ?? []), ttlSeconds, claims: [] }
      return goOnWith(wanted, internalTokens, facts)
    }
    return ok(check)
  },
  explain({ scope }): readonly Consideration[] {
    const expected =
      scope === undefined ? 'the scope of the request that it is made for' : scope.join(' ') || 'no scope'
    return [{ filter: 'token-relay', outcome: 'allowed', field: 'scope', expected, got: 'what the token service says' }]
  },
})

const AMBIGUOUS: Deny = {
  kind: 'deny',
  denial: INTERNAL_TOKEN_AMBIGUOUS,
  detail: 'requests of different users with this trace id are in work',
}

function narrowed(scope: readonly string[] | undefined, own: readonly string[]): readonly string[] {
  return scope === undefined ? own : scope.filter((word) => own.includes(word))
}
