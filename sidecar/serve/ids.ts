import { randomFillSync } from 'node:crypto'

/** Bytes of one id: 2^64 of them collide after billions. */
const ID_BYTES = 8

/** Bytes drawn at once, so that the cost of asking the kernel is shared. */
const POOL_BYTES = 4_096

/** Decision and request ids: sixteen hex digits that nobody can guess the next of. */
export function createIdSource(fill: (bytes: Buffer) => void = randomFillSync): () => string {
  const pool = Buffer.allocUnsafeSlow(POOL_BYTES)
  let at = POOL_BYTES
  return () => {
    if (at === POOL_BYTES) {
      fill(pool)
      at = 0
    }
    const id = pool.toString('hex', at, at + ID_BYTES)
    at += ID_BYTES
    return id
  }
}
