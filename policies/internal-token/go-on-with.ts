import { INTERNAL_TOKEN_HEADER, type InternalTokens, type WantedToken } from '../../model/internal-tokens.ts'
import type { Facts } from '../../model/request.ts'
import { CONTINUE, type Deny, type HeaderPair, type Verdict } from '../../model/verdict.ts'
import { INTERNAL_TOKEN_REFUSED, INTERNAL_TOKEN_UNAVAILABLE } from './denials.ts'

/** Has a request go on with that token; refuses it where there is none. Synchronous where one is kept. */
export function goOnWith(
  wanted: WantedToken,
  internalTokens: InternalTokens | undefined,
  facts: Facts,
): Verdict | Promise<Verdict> {
  if (internalTokens === undefined) return unavailable('nobody can be asked for tokens here')
  const outcome = internalTokens.tokenFor(wanted)
  return outcome instanceof Promise ? outcome.then((settled) => conclude(settled, facts)) : conclude(outcome, facts)
}

function conclude(outcome: Awaited<ReturnType<InternalTokens['tokenFor']>>, facts: Facts): Verdict {
  switch (outcome.kind) {
    case 'issued':
      facts.setRequestHeaders ??= []
      facts.setRequestHeaders.push([INTERNAL_TOKEN_HEADER, outcome.text])
      return CONTINUE
    case 'unavailable':
      return unavailable(outcome.detail)
    case 'refused':
      return { kind: 'deny', denial: INTERNAL_TOKEN_REFUSED, detail: outcome.detail }
  }
}

/** Seconds after which a client may try again. */
const RETRY_AFTER: readonly HeaderPair[] = [['retry-after', '1']]

function unavailable(detail: string): Deny {
  return { kind: 'deny', denial: INTERNAL_TOKEN_UNAVAILABLE, detail, headers: RETRY_AFTER }
}
