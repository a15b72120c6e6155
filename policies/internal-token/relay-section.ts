import { DEFAULT_TOKEN_TTL_SECONDS } from '../../model/internal-tokens.ts'
import { type Attached, compareAttached, defineSection } from '../../model/section.ts'
import { readWire } from '../read-wire.ts'
import { TokenRelayConfig } from './config.ts'
import { secondsOf } from './exchange-section.ts'
import { scopeWords } from './issuer.ts'
import { asksOf, type InternalTokenSpec } from './section.ts'

/**
 * Where a workload takes internal tokens, at any of its ports, its calls go on with them: with at most the scope that the most
 * specific policy's `calls` says, for no longer than a floor's `ttl`.
 */
export const tokenRelaySection = defineSection<InternalTokenSpec, TokenRelayConfig, TokenRelayConfig>({
  filter: 'token-relay',
  name: 'internalToken.calls',
  of: 'calls',
  schema: {},
  pick: (spec) => spec['internalToken'] as InternalTokenSpec | undefined,
  // Its fields are reviewed where they are owned.
  review: () => [],
  combine(levels) {
    const { below, requiring } = asksOf(levels)
    if (below.length === 0 && requiring === undefined) return undefined
    const [scope] = saidBy(below, ({ calls }) => calls?.scope)
    const [ttl] = saidBy(below, (spec) => spec.ttl)
    const bounds = saidBy(levels.floor, (spec) => spec.ttl)
    return {
      value: {
        ...(scope !== undefined && { scope: [...scopeWords(scope)] }),
        ttlSeconds: Math.min(ttl === undefined ? DEFAULT_TOKEN_TTL_SECONDS : secondsOf(ttl), ...bounds.map(secondsOf)),
      },
      origins: [...levels.floor, ...below].toSorted(compareAttached).map(({ origin }) => origin),
    }
  },
  translate: (value) => readWire(TokenRelayConfig, value),
})

function saidBy<Value>(
  level: readonly Attached<InternalTokenSpec>[],
  field: (spec: InternalTokenSpec) => Value | undefined,
): readonly Value[] {
  return level.map(({ spec }) => field(spec)).filter((value) => value !== undefined)
}
