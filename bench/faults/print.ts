import { type Output, painterOf } from '../../cli/paint.ts'

/** Tells how a run goes, a line for each thing that was shown. Colours and a moving line are for terminals. */
export interface FaultPrinter {
  begin(title: string): void
  /** Something takes a while. */
  doing(text: string): void
  shown(text: string): void
  skipped(why: string): void
  failed(error: unknown): void
  line(text: string): void
}

export function createFaultPrinter(stream: Output): FaultPrinter {
  const paint = painterOf(stream)
  let isMoving = false
  const line = (text: string) => {
    stream.write(`${isMoving ? '\r\u001b[2K' : ''}${text}\n`)
    isMoving = false
  }
  return {
    line,
    begin: (title) => line(`\n${paint('bold', title)}`),
    doing(text) {
      if (stream.isTTY !== true) return
      stream.write(`${isMoving ? '\r\u001b[2K' : ''} ${paint('dim', `• ${text} …`)}`)
      isMoving = true
    },
    shown: (text) => line(` ${paint('green', '✓')} ${text}`),
    skipped: (why) => line(` ${paint('red', '-')} SKIPPED: ${why}`),
    failed(error) {
      const text = error instanceof Error ? (error.stack ?? error.message) : String(error)
      line(` ${paint('red', '✗')} ${text.split('\n').join('\n   ')}`)
    },
  }
}
