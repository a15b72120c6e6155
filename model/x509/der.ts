/**
 * A strict, bounded reader of DER (ITU-T X.690, section 10), enough for certificates and requests.
 *
 * It looks at bytes in place and copies nothing. What DER forbids (indefinite or over-long lengths, trailing bytes) is
 * an error here, so a structure has one spelling; depth and count are bounded, so that a hostile one costs little.
 */
export interface DerNode {
  /** The identifier octet: class, constructed bit and number. High tag numbers (31 and more) are refused. */
  readonly tag: number
  /** Where the identifier octet is in `bytes`. */
  readonly start: number
  /** Where the contents begin. */
  readonly contentStart: number
  /** One past the last content octet. */
  readonly end: number
}

export const TAG = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  oid: 0x06,
  utcTime: 0x17,
  generalizedTime: 0x18,
  sequence: 0x30,
  set: 0x31,
} as const

/** Deeper than any certificate or request that this mesh makes (8), shallow enough to stop a nesting bomb at once. */
const MAX_DEPTH = 16
/** Values in one structure. A certificate with every extension we know has about 100. */
const MAX_NODES = 1_024

const CONSTRUCTED = 0x20

/** What is wrong with bytes that should have been DER. Never leaves `model/x509`: parsers turn it into an issue. */
export class DerError extends Error {
  override readonly name = 'DerError'
}

/**
 * Checks that `bytes` is one DER value and nothing else, through and through, within the bounds.
 *
 * @throws DerError
 */
export function checkDer(bytes: Uint8Array): DerNode {
  const root = readNode(bytes, 0, bytes.length)
  if (root.end !== bytes.length) throw new DerError('has bytes after its end')
  let seen = 1
  const walk = (node: DerNode, depth: number): void => {
    if ((node.tag & CONSTRUCTED) === 0) return
    if (depth > MAX_DEPTH) throw new DerError(`is nested deeper than ${MAX_DEPTH}`)
    for (let at = node.contentStart; at < node.end; ) {
      const child = readNode(bytes, at, node.end)
      seen += 1
      if (seen > MAX_NODES) throw new DerError(`has more than ${MAX_NODES} values`)
      walk(child, depth + 1)
      at = child.end
    }
  }
  walk(root, 1)
  return root
}

/**
 * The value at `at`, which must end at or before `limit`.
 *
 * @throws DerError
 */
export function readNode(bytes: Uint8Array, at: number, limit: number): DerNode {
  if (at + 2 > limit) throw new DerError('is cut short')
  const tag = bytes[at]!
  if ((tag & 0x1f) === 0x1f) throw new DerError('has a high tag number')
  const first = bytes[at + 1]!
  let contentStart = at + 2
  let length = first
  if (first >= 0x80) {
    const octets = first & 0x7f
    if (octets === 0) throw new DerError('has an indefinite length')
    if (octets > 3) throw new DerError('has a length over 16 MiB')
    if (contentStart + octets > limit) throw new DerError('is cut short')
    length = 0
    for (let i = 0; i < octets; i++) length = length * 256 + bytes[contentStart + i]!
    if (length < 0x80 || (octets > 1 && bytes[contentStart] === 0)) throw new DerError('has an over-long length')
    contentStart += octets
  }
  const end = contentStart + length
  if (end > limit) throw new DerError('is cut short')
  return { tag, start: at, contentStart, end }
}

/**
 * The values inside a constructed one, in order.
 *
 * @throws DerError
 */
export function childrenOf(bytes: Uint8Array, node: DerNode): readonly DerNode[] {
  const children: DerNode[] = []
  for (let at = node.contentStart; at < node.end; ) {
    if (children.length === MAX_NODES) throw new DerError(`has more than ${MAX_NODES} values`)
    const child = readNode(bytes, at, node.end)
    children.push(child)
    at = child.end
  }
  return children
}

/** @throws DerError unless `node` is there and has this tag */
export function expectTag(node: DerNode | undefined, tag: number, what: string): DerNode {
  if (node?.tag !== tag) throw new DerError(`has no ${what} where one must be`)
  return node
}

export function contentOf(bytes: Uint8Array, node: DerNode): Uint8Array {
  return bytes.subarray(node.contentStart, node.end)
}

/** The value with its identifier and length octets. */
export function encodingOf(bytes: Uint8Array, node: DerNode): Uint8Array {
  return bytes.subarray(node.start, node.end)
}

/**
 * An object identifier in dotted form.
 *
 * @throws DerError
 */
export function readOid(bytes: Uint8Array, node: DerNode): string {
  expectTag(node, TAG.oid, 'object identifier')
  if (node.contentStart === node.end) throw new DerError('has an empty object identifier')
  const arcs: number[] = []
  let arc = 0
  let fresh = true
  for (let at = node.contentStart; at < node.end; at++) {
    const octet = bytes[at]!
    if (fresh && octet === 0x80) throw new DerError('has an over-long object identifier')
    if (arc > 0xff_ffff) throw new DerError('has an object identifier with a huge arc')
    arc = arc * 128 + (octet & 0x7f)
    fresh = (octet & 0x80) === 0
    if (!fresh) continue
    if (arcs.length === 0) {
      const root = Math.min(Math.trunc(arc / 40), 2)
      arcs.push(root, arc - root * 40)
    } else {
      arcs.push(arc)
    }
    arc = 0
  }
  if (!fresh) throw new DerError('has an object identifier that is cut short')
  return arcs.join('.')
}

/**
 * A BOOLEAN; DER knows 0x00 and 0xff only.
 *
 * @throws DerError
 */
export function readBoolean(bytes: Uint8Array, node: DerNode): boolean {
  expectTag(node, TAG.boolean, 'boolean')
  const octet = bytes[node.contentStart]
  if (node.end - node.contentStart !== 1 || (octet !== 0 && octet !== 0xff))
    throw new DerError('has a malformed boolean')
  return octet === 0xff
}

/**
 * A BIT STRING's unused-bits count and octets.
 *
 * @throws DerError
 */
export function readBitString(
  bytes: Uint8Array,
  node: DerNode,
): { readonly unused: number; readonly octets: Uint8Array } {
  expectTag(node, TAG.bitString, 'bit string')
  const unused = bytes[node.contentStart]
  const octets = bytes.subarray(node.contentStart + 1, node.end)
  if (node.contentStart === node.end || unused === undefined || unused > 7 || (octets.length === 0 && unused !== 0)) {
    throw new DerError('has a malformed bit string')
  }
  return { unused, octets }
}

/**
 * UTCTime or GeneralizedTime in milliseconds since the epoch, in the one form RFC 5280, 4.1.2.5 allows: seconds
 * present, no fraction, `Z`.
 *
 * @throws DerError
 */
export function readTime(bytes: Uint8Array, node: DerNode): number {
  const text = String.fromCharCode(...bytes.subarray(node.contentStart, Math.min(node.end, node.contentStart + 16)))
  const match =
    node.tag === TAG.utcTime
      ? /^(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/.exec(text)
      : node.tag === TAG.generalizedTime
        ? /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/.exec(text)
        : null
  if (match === null || text.length !== node.end - node.contentStart) throw new DerError('has a malformed time')
  const [yearText, month, day, hour, minute, second] = match.slice(1).map(Number) as [
    number,
    number,
    number,
    number,
    number,
    number,
  ]
  const year = node.tag === TAG.utcTime ? yearText + (yearText < 50 ? 2000 : 1900) : yearText
  const date = new Date(0)
  date.setUTCFullYear(year, month - 1, day)
  date.setUTCHours(hour, minute, second)
  const isReal =
    date.getUTCMonth() === month - 1 && date.getUTCDate() === day && hour < 24 && minute < 60 && second < 60
  if (!isReal) throw new DerError('has a time that no clock shows')
  return date.getTime()
}

/**
 * ASCII text of an IA5String, whatever its (implicit) tag.
 *
 * @throws DerError on a byte outside 0x20..0x7e: a NUL or a control character in a name is only ever an attack
 */
export function readPrintableAscii(bytes: Uint8Array, node: DerNode): string {
  let text = ''
  for (let at = node.contentStart; at < node.end; at++) {
    const octet = bytes[at]!
    if (octet < 0x20 || octet > 0x7e) throw new DerError('has a name with a byte outside printable ASCII')
    text += String.fromCharCode(octet)
  }
  return text
}
