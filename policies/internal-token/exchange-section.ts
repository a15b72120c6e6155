import { parseDuration } from '../../model/duration.ts'
import { DEFAULT_TOKEN_TTL_SECONDS } from '../../model/internal-tokens.ts'
import { formatOrigin } from '../../model/origin.ts'
import {
  type Attached,
  type Combined,
  compareAttached,
  defineSection,
  type Levels,
  type SectionContext,
} from '../../model/section.ts'
import { forwardOf } from '../jwt/forward.ts'
import { type JwtSpec, whoAsks } from '../jwt/section.ts'
import { readWire } from '../read-wire.ts'
import { TokenExchangeConfig } from './config.ts'
import { scopeWords } from './issuer.ts'
import type { InternalTokenSpec } from './section.ts'

/** The parts of a policy that say whether tokens are exchanged, and for what. */
export interface ExchangeSpec {
  readonly jwt?: JwtSpec
  readonly token?: InternalTokenSpec
}

/**
 * Where `authentication.jwt.forward` comes to Exchange, at a gateway, what `internalToken` says of the tokens that are made: field by
 * field, the most specific policy's word, or that of the defaults. A floor's `ttl` bounds it.
 */
export const tokenExchangeSection = defineSection<ExchangeSpec, TokenExchangeConfig, TokenExchangeConfig>({
  filter: 'token-exchange',
  name: 'authentication.jwt.forward',
  schema: {},
  pick(spec) {
    const { jwt } = (spec['authentication'] ?? {}) as { readonly jwt?: JwtSpec }
    const token = spec['internalToken'] as InternalTokenSpec | undefined
    // What only says which tokens are taken has nothing to say here.
    const describes = token?.scope !== undefined || token?.ttl !== undefined || token?.context !== undefined
    if (jwt === undefined && !describes) return undefined
    return { ...(jwt !== undefined && { jwt }), ...(describes && { token }) }
  },
  // Its fields are reviewed where they are owned.
  review: () => [],
  combine,
  unapplied({ policies }, { role }) {
    if (role !== 'gateway') return []
    const reason = 'requests go on with internal tokens only where authentication.jwt.forward is Exchange'
    return policies
      .filter(({ spec }) => spec.token !== undefined)
      .map(({ origin }) => ({ origin, path: 'internalToken', reason }))
  },
  translate: (value) => readWire(TokenExchangeConfig, value),
})

function combine(
  levels: Levels<ExchangeSpec>,
  { protocol, role }: SectionContext,
): Combined<TokenExchangeConfig> | undefined {
  const floor = levels.floor.toSorted(compareAttached)
  const policies = levels.policies.toSorted(compareAttached)
  const defaults = levels.defaults.toSorted(compareAttached)
  const hear = <Value>(field: (spec: ExchangeSpec) => Value | undefined): readonly Said<Value>[] => {
    const byPolicies = saidBy(policies, field)
    return byPolicies.length > 0 ? byPolicies : saidBy(defaults, field)
  }
  const byFloor = saidBy(floor, ({ jwt }) => jwt?.forward)
  const said = hear(({ jwt }) => jwt?.forward)
  const outcome = forwardOf(
    [
      ...byFloor.map(({ value }) => ({ value, byFloor: true })),
      ...said.map(({ value }) => ({ value, byFloor: false })),
    ],
    role,
  )
  // Where nobody looks at users' tokens there is none to exchange.
  if (outcome !== 'exchange' || protocol === 'tcp' || whoAsks(levels).length === 0) return undefined

  const scope = hear(({ token }) => token?.scope)
  const ttl = hear(({ token }) => token?.ttl)
  const claims = hear(({ token }) => token?.context?.claims)
  const bounds = saidBy(floor, ({ token }) => token?.ttl)
  const seconds = ttl[0] === undefined ? DEFAULT_TOKEN_TTL_SECONDS : secondsOf(ttl[0].value)
  const demands = byFloor.filter(({ value }) => value === 'Exchange')
  const winners = [said, scope, ttl, claims].flatMap(([winner]) => (winner === undefined ? [] : [winner]))
  const notApplied = [...losersOf(scope, 'scope'), ...losersOf(ttl, 'ttl'), ...losersOf(claims, 'context.claims')]
  return {
    value: {
      ...(scope[0] !== undefined && { scope: [...scopeWords(scope[0].value)] }),
      ttlSeconds: Math.min(seconds, ...bounds.map(({ value }) => secondsOf(value))),
      claims: [...new Set(claims[0]?.value ?? [])].sort(),
    },
    origins: [
      ...new Map([...demands, ...winners, ...bounds].map(({ by }) => [JSON.stringify(by.origin), by.origin])).values(),
    ],
    ...(notApplied.length > 0 && { notApplied }),
  }
}

interface Said<Value> {
  readonly value: Value
  readonly by: Attached<ExchangeSpec>
}

function saidBy<Value>(
  level: readonly Attached<ExchangeSpec>[],
  field: (spec: ExchangeSpec) => Value | undefined,
): readonly Said<Value>[] {
  return level.flatMap((by) => {
    const value = field(by.spec)
    return value === undefined ? [] : [{ value, by }]
  })
}

/** Whoever says something else than the one that counts. */
function losersOf(
  [winner, ...losers]: readonly Said<unknown>[],
  field: string,
): NonNullable<Combined<unknown>['notApplied']> {
  if (winner === undefined) return []
  const own = JSON.stringify(winner.value)
  return losers
    .filter(({ value }) => JSON.stringify(value) !== own)
    .map(({ by }) => ({
      origin: by.origin,
      path: `internalToken.${field}`,
      reason: `${formatOrigin(winner.by.origin)} says what tokens are like here`,
    }))
}

/** What cannot be read is no time at all, which the config's own schema refuses. */
export function secondsOf(text: string): number {
  const parsed = parseDuration(text)
  return parsed.ok ? Math.floor(parsed.value / 1_000) : 0
}
