import { ChunkedReader } from './chunk.ts'
import type { BodyReader, BodySink, Framing } from './message.ts'
import { type Problem, problem, type Sender } from './problem.ts'

/** A reader for one body; `sender` decides what its problems are worth. */
export function bodyReader(framing: Framing, sender: Sender): BodyReader {
  switch (framing.kind) {
    case 'none':
      return EMPTY
    case 'length':
      return framing.bytes === 0 ? EMPTY : new LengthReader(framing.bytes, sender)
    case 'chunked':
      return new ChunkedReader(sender)
    case 'until-close':
      return new UntilCloseReader()
  }
}

const EMPTY: BodyReader = Object.freeze({
  done: true,
  read: (_chunk: Buffer, start: number) => start,
  close: () => undefined,
})

class LengthReader implements BodyReader {
  #left: number
  readonly #sender: Sender

  constructor(bytes: number, sender: Sender) {
    this.#left = bytes
    this.#sender = sender
  }

  get done(): boolean {
    return this.#left === 0
  }

  read(chunk: Buffer, start: number, end: number, sink: BodySink): number {
    const taken = Math.min(end - start, this.#left)
    if (taken <= 0) return start
    this.#left -= taken
    sink.onBody(chunk, start, start + taken)
    return start + taken
  }

  close(): Problem | undefined {
    return this.done ? undefined : problem(this.#sender, 'truncated-body')
  }
}

/** Nothing tells a whole body of this kind from a truncated one, but a TLS close without notify. */
class UntilCloseReader implements BodyReader {
  #closed = false

  get done(): boolean {
    return this.#closed
  }

  read(chunk: Buffer, start: number, end: number, sink: BodySink): number {
    if (end <= start) return start
    sink.onBody(chunk, start, end)
    return end
  }

  close(): undefined {
    this.#closed = true
    return undefined
  }
}
