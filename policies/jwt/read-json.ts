/** What a text was read as. `depth` counts nested objects and lists; a scalar has 0. `reason` never quotes the text. */
export type JsonReading =
  | { readonly ok: true; readonly value: unknown; readonly depth: number }
  | { readonly ok: false; readonly reason: string }

/**
 * Reads JSON (RFC 8259) as I-JSON (RFC 7493): members are unique, strings are well-formed Unicode, numbers are finite.
 * `JSON.parse` takes the last of two members and any depth; what two readers may understand differently is refused here.
 *
 * Values are frozen. Objects have no prototype, so that a claim named `__proto__` or `constructor` is a claim.
 */
export function readJson(text: string, maxDepth: number): JsonReading {
  const reader = new Reader(text, maxDepth)
  const value = reader.document()
  return reader.failure === undefined
    ? { ok: true, value, depth: reader.deepest }
    : { ok: false, reason: reader.failure }
}

const NUMBER = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y
/** The characters of a string up to its end, an escape, or something that may not be there. */
const PLAIN = /[^"\\\x00-\x1f]*/y
const HEX = /^[0-9A-Fa-f]{4}$/

const QUOTE = 0x22
const BACKSLASH = 0x5c

const ESCAPES: ReadonlyMap<string, string> = new Map([
  ['"', '"'],
  ['\\', '\\'],
  ['/', '/'],
  ['b', '\b'],
  ['f', '\f'],
  ['n', '\n'],
  ['r', '\r'],
  ['t', '\t'],
])

/** Recursive descent; the first failure is kept and everything above it returns. */
class Reader {
  failure: string | undefined
  deepest = 0
  readonly #text: string
  readonly #maxDepth: number
  #at = 0

  constructor(text: string, maxDepth: number) {
    this.#text = text
    this.#maxDepth = maxDepth
  }

  document(): unknown {
    const value = this.#value(0)
    this.#space()
    if (this.failure === undefined && this.#at !== this.#text.length) return this.#fail('text after the value')
    return value
  }

  #value(depth: number): unknown {
    this.#space()
    switch (this.#text[this.#at]) {
      case '{':
        return this.#object(depth + 1)
      case '[':
        return this.#list(depth + 1)
      case '"':
        return this.#string()
      case 't':
        return this.#word('true', true)
      case 'f':
        return this.#word('false', false)
      case 'n':
        return this.#word('null', null)
      default:
        return this.#number()
    }
  }

  #object(depth: number): unknown {
    if (!this.#enter(depth)) return undefined
    const members: Record<string, unknown> = Object.create(null)
    if (this.#take('}')) return Object.freeze(members)
    do {
      this.#space()
      if (this.#text.charCodeAt(this.#at) !== QUOTE) return this.#fail('a member without a name')
      const name = this.#string()
      if (name === undefined) return undefined
      if (Object.hasOwn(members, name)) return this.#fail('a member that is there twice')
      if (!this.#take(':')) return this.#fail('a member without a value')
      members[name] = this.#value(depth)
      if (this.failure !== undefined) return undefined
    } while (this.#take(','))
    return this.#take('}') ? Object.freeze(members) : this.#fail('an object that does not end')
  }

  #list(depth: number): unknown {
    if (!this.#enter(depth)) return undefined
    const items: unknown[] = []
    if (this.#take(']')) return Object.freeze(items)
    do {
      items.push(this.#value(depth))
      if (this.failure !== undefined) return undefined
    } while (this.#take(','))
    return this.#take(']') ? Object.freeze(items) : this.#fail('a list that does not end')
  }

  #enter(depth: number): boolean {
    if (depth > this.#maxDepth) {
      this.#fail(`deeper than ${this.#maxDepth}`)
      return false
    }
    this.deepest = Math.max(this.deepest, depth)
    this.#at++
    return true
  }

  #string(): string | undefined {
    this.#at++
    let value = ''
    for (;;) {
      PLAIN.lastIndex = this.#at
      value += PLAIN.exec(this.#text)?.[0] ?? ''
      this.#at = PLAIN.lastIndex
      const code = this.#text.charCodeAt(this.#at)
      if (code === QUOTE) {
        this.#at++
        return value.isWellFormed() ? value : this.#fail('half of a surrogate pair')
      }
      if (code !== BACKSLASH) return this.#fail('a string that does not end, or a bare control character')
      const escaped = this.#escape()
      if (escaped === undefined) return this.#fail('an escape that JSON does not have')
      value += escaped
    }
  }

  #escape(): string | undefined {
    const letter = this.#text[this.#at + 1] ?? ''
    if (letter !== 'u') {
      this.#at += 2
      return ESCAPES.get(letter)
    }
    const digits = this.#text.slice(this.#at + 2, this.#at + 6)
    this.#at += 6
    return HEX.test(digits) ? String.fromCharCode(Number.parseInt(digits, 16)) : undefined
  }

  #number(): unknown {
    NUMBER.lastIndex = this.#at
    const digits = NUMBER.exec(this.#text)?.[0]
    if (digits === undefined) return this.#fail('something that is no JSON value')
    this.#at += digits.length
    const value = Number(digits)
    return Number.isFinite(value) ? value : this.#fail('a number beyond all bounds')
  }

  #word(word: string, value: unknown): unknown {
    if (!this.#text.startsWith(word, this.#at)) return this.#fail('something that is no JSON value')
    this.#at += word.length
    return value
  }

  #take(character: string): boolean {
    this.#space()
    if (this.#text[this.#at] !== character) return false
    this.#at++
    return true
  }

  #space(): void {
    for (;;) {
      const code = this.#text.charCodeAt(this.#at)
      if (code !== 0x20 && code !== 0x0a && code !== 0x0d && code !== 0x09) return
      this.#at++
    }
  }

  #fail(reason: string): undefined {
    this.failure ??= reason
    return undefined
  }
}
