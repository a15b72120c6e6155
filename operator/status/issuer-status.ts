import type { IssuerState } from '../keys/issuer-keys.ts'
import type { Condition } from './conditions.ts'

/** The conditions of a TokenIssuer whose keys were asked for: what it refers to is there when they are. */
export function withIssuerKeys(conditions: readonly Condition[], state: IssuerState | undefined): readonly Condition[] {
  if (state === undefined || state.keys > 0 || state.failure === undefined) return conditions
  const message = `Its keys cannot be had: ${state.failure}. Until then its tokens are answered 503.`
  return conditions.map((condition) =>
    condition.type === 'ResolvedRefs' && condition.status === 'True'
      ? { ...condition, status: 'False', reason: 'KeysUnavailable', message }
      : condition,
  )
}
