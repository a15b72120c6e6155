import { createHash, createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto'
import type { Clock } from '../../runtime/clock.ts'
import type { Log } from '../../runtime/log.ts'
import type { CaStore } from '../identity/ca-store.ts'
import type { KeysOfIssuer } from '../keys/issuer-keys.ts'

/** The keys that sign internal tokens: the same ones at every operator. */
export interface SigningKeys {
  /** The one that signs now. */
  current(): SigningKey
  /** Public keys: of the period before, of this one, and of the next once it is made. */
  published(): KeysOfIssuer
  /** Looks for what is missing in the store now. Never rejects: what is there goes on to sign and verify. */
  refresh(): Promise<void>
  close(): void
}

export interface SigningKey {
  readonly kid: string
  /** P-256. */
  readonly privateKey: KeyObject
}

export interface SigningKeysOptions {
  /** Where the keys of the certificate authority are kept too. Entries are made once and stay: twelve a year. */
  readonly store: CaStore
  readonly clock: Clock
  readonly log: Log
  /** Other keys are published than before. Not called for the first ones. */
  readonly onChange: () => void
  /** Told of each key that was made here. */
  readonly onMade?: (kid: string) => void
}

/** Milliseconds that a key signs. The periods are those of the clock, so that operators need not agree on anything. */
export const SIGNING_PERIOD_MS = 30 * 86_400_000

/** Milliseconds before its period that a key is made: sidecars have it long before the first token that needs it. */
export const PUBLISHED_AHEAD_MS = 86_400_000

/** Milliseconds between looks at whether the next key is due. */
const LOOK_MS = 3_600_000

/** After a look that failed. */
const RETRY_MS = 60_000

/** Resolves once there is a key to sign with. Rejects where the store cannot be read, or holds what is no key. */
export async function openSigningKeys({
  store,
  clock,
  log,
  onChange,
  onMade,
}: SigningKeysOptions): Promise<SigningKeys> {
  /** By period. */
  const known = new Map<number, KnownKey>()
  let published: KeysOfIssuer = { keys: [], fetchedAt: 0 }
  let looking: Promise<void> | undefined
  let cancel = () => {}
  let isClosed = false

  const periodOf = (ms: number) => Math.floor(ms / SIGNING_PERIOD_MS)

  const look = async (): Promise<void> => {
    const now = periodOf(clock.now())
    const isNextDue = periodOf(clock.now() + PUBLISHED_AHEAD_MS) > now
    for (const period of known.keys()) if (period < now - 1 || period > now + 1) known.delete(period)
    const before = known.get(now - 1) ?? (await read(now - 1))
    if (before !== undefined) known.set(now - 1, before)
    for (const period of isNextDue ? [now, now + 1] : [now]) {
      if (!known.has(period)) known.set(period, (await read(period)) ?? (await make(period)))
    }
    const keys = [...known].toSorted(([a], [b]) => a - b).map(([, { jwk }]) => jwk)
    const isSame = keys.map(({ kid }) => kid).join(' ') === published.keys.map(({ kid }) => kid).join(' ')
    if (isSame) return
    const isFirst = published.keys.length === 0
    published = { keys, fetchedAt: clock.now() }
    if (!isFirst) onChange()
  }

  const read = async (period: number): Promise<KnownKey | undefined> => {
    const entry = await store.read(entryOf(period))
    return entry === undefined ? undefined : readKey(entry)
  }

  const make = async (period: number): Promise<KnownKey> => {
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    const made = privateKey.export({ type: 'pkcs8', format: 'pem' }) as string
    const kept = await store.create(entryOf(period), made)
    const key = readKey(kept)
    // Another operator was faster: its key is the one, and it tells of it.
    if (kept === made) {
      log.info('key for internal tokens made', { 'hauberk.kid': key.kid })
      onMade?.(key.kid)
    }
    return key
  }

  const refresh = (): Promise<void> => {
    looking ??= look()
      .then(
        () => LOOK_MS,
        (err: unknown) => {
          log.error('keys for internal tokens could not be looked for, those before stay', { err })
          return RETRY_MS
        },
      )
      .then((nextMs) => {
        looking = undefined
        cancel()
        if (!isClosed) cancel = clock.setTimer(nextMs, () => void refresh(), { keepAlive: false })
      })
    return looking
  }

  await look()
  void refresh()
  return {
    current() {
      const period = periodOf(clock.now())
      const key = known.get(period)
      if (key !== undefined) return key
      // The clock is past what was looked for: the newest there is, which everybody knows, until the look that is under way ends.
      void refresh()
      return [...known].toSorted(([a], [b]) => b - a)[0]![1]
    },
    published: () => published,
    refresh,
    close() {
      isClosed = true
      cancel()
    },
  }
}

interface KnownKey extends SigningKey {
  readonly jwk: KeysOfIssuer['keys'][number] & { readonly kid: string }
}

function entryOf(period: number): string {
  return `token-key-${period}.pem`
}

function readKey(pem: string): KnownKey {
  const privateKey = createPrivateKey(pem)
  if (privateKey.asymmetricKeyDetails?.namedCurve !== 'prime256v1')
    throw new Error('the key for internal tokens is not P-256')
  const { crv, kty, x, y } = createPublicKey(privateKey).export({ format: 'jwk' })
  // RFC 7638, of which eight characters are enough to tell a handful of keys apart; every token has them.
  const kid = createHash('sha256').update(JSON.stringify({ crv, kty, x, y })).digest('base64url').slice(0, 8)
  return { kid, privateKey, jwk: { kty: 'EC', crv: 'P-256', x: x ?? '', y: y ?? '', kid, alg: 'ES256', use: 'sig' } }
}
