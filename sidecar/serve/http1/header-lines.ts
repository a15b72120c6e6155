import type { HeaderPair } from '../../../model/verdict.ts'
import type { HeaderFilter } from './header-filter.ts'
import { FOLDED_TOKEN, hashOfName, latin1, UNDERSCORE } from './octets.ts'

/** Numbers that {@link HeaderLines} holds of each line. */
export const MARKS_PER_LINE = 5

/**
 * The field lines of one message in the order received: read-only, looked up without a prototype in sight.
 *
 * Strings are made when they are asked for, not before: most lines are passed on as bytes and never become one. Every `name` argument is in lower case. Values are
 * latin1, one character an octet, without the white space around them.
 */
export class HeaderLines {
  /** Holds the lines as received. Not to be written to. */
  readonly block: Buffer
  /** Where in `block` the first name starts. */
  readonly origin: number
  /** Of each line: the hash of its folded name, then where name and value start and end, counted from `origin`. */
  readonly marks: readonly number[]
  /** The lines, by index and in order, of which the sender asks that no table remembers them (RFC 7541, 6.2.3). */
  readonly neverIndexed: readonly number[] | undefined

  constructor(block: Buffer, origin: number, marks: readonly number[], neverIndexed?: readonly number[]) {
    this.block = block
    this.origin = origin
    this.marks = marks
    this.neverIndexed = neverIndexed
  }

  /** 0..maxHeaders. */
  get count(): number {
    return this.marks.length / MARKS_PER_LINE
  }

  /** In lower case. */
  name(index: number): string {
    const mark = index * MARKS_PER_LINE
    return this.#text(this.marks[mark + 1]!, this.marks[mark + 2]!).toLowerCase()
  }

  value(index: number): string {
    const mark = index * MARKS_PER_LINE
    return this.#text(this.marks[mark + 3]!, this.marks[mark + 4]!)
  }

  /** The octets of a value, to compare or hash without making a string: a view, not to be written to. */
  bytes(index: number): Buffer {
    const mark = index * MARKS_PER_LINE
    return this.block.subarray(this.origin + this.marks[mark + 3]!, this.origin + this.marks[mark + 4]!)
  }

  /** The first value. */
  get(name: string): string | undefined {
    const index = this.indexOf(name)
    return index === -1 ? undefined : this.value(index)
  }

  /** Every value in the order received. */
  all(name: string): readonly string[] {
    const hash = hashOfName(name)
    const first = this.#find(name, hash, 0)
    if (first === -1) return NONE
    const values = [this.value(first)]
    for (let index = this.#find(name, hash, first + 1); index !== -1; index = this.#find(name, hash, index + 1)) {
      values.push(this.value(index))
    }
    return values
  }

  has(name: string): boolean {
    return this.indexOf(name) !== -1
  }

  /** The first line at or after `from` that has this name, or -1. */
  indexOf(name: string, from = 0): number {
    return this.#find(name, hashOfName(name), from)
  }

  *[Symbol.iterator](): Iterator<HeaderPair> {
    for (let index = 0; index < this.count; index++) yield [this.name(index), this.value(index)]
  }

  #find(name: string, hash: number, from: number): number {
    const { marks } = this
    for (let mark = from * MARKS_PER_LINE; mark < marks.length; mark += MARKS_PER_LINE) {
      if (marks[mark] === hash && this.#isNamed(mark, name)) return mark / MARKS_PER_LINE
    }
    return -1
  }

  #text(start: number, end: number): string {
    return latin1(this.block, this.origin + start, this.origin + end)
  }

  #isNamed(mark: number, name: string): boolean {
    if (this.marks[mark + 2]! - this.marks[mark + 1]! !== name.length) return false
    const start = this.origin + this.marks[mark + 1]!
    for (let at = 0; at < name.length; at++) {
      const octet = this.block[start + at]!
      // The hash is of the folded name; the name asked for is meant to the letter, `_` apart from `-`.
      const lowered = octet === UNDERSCORE ? octet : FOLDED_TOKEN[octet]
      if (lowered !== name.charCodeAt(at)) return false
    }
    return true
  }
}

/** The lines whose names are not in the filter, of the same bytes. Undefined: none is left. */
export function withoutLines(lines: HeaderLines, drop: HeaderFilter): HeaderLines | undefined {
  const { block, origin, marks, neverIndexed } = lines
  const kept: number[] = []
  const never: number[] = []
  for (let mark = 0; mark < marks.length; mark += MARKS_PER_LINE) {
    if (drop.matches(marks[mark]!, block, origin + marks[mark + 1]!, origin + marks[mark + 2]!)) continue
    if (neverIndexed?.includes(mark / MARKS_PER_LINE) === true) never.push(kept.length / MARKS_PER_LINE)
    for (let at = mark; at < mark + MARKS_PER_LINE; at++) kept.push(marks[at]!)
  }
  if (kept.length === marks.length) return lines
  return kept.length === 0 ? undefined : new HeaderLines(block, origin, kept, never.length === 0 ? undefined : never)
}

const NONE: readonly string[] = Object.freeze([])

export const NO_HEADERS = new HeaderLines(Buffer.alloc(0), 0, [])
