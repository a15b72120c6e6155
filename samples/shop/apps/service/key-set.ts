/** One key of a set: a JSON Web Key (RFC 7517) that has a name. */
export interface Key {
  readonly kid: string
  readonly kty: string
  readonly [parameter: string]: unknown
}

/**
 * The keys of one purpose, as a mounted file holds them: all of them are good for reading what was made with them
 * (verifying, decrypting), `active` alone makes something new. So a key can be published before it is used, and kept
 * after it was replaced.
 */
export interface KeySet {
  /** The `kid` of the key that signs or encrypts. */
  readonly active: string
  /** 1 to 16 keys, oldest first, each `kid` once. */
  readonly keys: readonly Key[]
}

const MAX_KEYS = 16

/** Reads `{"active": KID, "keys": [JWK, ...]}`; throws an Error that says what is wrong, never what a key is. */
export function parseKeySet(text: string): KeySet {
  const value = parse(text)
  if (!isRecord(value) || typeof value.active !== 'string' || !Array.isArray(value.keys)) {
    throw new Error('a key set is an object with "active" and "keys"')
  }
  const keys: Key[] = []
  for (const key of value.keys as unknown[]) {
    if (!isRecord(key) || typeof key.kid !== 'string' || typeof key.kty !== 'string') {
      throw new Error('a key of the set has no "kid" or no "kty"')
    }
    if (keys.some(({ kid }) => kid === key.kid)) throw new Error(`the key set names ${key.kid} twice`)
    keys.push(key as Key)
  }
  if (keys.length > MAX_KEYS) throw new Error(`a key set holds at most ${MAX_KEYS} keys`)
  if (!keys.some(({ kid }) => kid === value.active)) throw new Error(`the active key ${value.active} is not in the set`)
  return { active: value.active, keys }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    // JSON.parse quotes what it could not read, and that is a key.
    throw new Error('a key set is JSON')
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null
}
