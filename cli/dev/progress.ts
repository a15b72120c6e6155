import { type Output, type Paint, painterOf } from '../paint.ts'

/** Shows how far a longer start has come, in the manner of kind. */
export interface Progress {
  /** Something began. Calls for one name are matched. */
  begin(name: string): void
  /** It is done: a line that stays, with what came of it. */
  done(name: string, ms: number, label?: string): void
  /** It is not to be done any more: a line that stays. */
  failed(name: string, ms: number): void
  /** A line between the others. */
  say(line: string): void
  /** Nothing more comes of it. */
  close(): void
}

const FRAMES = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏']
const FRAME_MS = 80
/** Columns of a step's name. */
const WIDTH = 34

/**
 * On a terminal the last line turns while it waits; elsewhere each step is one plain line when it is done. Milliseconds
 * are the step's own: steps run side by side.
 */
export function createProgress(out: Output): Progress {
  const paint = painterOf(out)
  const active = new Set<string>()
  let frame = 0
  let timer: NodeJS.Timeout | undefined

  const clear = () => void (out.isTTY === true && out.write('\r\u001b[K'))
  const draw = () => {
    if (out.isTTY !== true || active.size === 0) return
    const text = [...active].join(', ')
    const room = Math.max(10, (out.columns ?? 80) - 6)
    const shown = text.length > room ? `${text.slice(0, room - 1)}…` : text
    out.write(`\r\u001b[K ${paint('cyan', FRAMES[frame % FRAMES.length] ?? '')} ${shown}`)
  }
  const line = (text: string) => {
    clear()
    out.write(`${text}\n`)
    draw()
  }
  const stop = () => {
    clearInterval(timer)
    timer = undefined
  }
  return {
    begin(name) {
      active.add(name)
      if (out.isTTY !== true) return
      draw()
      timer ??= setInterval(() => {
        frame += 1
        draw()
      }, FRAME_MS).unref()
    },
    done(name, ms, label = name) {
      active.delete(name)
      line(stepLine(paint('green', '✓'), label, ms, paint))
      if (active.size === 0) stop()
    },
    failed(name, ms) {
      active.delete(name)
      line(stepLine(paint('red', '✗'), name, ms, paint))
      if (active.size === 0) stop()
    },
    say: line,
    close() {
      active.clear()
      stop()
      clear()
    },
  }
}

function stepLine(mark: string, name: string, ms: number, paint: Paint): string {
  return ` ${mark} ${name.padEnd(WIDTH)} ${paint('dim', `${Math.round(ms)}ms`.padStart(7))}`
}
