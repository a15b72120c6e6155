import type { DestinationStream } from 'pino'
import { createLog, type Logger } from '../service/log.ts'

/** A log whose lines can be read back. */
export interface CapturedLog {
  readonly log: Logger
  /** Everything written, as text: for looking for what must not be there. */
  text(): string
  /** The events with this message. */
  events(message: string): Record<string, unknown>[]
}

export function captureLog(): CapturedLog {
  const lines: string[] = []
  const destination: DestinationStream = { write: (line) => void lines.push(line) }
  return {
    log: createLog('test', 'info', destination),
    text: () => lines.join(''),
    events: (message) =>
      lines.map((line) => JSON.parse(line) as Record<string, unknown>).filter((event) => event.message === message),
  }
}
