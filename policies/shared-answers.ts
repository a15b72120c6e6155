import { TwoGenerations } from './jwt/two-generations.ts'

/** Answers that are remembered of one service by one policy, and their size in characters. */
export const MAX_ANSWERS = 10_000
export const MAX_ANSWER_CHARACTERS = 16_777_216

/** Different questions under way at once; one more is answered by nobody. */
export const MAX_ASKED_AT_ONCE = 1_024

/** How an answer is obtained. Aborted once nobody waits for it. */
export type Ask<Answer> = (signal: AbortSignal) => Promise<Answer>

/** Has `listener` called when whoever asks has gone; what returns takes it back. */
export type OnAbandoned = (listener: () => void) => () => void

export interface AnswerRules<Answer> {
  /** Milliseconds that an answer is remembered; 0 is not at all. */
  readonly keepMs: (answer: Answer) => number
  /** What whoever would be one more is told. */
  readonly overloaded: Answer
  /** Monotonic. */
  readonly now: () => number
  /** Default: `MAX_ANSWERS`. */
  readonly maxAnswers?: number
}

/** Answers by question: asked once for all who ask the same at the same time, and remembered for a while. */
export class SharedAnswers<Answer> {
  readonly #rules: AnswerRules<Answer>
  readonly #known: TwoGenerations<{ readonly answer: Answer; readonly untilMs: number }>
  readonly #asked = new Map<string, Question<Answer>>()

  constructor(rules: AnswerRules<Answer>) {
    this.#rules = rules
    this.#known = new TwoGenerations({ maxEntries: rules.maxAnswers ?? MAX_ANSWERS, maxBytes: MAX_ANSWER_CHARACTERS })
  }

  /** Answers that are remembered. */
  get size(): number {
    return this.#known.size
  }

  /** Questions under way. */
  get asking(): number {
    return this.#asked.size
  }

  get(key: string): Answer | undefined {
    const found = this.#known.get(key)
    if (found === undefined) return undefined
    if (this.#rules.now() < found.untilMs) return found.answer
    this.#known.delete(key)
    return undefined
  }

  /** Asks, or waits with whoever asks already. */
  ask(key: string, ask: Ask<Answer>, onAbandoned: OnAbandoned | undefined): Promise<Answer> {
    let question = this.#asked.get(key)
    if (question === undefined) {
      if (this.#asked.size >= MAX_ASKED_AT_ONCE) return Promise.resolve(this.#rules.overloaded)
      question = this.#begin(key, ask)
    }
    return waitFor(question, onAbandoned)
  }

  #begin(key: string, ask: Ask<Answer>): Question<Answer> {
    const controller = new AbortController()
    const forget = () => {
      if (this.#asked.get(key) === question) this.#asked.delete(key)
    }
    const question: Question<Answer> = {
      waiting: 0,
      give: () => {
        // Whoever asks from now on asks anew.
        forget()
        controller.abort()
      },
      answer: ask(controller.signal).then(
        (answer) => {
          forget()
          this.#remember(key, answer)
          return answer
        },
        (error: unknown) => {
          forget()
          throw error
        },
      ),
    }
    this.#asked.set(key, question)
    return question
  }

  #remember(key: string, answer: Answer): void {
    const keepMs = this.#rules.keepMs(answer)
    if (keepMs <= 0) return
    this.#known.set(key, { answer, untilMs: this.#rules.now() + keepMs }, key.length + JSON.stringify(answer).length)
  }
}

/** Asks for one request alone. */
export function askAlone<Answer>(ask: Ask<Answer>, onAbandoned: OnAbandoned | undefined): Promise<Answer> {
  const controller = new AbortController()
  return waitFor({ waiting: 0, give: () => controller.abort(), answer: ask(controller.signal) }, onAbandoned)
}

interface Question<Answer> {
  waiting: number
  readonly give: () => void
  readonly answer: Promise<Answer>
}

async function waitFor<Answer>(question: Question<Answer>, onAbandoned: OnAbandoned | undefined): Promise<Answer> {
  question.waiting += 1
  const takeBack = onAbandoned?.(() => {
    question.waiting -= 1
    if (question.waiting === 0) question.give()
  })
  try {
    return await question.answer
  } finally {
    takeBack?.()
  }
}
