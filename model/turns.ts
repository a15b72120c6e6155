/**
 * Work of some milliseconds, cut into turns of about one: whoever does it on a thread that serves requests sees to them
 * between two turns. It returns what the work came to.
 */
export type Turns<Value> = Generator<void, Value>

/** Does all turns now. */
export function atOnce<Value>(turns: Turns<Value>): Value {
  let turn = turns.next()
  while (turn.done !== true) turn = turns.next()
  return turn.value
}
