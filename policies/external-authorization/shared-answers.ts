import { TwoGenerations } from '../jwt/two-generations.ts'
import type { Answer } from './answer.ts'

/** Answers that are remembered for one service by one policy, and their size in characters. */
export const MAX_ANSWERS = 10_000
export const MAX_ANSWER_CHARACTERS = 16_777_216

/** Different questions under way at once; one more is answered by nobody. */
export const MAX_ASKED_AT_ONCE = 1_024

/** Milliseconds that a denial is remembered at most: whoever has just been let in should not be kept out for long. */
export const MAX_DENIAL_MS = 5_000

/** How an answer is obtained. Aborted once nobody waits for it. */
export type Ask = (signal: AbortSignal) => Promise<Answer>

/** Has `listener` called when whoever asks has gone; what returns takes it back. */
export type OnAbandoned = (listener: () => void) => () => void

/**
 * Answers by question: asked once for all who ask the same at the same time, and remembered for a while, denials for less. What
 * is no answer is never remembered.
 */
export class SharedAnswers {
  readonly #ttlMs: number
  readonly #now: () => number
  readonly #known = new TwoGenerations<{ readonly answer: Answer; readonly untilMs: number }>({
    maxEntries: MAX_ANSWERS,
    maxBytes: MAX_ANSWER_CHARACTERS,
  })
  readonly #asked = new Map<string, Question>()

  /** `now` is monotonic. */
  constructor(ttlMs: number, now: () => number) {
    this.#ttlMs = ttlMs
    this.#now = now
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
    if (this.#now() < found.untilMs) return found.answer
    this.#known.delete(key)
    return undefined
  }

  /** Asks, or waits with whoever asks already. */
  ask(key: string, ask: Ask, onAbandoned: OnAbandoned | undefined): Promise<Answer> {
    let question = this.#asked.get(key)
    if (question === undefined) {
      if (this.#asked.size >= MAX_ASKED_AT_ONCE) {
        return Promise.resolve({
          kind: 'none',
          reason: 'overloaded',
          detail: `${MAX_ASKED_AT_ONCE} questions are under way`,
        })
      }
      question = this.#begin(key, ask)
    }
    return waitFor(question, onAbandoned)
  }

  #begin(key: string, ask: Ask): Question {
    const controller = new AbortController()
    const question: Question = {
      waiting: 0,
      give: () => {
        // Whoever asks from now on asks anew.
        if (this.#asked.get(key) === question) this.#asked.delete(key)
        controller.abort()
      },
      answer: ask(controller.signal).then(
        (answer) => {
          if (this.#asked.get(key) === question) this.#asked.delete(key)
          this.#remember(key, answer)
          return answer
        },
        (error: unknown) => {
          if (this.#asked.get(key) === question) this.#asked.delete(key)
          throw error
        },
      ),
    }
    this.#asked.set(key, question)
    return question
  }

  #remember(key: string, answer: Answer): void {
    if (answer.kind === 'none') return
    const ttlMs = answer.kind === 'allowed' ? this.#ttlMs : Math.min(this.#ttlMs / 2, MAX_DENIAL_MS)
    this.#known.set(key, { answer, untilMs: this.#now() + ttlMs }, key.length + sizeOf(answer))
  }
}

/** Asks for one request alone. */
export function askAlone(ask: Ask, onAbandoned: OnAbandoned | undefined): Promise<Answer> {
  const controller = new AbortController()
  return waitFor({ waiting: 0, give: () => controller.abort(), answer: ask(controller.signal) }, onAbandoned)
}

interface Question {
  waiting: number
  readonly give: () => void
  readonly answer: Promise<Answer>
}

async function waitFor(question: Question, onAbandoned: OnAbandoned | undefined): Promise<Answer> {
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

function sizeOf(answer: Answer): number {
  return JSON.stringify(answer).length
}
