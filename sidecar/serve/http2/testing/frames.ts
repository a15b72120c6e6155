import { HUFFMAN_CODES } from '../huffman.ts'

/** A frame as a peer of the session writes or reads it. */
export interface Frame {
  readonly type: number
  readonly flags: number
  readonly id: number
  readonly payload: Buffer
}

export function frame(type: number, flags: number, id: number, payload: Uint8Array = Buffer.alloc(0)): Buffer {
  const head = Buffer.alloc(9)
  head.writeUIntBE(payload.length, 0, 3)
  head[3] = type
  head[4] = flags
  head.writeUInt32BE(id, 5)
  return Buffer.concat([head, payload])
}

export function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}

/** One setting after the other: id and value. */
export function settings(...pairs: readonly (readonly [id: number, value: number])[]): Buffer {
  return Buffer.concat(pairs.map(([id, value]) => Buffer.concat([Buffer.from([0, id]), uint32(value)])))
}

/** The whole frames in `bytes`. */
export function framesIn(bytes: Buffer): readonly Frame[] {
  const frames: Frame[] = []
  for (let at = 0; at + 9 <= bytes.length; ) {
    const length = bytes.readUIntBE(at, 3)
    frames.push({
      type: bytes[at + 3]!,
      flags: bytes[at + 4]!,
      id: bytes.readUInt32BE(at + 5),
      payload: bytes.subarray(at + 9, at + 9 + length),
    })
    at += 9 + length
  }
  return frames
}

/** A field section in literals that no table keeps. */
export function section(...fields: readonly (readonly [name: string, value: string])[]): Buffer {
  return Buffer.concat(
    fields.flatMap(([name, value]) => [
      Buffer.from([0]),
      literal(Buffer.from(name, 'latin1')),
      literal(Buffer.from(value, 'latin1')),
    ]),
  )
}

/** The same with Huffman codes, added to the table. */
export function codedSection(...fields: readonly (readonly [name: string, value: string])[]): Buffer {
  return Buffer.concat(
    fields.flatMap(([name, value]) => [Buffer.from([0x40]), codedLiteral(name), codedLiteral(value)]),
  )
}

/** RFC 7541, 5.1. */
export function integer(kind: number, mask: number, value: number): Buffer {
  if (value < mask) return Buffer.from([kind | value])
  const octets = [kind | mask]
  let rest = value - mask
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) octets.push((rest % 0x80) | 0x80)
  octets.push(rest)
  return Buffer.from(octets)
}

function literal(bytes: Buffer): Buffer {
  return Buffer.concat([integer(0, 0x7f, bytes.length), bytes])
}

function codedLiteral(text: string): Buffer {
  const coded = encodeHuffman(Buffer.from(text, 'latin1'))
  return Buffer.concat([integer(0x80, 0x7f, coded.length), coded])
}

export function encodeHuffman(bytes: Uint8Array): Buffer {
  let bits = ''
  for (const octet of bytes) {
    const code = HUFFMAN_CODES[octet]!
    bits += code.bits.toString(2).padStart(code.length, '0')
  }
  bits = bits.padEnd(Math.ceil(bits.length / 8) * 8, '1')
  return Buffer.from(bits.match(/.{8}/g)?.map((octet) => Number.parseInt(octet, 2)) ?? [])
}

/** The fields of a plain GET. */
export const GET: readonly (readonly [string, string])[] = [
  [':method', 'GET'],
  [':scheme', 'http'],
  [':path', '/'],
  [':authority', 'shop.example'],
]

export const POST: readonly (readonly [string, string])[] = [[':method', 'POST'], ...GET.slice(1)]
