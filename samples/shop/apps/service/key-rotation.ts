import { randomBytes } from 'node:crypto'
import { calculateJwkThumbprint, exportJWK, generateKeyPair } from 'jose'
import type { Key, KeySet } from './key-set.ts'

/** The set with one more key, of the kind of the active one, which is published but not used. */
export async function publishKey(set: KeySet): Promise<KeySet> {
  const kty = set.keys.find(({ kid }) => kid === set.active)?.kty
  return { active: set.active, keys: [...set.keys, kty === 'oct' ? makeAesKey() : await makeSigningKey()] }
}

/** The set with another of its keys in use. */
export function activateKey(set: KeySet, kid: string): KeySet {
  if (!set.keys.some((key) => key.kid === kid)) throw new Error(`the set has no key ${kid}`)
  return { active: kid, keys: set.keys }
}

/** The set with nothing but the key in use: what was made with the others can no longer be read. */
export function retireKeys(set: KeySet): KeySet {
  return { active: set.active, keys: set.keys.filter(({ kid }) => kid === set.active) }
}

/** A private P-256 key for ES256, named by its RFC 7638 thumbprint. */
export async function makeSigningKey(): Promise<Key> {
  const { privateKey } = await generateKeyPair('ES256', { extractable: true })
  const jwk = await exportJWK(privateKey)
  return { ...jwk, kty: 'EC', kid: await calculateJwkThumbprint(jwk), alg: 'ES256', use: 'sig' }
}

/** A key for AES-256-GCM with a random name (a name made from a secret key would say something about it). */
export function makeAesKey(): Key {
  return {
    kty: 'oct',
    kid: randomBytes(8).toString('base64url'),
    alg: 'A256GCM',
    use: 'enc',
    k: randomBytes(32).toString('base64url'),
  }
}
