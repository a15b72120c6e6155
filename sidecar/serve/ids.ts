import { randomFillSync } from 'node:crypto'

/** Bytes of one id: 2^64 of them collide after billions. */
const ID_BYTES = 8

/** Bytes drawn at once, so that the cost of asking the kernel, and of spelling them out, is shared. */
const POOL_BYTES = 4_096

const ID_LENGTH = ID_BYTES * 2

/** Decision and request ids: sixteen hex digits that nobody can guess the next of. */
export function createIdSource(fill: (bytes: Buffer) => void = randomFillSync): () => string {
  const pool = Buffer.allocUnsafeSlow(POOL_BYTES)
  let digits = ''
  let at = 0
  return () => {
    if (at === digits.length) {
      fill(pool)
      digits = pool.toString('hex')
      at = 0
    }
    at += ID_LENGTH
    return digits.slice(at - ID_LENGTH, at)
  }
}
