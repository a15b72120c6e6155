import type { Clock } from '../../runtime/clock.ts'
import type { Log } from '../../runtime/log.ts'
import type { FetchedJwks } from './fetch-jwks.ts'

/** Between two refreshes in the background, whatever Cache-Control says: at least this, at most that (POLICY-API rule 12). */
export const MIN_REFRESH_MS = 60_000
export const MAX_REFRESH_MS = 15 * 60_000

/** An unknown key is a reason to ask again, this often at most (T25). */
export const UNKNOWN_KEY_INTERVAL_MS = 30_000

/** After a failure: soon, because policies that need these keys may be answering 503. */
const RETRY_MS = 5_000

/** After the first failure of an issuer whose keys were never had, twice as long after the next: it may be starting, as we are. */
const FIRST_RETRY_MS = 250

/** Keys that no longer can be refreshed are served for this long (F07). */
export const MAX_STALE_MS = 24 * 3_600_000

export interface KeysOfIssuer {
  readonly keys: FetchedJwks['keys']
  /** Milliseconds since the epoch. */
  readonly fetchedAt: number
}

/** How one issuer stands, for status and `hauberk check`. */
export interface IssuerState {
  readonly name: string
  readonly keys: number
  readonly fetchedAt?: number
  /** The last failure, gone after a success. */
  readonly failure?: string
}

/** The keys of every TokenIssuer, fetched here once for the whole mesh. */
export interface IssuerKeysStore {
  /** The issuers there are now, and how each is fetched. A changed fetch key (its URI or data) starts anew. */
  follow(issuers: ReadonlyMap<string, IssuerFetch>): void
  keysOf(name: string): KeysOfIssuer | undefined
  /** Looks at once unless it was asked to less than 30 s ago; single flight; never rejects. */
  refresh(name: string): Promise<void>
  states(): readonly IssuerState[]
  close(): void
}

export interface IssuerFetch {
  /** Equal when nothing about where the keys come from has changed. */
  readonly key: string
  readonly fetch: (signal: AbortSignal) => Promise<FetchedJwks>
  /** Inline keys and Secrets change by the snapshot, not by time. */
  readonly refreshes: boolean
}

interface Followed {
  source: IssuerFetch
  current: KeysOfIssuer | undefined
  failure: string | undefined
  /** Since the start or the last success. */
  failures: number
  /** When an unknown key last made us look. Fetches in the background do not count: they are rare by themselves. */
  lastAskedMs: number
  flight: Promise<void> | undefined
  cancel: () => void
  readonly gone: AbortController
}

/** `onChange` is called when the keys of an issuer differ from before. */
export function createIssuerKeysStore(options: {
  readonly clock: Clock
  readonly random: () => number
  readonly log: Log
  readonly onChange: (name: string) => void
}): IssuerKeysStore {
  const { clock, random, log, onChange } = options
  const issuers = new Map<string, Followed>()

  const look = (name: string, followed: Followed): Promise<void> => {
    followed.flight ??= (async () => {
      followed.cancel()
      let nextMs = RETRY_MS
      try {
        const { keys, maxAgeMs } = await followed.source.fetch(followed.gone.signal)
        if (followed.gone.signal.aborted) return
        nextMs = Math.min(MAX_REFRESH_MS, Math.max(MIN_REFRESH_MS, maxAgeMs ?? MAX_REFRESH_MS / 3))
        const changed = JSON.stringify(keys) !== JSON.stringify(followed.current?.keys)
        followed.current = { keys, fetchedAt: clock.now() }
        followed.failure = undefined
        followed.failures = 0
        if (changed) {
          log.info('keys of a token issuer fetched', { 'hauberk.issuer': name, 'hauberk.keys': keys.length })
          onChange(name)
        }
      } catch (err) {
        if (followed.gone.signal.aborted) return
        followed.failure = err instanceof Error ? err.message : String(err)
        if (followed.current === undefined) nextMs = Math.min(RETRY_MS, FIRST_RETRY_MS * 2 ** followed.failures)
        followed.failures += 1
        log.warn('keys of a token issuer could not be fetched', { 'hauberk.issuer': name, err })
        if (followed.current && clock.now() - followed.current.fetchedAt > MAX_STALE_MS) {
          followed.current = undefined
          onChange(name)
        }
      } finally {
        followed.flight = undefined
      }
      if (!followed.source.refreshes && followed.failure === undefined) return
      // Spread by a tenth, so that operators that started together do not ask together.
      const jitteredMs = nextMs * (0.9 + random() * 0.2)
      followed.cancel = clock.setTimer(jitteredMs, () => void look(name, followed), { keepAlive: false })
    })()
    return followed.flight
  }

  const forget = (name: string, followed: Followed) => {
    followed.gone.abort(new Error('the issuer is gone'))
    followed.cancel()
    issuers.delete(name)
  }

  return {
    follow(wanted) {
      for (const [name, followed] of [...issuers]) if (!wanted.has(name)) forget(name, followed)
      for (const [name, source] of wanted) {
        const known = issuers.get(name)
        if (known?.source.key === source.key) {
          known.source = source
          continue
        }
        if (known) forget(name, known)
        const followed: Followed = {
          source,
          current: undefined,
          failure: undefined,
          failures: 0,
          lastAskedMs: Number.NEGATIVE_INFINITY,
          flight: undefined,
          cancel: () => {},
          gone: new AbortController(),
        }
        issuers.set(name, followed)
        void look(name, followed)
      }
    },
    keysOf: (name) => issuers.get(name)?.current,
    async refresh(name) {
      const followed = issuers.get(name)
      if (followed === undefined) return
      if (followed.flight) return await followed.flight
      if (clock.monotonic() - followed.lastAskedMs < UNKNOWN_KEY_INTERVAL_MS) return
      followed.lastAskedMs = clock.monotonic()
      await look(name, followed)
    },
    states: () =>
      [...issuers].map(([name, { current, failure }]) => ({
        name,
        keys: current?.keys.length ?? 0,
        ...(current && { fetchedAt: current.fetchedAt }),
        ...(failure !== undefined && { failure }),
      })),
    close() {
      for (const [name, followed] of [...issuers]) forget(name, followed)
    },
  }
}
