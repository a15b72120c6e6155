import type { Turns } from '../../model/turns.ts'

/** Characters that a turn writes at least, if there are as many: some tenths of a millisecond. */
const CHARACTERS_A_TURN = 64 * 1024

/** Objects and arrays within each other that are looked into; what is deeper is written at once. */
const DEPTH = 4

/** The text that `JSON.stringify` makes of a JSON value, in turns where it is long. */
export function* textInTurns(value: unknown): Turns<string> {
  const whole: string[] = []
  let pending = ''
  for (const piece of pieces(value, DEPTH)) {
    pending += piece
    if (pending.length < CHARACTERS_A_TURN) continue
    whole.push(pending)
    pending = ''
    yield
  }
  whole.push(pending)
  return whole.join('')
}

function* pieces(value: unknown, depth: number): Generator<string> {
  if (depth === 0 || typeof value !== 'object' || value === null) {
    yield JSON.stringify(value) ?? 'null'
    return
  }
  if (Array.isArray(value)) {
    yield '['
    for (const [i, item] of (value as readonly unknown[]).entries()) {
      if (i > 0) yield ','
      yield* pieces(item, depth - 1)
    }
    yield ']'
    return
  }
  let before = '{'
  for (const [name, member] of Object.entries(value)) {
    if (member === undefined) continue
    yield `${before}${JSON.stringify(name)}:`
    yield* pieces(member, depth - 1)
    before = ','
  }
  yield before === '{' ? '{}' : '}'
}
