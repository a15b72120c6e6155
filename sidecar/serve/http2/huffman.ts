/**
 * The length in bits of each octet's code (RFC 7541, Appendix B). The code is canonical: with the lengths, ordered by length
 * and then by octet, the codes follow.
 */
const CODE_LENGTHS: readonly number[] = [
  13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28,
  28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
  13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6, 15, 5, 6, 5, 6,
  5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22, 22, 23,
  22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, 22, 21, 20, 22, 22,
  23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23, 26, 26,
  20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27,
  27, 20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27,
  27, 27, 27, 26,
]

const EOS = 256
const EOS_LENGTH = 30

export interface HuffmanCode {
  readonly bits: number
  readonly length: number
}

/** By octet; the last one is EOS. */
export const HUFFMAN_CODES: readonly HuffmanCode[] = canonicalCodes([...CODE_LENGTHS, EOS_LENGTH])

/** Bits of an entry of {@link STEPS} beside the next node. */
const EMITS = 1 << 16
const FAILS = 1 << 17

/**
 * What four more bits do, by node of the code's tree: the next node, and the octet that was completed on the way, of which
 * there is never more than one because the shortest code has five bits.
 */
const STEPS = new Int32Array(256 * 16)

/** 1 for the nodes that fewer than eight set bits lead to from the root: what may be left over at the end (RFC 7541, 5.2). */
const MAY_END = new Uint8Array(256)

buildSteps()

/**
 * Decodes `bytes[start, end)` into `out` at `at`, which has room for 8/5 of it. Returns where it ended; -1 when it is no
 * Huffman string: EOS in it, padding of eight bits or more, or of other bits than those of EOS.
 */
export function decodeHuffman(bytes: Uint8Array, start: number, end: number, out: Uint8Array, at: number): number {
  let node = 0
  let to = at
  for (let from = start; from < end; from++) {
    const octet = bytes[from]!
    const first = STEPS[(node << 4) | (octet >> 4)]!
    if (first >= EMITS) {
      if (first >= FAILS) return -1
      out[to++] = first >> 8
    }
    const second = STEPS[((first & 0xff) << 4) | (octet & 15)]!
    if (second >= EMITS) {
      if (second >= FAILS) return -1
      out[to++] = second >> 8
    }
    node = second & 0xff
  }
  return MAY_END[node] === 1 ? to : -1
}

function canonicalCodes(lengths: readonly number[]): readonly HuffmanCode[] {
  const codes: HuffmanCode[] = new Array(lengths.length)
  let bits = 0
  let length = 0
  for (const symbol of [...lengths.keys()].sort((a, b) => lengths[a]! - lengths[b]! || a - b)) {
    bits <<= lengths[symbol]! - length
    length = lengths[symbol]!
    codes[symbol] = { bits, length }
    bits += 1
  }
  return codes
}

function buildSteps(): void {
  // Two children a node: 0 none yet, positive another node, negative a symbol counted from -1.
  const children = new Int32Array(256 * 2)
  let nodes = 1
  for (const [symbol, { bits, length }] of HUFFMAN_CODES.entries()) {
    let node = 0
    for (let place = length - 1; place > 0; place--) {
      const child = node * 2 + ((bits >> place) & 1)
      if (children[child] === 0) children[child] = nodes++
      node = children[child]!
    }
    children[node * 2 + (bits & 1)] = -1 - symbol
  }
  for (let node = 0; node < nodes; node++) {
    for (let nibble = 0; nibble < 16; nibble++) STEPS[(node << 4) | nibble] = stepOf(children, node, nibble)
  }
  for (let node = 0, ones = 0; ones < 8; ones++) {
    MAY_END[node] = 1
    node = children[node * 2 + 1]!
  }
}

function stepOf(children: Int32Array, from: number, nibble: number): number {
  let node = from
  let emitted = 0
  for (let place = 3; place >= 0; place--) {
    const child = children[node * 2 + ((nibble >> place) & 1)]!
    if (child >= 0) {
      node = child
      continue
    }
    const symbol = -1 - child
    if (symbol === EOS) return FAILS
    emitted = EMITS | (symbol << 8)
    node = 0
  }
  return emitted | node
}
