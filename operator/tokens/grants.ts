import type { FilterSlots, WorkloadConfig } from '../../contract/workload-config.ts'
import type { SpiffeId } from '../../model/spiffe-id.ts'
import type { TokenExchangeConfig, TokenRelayConfig } from '../../policies/internal-token/config.ts'
import { tokenExchange } from '../../policies/internal-token/exchange.ts'
import { tokenRelay } from '../../policies/internal-token/relay.ts'
import type { IssuerConfig } from '../../policies/jwt/config.ts'
import { jwt } from '../../policies/jwt/filter.ts'
import type { Translation } from '../translate/translate.ts'

/** What a workload may ask the token service for: what its own configuration has it ask for, and nothing more. */
export interface TokenGrant {
  /** By route: whose tokens may be exchanged there, and for what. */
  readonly exchanges: readonly { readonly issuers: readonly IssuerConfig[]; readonly config: TokenExchangeConfig }[]
  /** Internal tokens reach it, and may be exchanged for its own calls. */
  readonly relays: readonly TokenRelayConfig[]
}

export const NO_GRANT: TokenGrant = Object.freeze({ exchanges: [], relays: [] })

/** What all workloads of one identity may ask for together: a certificate does not tell them apart. */
export function grantOf(configs: readonly WorkloadConfig[]): TokenGrant {
  if (configs.length === 0) return NO_GRANT
  const [first, ...others] = configs.map(ownGrant)
  if (others.length === 0) return first!
  return {
    exchanges: [first!, ...others].flatMap(({ exchanges }) => exchanges),
    relays: [first!, ...others].flatMap(({ relays }) => relays),
  }
}

/** Finds what an identity may ask for in the newest translation. */
export function createGrants(translation: () => Translation | undefined): (caller: SpiffeId) => TokenGrant {
  let of: Translation | undefined
  let configs = new Map<string, WorkloadConfig[]>()
  return (caller) => {
    const newest = translation()
    if (newest !== of) {
      of = newest
      configs = Map.groupBy(newest?.configs.values() ?? [], ({ identity }) => identity.spiffeId)
    }
    return grantOf(configs.get(caller) ?? [])
  }
}

/** A config is never changed, and kept for as long as it holds. */
const known = new WeakMap<WorkloadConfig, TokenGrant>()

function ownGrant(config: WorkloadConfig): TokenGrant {
  const before = known.get(config)
  if (before !== undefined) return before
  const places = config.listeners.flatMap(({ routes }) => routes.map(({ filters }) => filters))
  const grant = {
    exchanges: places.flatMap(exchangesAt),
    relays: configsOf<TokenRelayConfig>(config.outbound.filters ?? {}, tokenRelay),
  }
  known.set(config, grant)
  return grant
}

/** A dry run asks too. */
function exchangesAt(slots: FilterSlots): TokenGrant['exchanges'] {
  const wanted = configsOf<TokenExchangeConfig>(slots, tokenExchange)
  if (wanted.length === 0) return []
  const issuers = configsOf<{ readonly issuers: readonly IssuerConfig[] }>(slots, jwt).flatMap((each) => each.issuers)
  return wanted.map((config) => ({ issuers, config }))
}

function configsOf<Config>(
  slots: FilterSlots,
  filter: typeof jwt | typeof tokenExchange | typeof tokenRelay,
): readonly Config[] {
  return (slots[filter.name] ?? []).flatMap((slot) => {
    if (slot.state !== 'resolved') return []
    const config = filter.decode(slot.config)
    return config.ok ? [config.value as Config] : []
  })
}
