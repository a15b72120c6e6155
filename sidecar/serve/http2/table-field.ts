import type { FieldTable } from '../http1/field-table.ts'
import { FOLDED_TOKEN, HASH_START, latin1, nextHash, UNDERSCORE } from '../http1/octets.ts'
import { STATIC_TABLE } from './static-table.ts'

/** What a field name is: one of the pseudo-fields, or none. */
export const REGULAR = 0
export const AUTHORITY = 1
export const METHOD = 2
export const PATH = 3
export const SCHEME = 4
export const STATUS = 5
export const PROTOCOL = 6
export const UNKNOWN_PSEUDO = 7

const PSEUDO_NAMES = ['', ':authority', ':method', ':path', ':scheme', ':status', ':protocol']

/** What is wrong with a field wherever it stands. */
export const SOUND = 0
/** Not a token in lower case (RFC 9113, 8.2.1). */
export const BAD_NAME = 1
/** A control character, or white space at an end. */
export const BAD_VALUE = 2
/** A spelling with `_` of a name that somebody relies on. */
export const UNDERSCORED = 3

/** A name, read once: what the field means. */
export interface FieldName {
  /** Of the folded name, as in `HeaderLines`. */
  hash: number
  /** In the field table; 0 for names that nobody acts upon. */
  id: number
  pseudo: number
  flaw: number
}

/** Whether a name is one that somebody relies on, whatever its spelling. */
export interface ProtectedNames {
  matches(hash: number, bytes: Uint8Array, start: number, end: number): boolean
}

/** Reads the name in `bytes[start, end)` into `name`. */
export function readName(
  bytes: Buffer,
  start: number,
  end: number,
  fields: FieldTable,
  protectedNames: ProtectedNames,
  name: FieldName,
): void {
  name.id = 0
  name.hash = 0
  name.pseudo = REGULAR
  name.flaw = SOUND
  if (start === end) {
    name.flaw = BAD_NAME
    return
  }
  if (bytes[start] === COLON) {
    const index = PSEUDO_NAMES.indexOf(latin1(bytes, start, end))
    name.pseudo = index === -1 ? UNKNOWN_PSEUDO : index
    return
  }
  let hash = HASH_START
  let hasUnderscore = false
  for (let at = start; at < end; at++) {
    const octet = bytes[at]!
    const folded = FOLDED_TOKEN[octet]!
    // What no token has folds to 0, and so does NUL.
    if (folded !== octet || folded === 0) {
      if (octet !== UNDERSCORE) {
        name.flaw = BAD_NAME
        return
      }
      hasUnderscore = true
    }
    hash = nextHash(hash, folded)
  }
  name.hash = hash
  if (!hasUnderscore) name.id = fields.idOf(hash, bytes, start, end)
  else if (protectedNames.matches(hash, bytes, start, end)) name.flaw = UNDERSCORED
}

const COLON = 0x3a

/** A field in a table of HPACK, as a line that is copied into a message: `name: value` and CRLF. */
export class TableField implements FieldName {
  readonly bytes: Buffer
  /** Where in `bytes` the line starts. */
  readonly start: number
  readonly nameLength: number
  readonly valueLength: number
  readonly hash: number
  readonly id: number
  readonly pseudo: number
  readonly flaw: number
  #text: string | undefined

  constructor(bytes: Buffer, start: number, nameLength: number, valueLength: number, name: FieldName) {
    this.bytes = bytes
    this.start = start
    this.nameLength = nameLength
    this.valueLength = valueLength
    this.hash = name.hash
    this.id = name.id
    this.pseudo = name.pseudo
    this.flaw = name.flaw
  }

  /** The value. */
  get text(): string {
    if (this.#text === undefined) {
      const valueStart = this.start + this.nameLength + 2
      this.#text = latin1(this.bytes, valueStart, valueStart + this.valueLength)
    }
    return this.#text
  }
}

/** The static table, with what its names mean to `fields`. By index; the first is undefined. */
export function staticFields(fields: FieldTable): readonly (TableField | undefined)[] {
  const name = { hash: 0, id: 0, pseudo: REGULAR, flaw: SOUND }
  const made = STATIC_TABLE.map(([text, value]) => {
    const bytes = Buffer.from(`${text}: ${value}\r\n`, 'latin1')
    readName(bytes, 0, text.length, fields, NOTHING_PROTECTED, name)
    return new TableField(bytes, 0, text.length, value.length, name)
  })
  return [undefined, ...made]
}

const NOTHING_PROTECTED: ProtectedNames = { matches: () => false }
