import type { KeysDocument } from '../../contract/keys.ts'
import type { KeySource } from '../../model/filter.ts'
import type { Clock } from '../../runtime/clock.ts'

/** The keys of token issuers as last pushed, and how to ask for newer ones. */
export interface IssuerKeys extends KeySource {
  /** Takes a new document; the generation changes. */
  replace(document: KeysDocument): void
  /** The operator has looked: whoever waits for this issuer goes on. */
  checked(issuer: string): void
}

/** An issuer is asked about at most this often, whatever tokens claim (T25). */
export const REFRESH_INTERVAL_MS = 30_000

/** How long a request waits for the operator to look. */
export const REFRESH_WAIT_MS = 2_000

/** `ask` sends `refresh-keys`; it says false when there is no session, and then nobody waits. */
export function createIssuerKeys(clock: Clock, ask: (issuer: string) => boolean): IssuerKeys {
  let generation = 0
  let issuers: KeysDocument['issuers'] = {}
  // Both hold issuers of the pushed document only, so the config bounds them.
  const lastAsked = new Map<string, number>()
  const waiting = new Map<string, { readonly promise: Promise<void>; readonly done: () => void }>()

  return {
    get generation() {
      return generation
    },
    keysOf(issuer) {
      return Object.hasOwn(issuers, issuer) ? issuers[issuer]?.keys : undefined
    },
    refresh(issuer) {
      const underWay = waiting.get(issuer)
      if (underWay !== undefined) return underWay.promise
      const last = lastAsked.get(issuer)
      if (last !== undefined && clock.monotonic() - last < REFRESH_INTERVAL_MS) return Promise.resolve()
      if (!ask(issuer)) return Promise.resolve()
      lastAsked.set(issuer, clock.monotonic())
      const { promise, resolve } = Promise.withResolvers<void>()
      const cancel = clock.setTimer(REFRESH_WAIT_MS, () => done(), { keepAlive: false })
      const done = () => {
        cancel()
        waiting.delete(issuer)
        resolve()
      }
      waiting.set(issuer, { promise, done })
      return promise
    },
    replace(document) {
      issuers = document.issuers
      generation += 1
      for (const issuer of lastAsked.keys()) if (!Object.hasOwn(issuers, issuer)) lastAsked.delete(issuer)
    },
    checked(issuer) {
      waiting.get(issuer)?.done()
    },
  }
}
