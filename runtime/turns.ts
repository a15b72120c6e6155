/** Who may do a thing that only one may do at a time. */
export interface Turn {
  /** Undefined: it is ours. Else it is once the promise resolves. */
  take(): Promise<void> | undefined
  give(): void
}

/** Milliseconds after which whoever waits looks again, whatever it was told. */
const LOOK_AGAIN_MS = 1_000

/** Memory that threads take turns by: it can be posted. */
export function createTurnMemory(): SharedArrayBuffer {
  return new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT)
}

/** The turn of one thread, which `id` (above 0) tells from the others. */
export function openTurn(memory: SharedArrayBuffer, id: number): Turn {
  const holder = new Int32Array(memory)
  const isOurs = () => Atomics.compareExchange(holder, 0, 0, id) === 0
  const wait = async () => {
    while (!isOurs()) {
      const held = Atomics.load(holder, 0)
      if (held !== 0) await Atomics.waitAsync(holder, 0, held, LOOK_AGAIN_MS).value
    }
  }
  return {
    take: () => (isOurs() ? undefined : wait()),
    give: () => giveUpTurn(memory, id),
  }
}

/** What a thread that has ended may have kept. */
export function giveUpTurn(memory: SharedArrayBuffer, id: number): void {
  const holder = new Int32Array(memory)
  if (Atomics.compareExchange(holder, 0, id, 0) === id) Atomics.notify(holder, 0, 1)
}
