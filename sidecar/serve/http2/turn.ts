/** Whoever has something to send at the end of a turn. */
export interface Flushable {
  flush(): void
}

let waiting: Flushable[] = []

/**
 * Has it flushed when everything that came in with this turn of the event loop was looked at: what it makes meanwhile, for
 * however many streams, goes out in one write. To be called once a turn.
 */
export function flushAtTurnEnd(flushable: Flushable): void {
  waiting.push(flushable)
  if (waiting.length === 1) setImmediate(flushAll)
}

function flushAll(): void {
  const all = waiting
  waiting = []
  for (const flushable of all) flushable.flush()
}
