import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'
import type { KeySet } from '../service/key-set.ts'

/** A text that only the holder of the key can read, as it is stored. */
export interface Sealed {
  /** The key it was sealed with. */
  readonly kid: string
  /** 12 random bytes, never used twice with one key. */
  readonly nonce: Buffer
  /** The cipher text and the 16 bytes of the tag. */
  readonly data: Buffer
}

/** What the text belongs to. Sealed text that was moved to another order, user or field cannot be opened. */
export interface Place {
  readonly orderId: string
  readonly userId: string
  readonly field: 'shippingAddress' | 'cardTail'
}

const TAG_BYTES = 16

/** Encrypts with the active key by AES-256-GCM (NIST SP 800-38D). */
export function seal(keys: KeySet, text: string, place: Place): Sealed {
  const nonce = randomBytes(12)
  const cipher = createCipheriv('aes-256-gcm', keyOf(keys, keys.active), nonce)
  cipher.setAAD(associatedData(place))
  const data = Buffer.concat([cipher.update(text, 'utf8'), cipher.final(), cipher.getAuthTag()])
  return { kid: keys.active, nonce, data }
}

/** Decrypts with whichever key it was sealed with; throws if the key is gone, or anything was changed or moved. */
export function open(keys: KeySet, { kid, nonce, data }: Sealed, place: Place): string {
  const decipher = createDecipheriv('aes-256-gcm', keyOf(keys, kid), nonce, { authTagLength: TAG_BYTES })
  decipher.setAAD(associatedData(place))
  decipher.setAuthTag(data.subarray(data.length - TAG_BYTES))
  const text = decipher.update(data.subarray(0, data.length - TAG_BYTES))
  return Buffer.concat([text, decipher.final()]).toString('utf8')
}

function associatedData({ orderId, userId, field }: Place): Buffer {
  return Buffer.from(JSON.stringify(['orders/1', orderId, userId, field]))
}

function keyOf(keys: KeySet, kid: string): Buffer {
  const key = keys.keys.find((candidate) => candidate.kid === kid)
  if (!key) throw new Error(`the key ${kid} is not in the key set`)
  const bytes = Buffer.from(String(key.k), 'base64url')
  if (key.kty !== 'oct' || bytes.length !== 32) throw new Error(`the key ${kid} is not one of 256 bits`)
  return bytes
}
