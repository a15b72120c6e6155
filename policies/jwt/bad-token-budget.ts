import { readIpAddress } from '../../model/match/ip-address.ts'
import type { RequestView } from '../../model/request.ts'
import { TwoGenerations } from './two-generations.ts'

/** Tokens that fail verification, one source may send at once, and then as many in a second. */
export const BAD_TOKEN_BURST = 200
export const BAD_TOKENS_PER_SECOND = 50

/** Sources remembered at once; one that is forgotten has its whole budget again. */
export const MAX_SOURCES = 20_000

/**
 * What bad tokens may cost. Verifying a signature takes 25 to 135 us, so whoever sends tokens that are not good has a
 * budget for it, and once that is spent their unknown tokens are refused unseen: they cannot starve the good ones of
 * others. Only failures are charged, so good tokens, however many, are free.
 *
 * One timestamp per source, by the generic cell rate algorithm (ITU-T I.371, Annex A).
 */
export class BadTokenBudget {
  /** When the source's debt will be paid, in monotonic milliseconds. */
  readonly #paidAtMs = new TwoGenerations<number>({ maxEntries: MAX_SOURCES })

  hasLeft(source: string, nowMs: number): boolean {
    return (this.#paidAtMs.get(source) ?? 0) - nowMs <= TOLERANCE_MS
  }

  charge(source: string, nowMs: number): void {
    this.#paidAtMs.set(source, Math.max(this.#paidAtMs.get(source) ?? 0, nowMs) + INTERVAL_MS)
  }

  get sources(): number {
    return this.#paidAtMs.size
  }
}

const INTERVAL_MS = 1_000 / BAD_TOKENS_PER_SECOND
const TOLERANCE_MS = (BAD_TOKEN_BURST - 1) * INTERVAL_MS

/**
 * Who pays for a request's token: the workload that sent it, if any, and the client's address, of which an IPv6 one counts
 * by its /64, because that much is anybody's.
 */
export function sourceOf({ peer, clientIp }: RequestView): string {
  const workload = peer.spiffeId ?? ''
  const address = readIpAddress(clientIp)
  if (address?.version !== 6) return `${workload} ${clientIp}`
  return `${workload} ${address.words[0]}:${address.words[1]}::/64`
}
