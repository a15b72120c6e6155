/** Bytes that a turn's frames get at first. */
const BLOCK_BYTES = 16_384

/** Blocks that wait for the next turn that has something to write. */
const MAX_SPARE = 64

const spare: Buffer[] = []

/**
 * The frames of one turn, in one stretch. A connection that has nothing to say holds no memory: blocks are shared by all, and
 * what is in them is lent to whoever sends it.
 */
export class Output {
  bytes: Buffer = NOTHING
  /** Where the next octet goes. */
  at = 0

  /** Makes room for `length` more bytes. */
  reserve(length: number): void {
    const needed = this.at + length
    if (needed <= this.bytes.length) return
    if (this.at === 0 && needed <= BLOCK_BYTES) {
      this.bytes = spare.pop() ?? Buffer.allocUnsafeSlow(BLOCK_BYTES)
      return
    }
    const grown = Buffer.allocUnsafeSlow(Math.max(needed, this.bytes.length * 2, BLOCK_BYTES))
    this.bytes.copy(grown, 0, 0, this.at)
    giveBack(this.bytes)
    this.bytes = grown
  }

  /** Lends what there is to `write`, and begins anew. Returns what that returned. */
  lendTo(write: (bytes: Buffer) => boolean): boolean {
    const { bytes, at } = this
    this.bytes = NOTHING
    this.at = 0
    const isFlowing = write(bytes.subarray(0, at))
    giveBack(bytes)
    return isFlowing
  }

  /** Nobody wants what there is. */
  clear(): void {
    giveBack(this.bytes)
    this.bytes = NOTHING
    this.at = 0
  }
}

const NOTHING = Buffer.alloc(0)

function giveBack(block: Buffer): void {
  if (block.length === BLOCK_BYTES && spare.length < MAX_SPARE) spare.push(block)
}
