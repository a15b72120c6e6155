import { closeSync, openSync, renameSync, statSync } from 'node:fs'
import type { Clock } from '../../runtime/clock.ts'
import { createFileSink, type FileSink } from '../../runtime/log-sink.ts'
import type { StateDirectory } from './state.ts'

/** A log on disk that does not grow for ever. */
export interface LogFile {
  readonly path: string
  /** Takes one line without its end. Never throws, never blocks. */
  write(line: string): void
  /** The newest lines, oldest first: at most `LAST_LINES`. */
  last(): readonly string[]
  close(): Promise<void>
}

/** Characters of one file at most; then it becomes `FILE.1`, in place of the one before. */
export const MAX_LOG_CHARS = 4 * 1024 * 1024

/** Lines that are kept in memory, to be shown when something does not start: a stack of Node with what is above it. */
export const LAST_LINES = 20

export function openLogFile(path: string, clock: Clock, maxChars = MAX_LOG_CHARS): LogFile {
  let { fd, sink, chars } = open(path, clock)
  const closing: Promise<void>[] = []
  const last: string[] = []

  const rotate = () => {
    const [oldFd, oldSink] = [fd, sink]
    try {
      renameSync(path, `${path}.1`)
      ;({ fd, sink, chars } = open(path, clock))
    } catch {
      // A disk that takes nothing more: what comes is dropped by the sink, and counted there.
      chars = 0
      return
    }
    const closed = oldSink.flush().then(() => closeSync(oldFd))
    closing.push(closed)
    void closed.then(() => closing.splice(closing.indexOf(closed), 1))
  }
  return {
    path,
    write(line) {
      last.push(line)
      if (last.length > LAST_LINES) last.shift()
      sink.write(`${line}\n`)
      chars += line.length + 1
      if (chars > maxChars) rotate()
    },
    last: () => [...last],
    async close() {
      await Promise.all(closing)
      await sink.flush()
      closeSync(fd)
    },
  }
}

function open(path: string, clock: Clock): { fd: number; sink: FileSink; chars: number } {
  const fd = openSync(path, 'a', 0o600)
  return { fd, sink: createFileSink({ fd, clock }), chars: statSync(path).size }
}

/** The logs of a mesh, each opened when it is first asked for. */
export function createLogs(state: StateDirectory, clock: Clock) {
  const logs = new Map<string, LogFile>()
  return {
    open(name: string): LogFile {
      const log = logs.get(name) ?? openLogFile(state.at('logs', `${name}.log`), clock)
      logs.set(name, log)
      return log
    },
    async close(): Promise<void> {
      const open = [...logs.values()]
      logs.clear()
      await Promise.all(open.map((log) => log.close()))
    },
  }
}
