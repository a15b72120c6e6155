import type { FilterCrypto } from '../../model/filter.ts'
import type { InternalTokens } from '../../model/internal-tokens.ts'
import type { Metrics } from '../../runtime/metrics.ts'
import type { IdentityStore } from '../identity/identity-store.ts'
import { createInternalTokens, internalTokenMetrics } from './internal-tokens.ts'
import { createTokenClient, type TokenClientOptions } from './token-client.ts'

/** The internal tokens of one thread, from the operator. */
export function openInternalTokens(
  options: Omit<TokenClientOptions, 'identity'> & {
    /** Undefined: there is none yet, so nobody can be asked. */
    readonly identity: () => IdentityStore | undefined
    readonly crypto: FilterCrypto
    readonly metrics: Metrics
  },
): InternalTokens & { close(): void } {
  const { identity, crypto, clock } = options
  const metrics = internalTokenMetrics(options.metrics)
  let opened: { readonly tokens: InternalTokens; close(): void } | undefined
  const open = () => {
    const store = identity()
    if (store === undefined) return undefined
    const client = createTokenClient({ ...options, identity: store })
    return { tokens: createInternalTokens({ client, crypto, clock, metrics }), close: client.close }
  }
  return {
    tokenFor(wanted) {
      // Most sidecars never ask.
      opened ??= open()
      return opened?.tokens.tokenFor(wanted) ?? { kind: 'unavailable', detail: 'there is no certificate to ask with' }
    },
    close: () => opened?.close(),
  }
}
