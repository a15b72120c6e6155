import type { FilterCrypto, KeySource, PublicKey } from '../../model/filter.ts'
import type { Algorithm } from './algorithms.ts'
import { type UsableKey, usableKey } from './usable-key.ts'

/** What a ring has for a token. */
export type KeysFound =
  /** In the order published, `MAX_CANDIDATES` at most. */
  | { readonly kind: 'keys'; readonly keys: readonly PublicKey[] }
  /** No key of that `kid`; or, for a token without one, no key of its algorithm. Newer keys may have it. */
  | { readonly kind: 'unknown' }
  /** The key is known and is for another algorithm. */
  | { readonly kind: 'wrong-algorithm' }
  /** The issuer's keys were never received. */
  | { readonly kind: 'none' }

/** Keys that a token is tried against: several only when it names none, or when the issuer gave one name twice. */
const MAX_CANDIDATES = 4

/** The keys of one issuer, read anew when they were pushed anew. A key is imported when a token first needs it. */
export class KeyRing {
  /** Changes when the issuer's keys do, and only then: a push about another issuer leaves it. */
  generation = 0
  readonly #issuer: string
  readonly #allowed: readonly Algorithm[]
  #seen: { readonly source: KeySource; readonly generation: number } | undefined
  #text: string | undefined
  #keys: readonly RingKey[] | undefined

  constructor(issuer: string, allowed: readonly Algorithm[]) {
    this.#issuer = issuer
    this.#allowed = allowed
  }

  /** Takes in what `source` has now. Costs two comparisons when that is nothing new. */
  sync(source: KeySource): void {
    if (this.#seen?.source === source && this.#seen.generation === source.generation) return
    this.#seen = { source, generation: source.generation }
    const jwks = source.keysOf(this.#issuer)
    const text = jwks === undefined ? undefined : JSON.stringify(jwks)
    if (text === this.#text) return
    this.#text = text
    this.generation++
    this.#keys = jwks?.flatMap((jwk) => {
      const usable = usableKey(jwk, this.#allowed)
      return usable.ok ? [new RingKey(jwk, usable)] : []
    })
  }

  /** Of the keys at the last `sync`. */
  find(algorithm: string, kid: string | undefined, crypto: FilterCrypto): KeysFound {
    if (this.#keys === undefined) return { kind: 'none' }
    const named = kid === undefined ? this.#keys : this.#keys.filter((key) => key.kid === kid)
    const fitting = named.filter((key) => key.isFor(algorithm))
    const keys: PublicKey[] = []
    for (const key of fitting.slice(0, MAX_CANDIDATES)) {
      const imported = key.import(crypto)
      if (imported !== undefined) keys.push(imported)
    }
    if (keys.length > 0) return { kind: 'keys', keys }
    return kid !== undefined && named.length > fitting.length ? { kind: 'wrong-algorithm' } : { kind: 'unknown' }
  }
}

class RingKey {
  readonly kid: string | undefined
  readonly #jwk: Readonly<Record<string, unknown>>
  readonly #algorithms: readonly string[]
  #imported: PublicKey | 'refused' | undefined

  constructor(jwk: Readonly<Record<string, unknown>>, { kid, algorithms }: UsableKey) {
    this.kid = kid
    this.#jwk = jwk
    this.#algorithms = algorithms
  }

  isFor(algorithm: string): boolean {
    return this.#algorithms.includes(algorithm)
  }

  import(crypto: FilterCrypto): PublicKey | undefined {
    this.#imported ??= crypto.importJwk(this.#jwk) ?? 'refused'
    return this.#imported === 'refused' ? undefined : this.#imported
  }
}
