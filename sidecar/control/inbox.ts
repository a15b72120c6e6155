import type { OperatorMessage } from '../../contract/session.ts'
import type { Result } from '../../model/result.ts'
import type { Turns } from '../../model/turns.ts'

export interface InboxOptions {
  readonly read: (text: string) => Turns<Result<OperatorMessage>>
  /** Told of each message in the order in which they came. */
  readonly onRead: (decoded: Result<OperatorMessage>, text: string) => void
  /** True: what comes has to wait for a long message. Keep back what can be, so that what waits stays little. */
  readonly onBusy: (isBusy: boolean) => void
}

/**
 * Reads what an operator sends, one message after another. One that takes turns (a config of a thousand routes) has one in
 * each pass of the event loop, and requests are served between them.
 */
export class Inbox {
  readonly #options: InboxOptions
  readonly #waiting: string[] = []
  #current: { readonly text: string; readonly turns: Turns<Result<OperatorMessage>> } | undefined
  #isBusy = false
  #isClosed = false

  constructor(options: InboxOptions) {
    this.#options = options
  }

  take(text: string): void {
    this.#waiting.push(text)
    if (!this.#isBusy) this.#work()
  }

  /** Nobody is told of what was not read yet. */
  close(): void {
    this.#isClosed = true
    this.#waiting.length = 0
    this.#current = undefined
  }

  #work(): void {
    while (!this.#isClosed) {
      const text = this.#current?.text ?? this.#waiting.shift()
      if (text === undefined) break
      this.#current ??= { text, turns: this.#options.read(text) }
      const turn = this.#current.turns.next()
      if (turn.done !== true) {
        this.#setBusy(true)
        setImmediate(() => this.#work())
        return
      }
      this.#current = undefined
      this.#options.onRead(turn.value, text)
    }
    this.#setBusy(false)
  }

  #setBusy(isBusy: boolean): void {
    if (isBusy === this.#isBusy) return
    this.#isBusy = isBusy
    this.#options.onBusy(isBusy)
  }
}
