import type { CallFailureReason } from '../../model/backend-calls.ts'
import type { HeaderPair } from '../../model/verdict.ts'

/** What a service says of a request. */
export type Answer = Allowed | Denied | NoAnswer

export interface Allowed {
  readonly kind: 'allowed'
  /** What the application is told, in order. */
  readonly upstreamHeaders: readonly HeaderEdit[]
  /** What the application is not told of what the client sent. */
  readonly removeHeaders: readonly string[]
  /** What the client is told with the application's answer. */
  readonly clientHeaders: readonly HeaderPair[]
}

/** `set` replaces what is there, `append` comes behind it, `add` counts where nothing is there, `overwrite` where something is. */
export interface HeaderEdit {
  readonly how: 'set' | 'append' | 'add' | 'overwrite'
  readonly name: string
  readonly value: string
}

export interface Denied {
  readonly kind: 'denied'
  /** 300..599. */
  readonly status: number
  readonly headers: readonly HeaderPair[]
  readonly body: string | undefined
}

export interface NoAnswer {
  readonly kind: 'none'
  /** `error`: the service says that it cannot tell. `unusable`: nobody can obey what it said. */
  readonly reason: CallFailureReason | 'error' | 'unusable'
  readonly detail: string
}

/**
 * What a policy that fails open lets pass: nobody was there, or could say. Neither what an attacker could bring about by
 * asking much (`overloaded`), nor an answer that is not understood: it may have been a no.
 */
export function isOutage({ reason }: NoAnswer): boolean {
  return OUTAGES.has(reason)
}

const OUTAGES: ReadonlySet<NoAnswer['reason']> = new Set(['no-upstream', 'unreachable', 'timeout', 'reset', 'error'])

export function unusable(detail: string): NoAnswer {
  return { kind: 'none', reason: 'unusable', detail }
}

/** Statuses by which a service denies. What is none of them says 403. */
export function denyingStatus(status: number): number {
  return Number.isInteger(status) && status >= 300 && status <= 599 && status !== 304 ? status : 403
}
