import { createPublicKey, generateKeyPair, type KeyObject } from 'node:crypto'
import { promisify } from 'node:util'

const makeKeyPair = promisify(generateKeyPair)

/** A new P-256 key. It is made here and never leaves but to the state file and OpenSSL. */
export async function makePrivateKey(): Promise<KeyObject> {
  return (await makeKeyPair('ec', { namedCurve: 'P-256' })).privateKey
}

/** PKCS#8, PEM: how keys are kept and given to TLS. */
export function pemOfKey(privateKey: KeyObject): string {
  return privateKey.export({ type: 'pkcs8', format: 'pem' }) as string
}

/** DER of the SubjectPublicKeyInfo. */
export function publicKeyOf(privateKey: KeyObject): Buffer {
  return createPublicKey(privateKey).export({ type: 'spki', format: 'der' })
}
