import { stripVTControlCharacters } from 'node:util'
import { type Output, painterOf } from '../../cli/paint.ts'
import type { Scenario, Step } from '../scenarios/scenario.ts'

/** Prints a tour: one line a step. Colours and a moving line are for terminals; a pipe gets the bare lines. */
export interface TourPrinter {
  note(text: string): void
  /** Something takes a while. */
  doing(text: string): void
  begin(scenario: Scenario): void
  step(step: Step): void
  failed(error: unknown): void
  end(summary: { readonly passed: number; readonly failed: number; readonly tookMs: number }): void
}

/** Columns that the first part of a step takes, so that the arrows stand below each other where they can. */
const SENT_WIDTH = 58

export function createTourPrinter(stream: Output): TourPrinter {
  const isTerminal = stream.isTTY === true
  const paint = painterOf(stream)
  let isMoving = false
  const line = (text: string) => {
    stream.write(`${isMoving ? '\r\u001b[2K' : ''}${text}\n`)
    isMoving = false
  }
  return {
    note: (text) => line(paint('dim', text)),
    doing(text) {
      if (!isTerminal) return
      stream.write(`${isMoving ? '\r\u001b[2K' : ''} ${paint('dim', `• ${text} …`)}`)
      isMoving = true
    },
    begin({ title }) {
      line(`\n${paint('bold', sentenceOf(title))}`)
      this.doing('asking')
    },
    step({ sent, got, said }) {
      const padding = ' '.repeat(Math.max(0, SENT_WIDTH - stripVTControlCharacters(sent).length))
      const by = said === undefined ? '' : `  ${paint('dim', said)}`
      line(` ${paint('green', '✓')} ${sent}${padding} → ${got}${by}`)
      this.doing('asking')
    },
    failed(error) {
      const text = error instanceof Error ? error.message : String(error)
      line(` ${paint('red', '✗')} ${text.split('\n').join('\n   ')}`)
    },
    end({ passed, failed, tookMs }) {
      const seconds = (tookMs / 1_000).toFixed(1)
      const all = `${passed} of ${passed + failed} as written, in ${seconds} s`
      line(`\n${failed === 0 ? paint('green', `✓ ${all}`) : paint('red', `✗ ${all}`)}`)
    },
  }
}

/** Without the rows of the threat model: they are for tests. */
export function sentenceOf(title: string): string {
  const sentence = title.replace(/^(?:[TF]\d\d(?:, )?)+: /, '')
  return sentence.charAt(0).toUpperCase() + sentence.slice(1)
}
