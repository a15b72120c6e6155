import { write, writeSync } from 'node:fs'
import type { Clock } from './clock.ts'
import type { Turn } from './turns.ts'

/** Where finished log lines go. */
export interface LogSink {
  /** Takes one line with its newline. Never throws, never blocks. */
  write(line: string): void
  /** Counts a line that was lost before it came here. */
  drop(): void
  /** Lines lost since the start: the disk was full, the reader too slow, or the line could not be built. */
  readonly dropped: number
}

/** A sink in front of an open file descriptor. */
export interface FileSink extends LogSink {
  /** Resolves once everything taken so far was written or dropped. */
  flush(): Promise<void>
  /** Writes what is left on this thread, for the last moment of a process. Never throws. */
  flushSync(): void
}

/** A sink in front of a file descriptor. */
export interface FileSinkOptions {
  /** Open for writing; never closed by the sink. */
  readonly fd: number
  readonly clock: Clock
  /** Characters that may wait to be written; lines beyond are dropped. Default 1 MiB. */
  readonly maxQueuedChars?: number
  /** Where other threads write to the same descriptor: a pipe tears what is longer than a page apart. */
  readonly turn?: Turn
}

/**
 * Writes lines to a file descriptor without ever holding anybody up: one write at a time off the event loop, a bounded
 * queue, and when the disk is full or the reader gone the lines are dropped and counted (F11). Once writing works again,
 * one line says how many were lost.
 */
export function createFileSink({ fd, clock, maxQueuedChars = 1_048_576, turn }: FileSinkOptions): FileSink {
  let queue: string[] = []
  let queuedChars = 0
  let writing = false
  let dropped = 0
  let reported = 0
  let broken = false
  let idle: (() => void)[] = []

  function next(): void {
    if (writing) return
    if (queue.length === 0) {
      const waiting = idle
      idle = []
      for (const resolve of waiting) resolve()
      return
    }
    writing = true
    const wait = turn?.take()
    if (wait === undefined) sendBatch()
    else void wait.then(sendBatch)
  }

  function sendBatch(): void {
    const lines = queue.length
    send(Buffer.from(takeBatch()), 0, lines)
  }

  function takeBatch(): string {
    const batch = queue.join('')
    queue = []
    queuedChars = 0
    return batch
  }

  function send(bytes: Buffer, from: number, lines: number): void {
    write(fd, bytes, from, bytes.length - from, null, (error, written) => {
      if (error?.code === 'EAGAIN') return void clock.setTimer(RETRY_MS, () => send(bytes, from, lines))
      if (error) {
        // How many lines of the batch the failed write left out is not known; all of them is the honest upper bound.
        dropped += lines
        broken = true
      } else if (from + written < bytes.length) {
        return send(bytes, from + written, lines)
      } else if (broken || dropped > reported) {
        broken = false
        reportDropped()
      }
      writing = false
      turn?.give()
      next()
    })
  }

  function reportDropped(): void {
    if (dropped === reported) return
    const line = {
      'log.level': 'warn',
      '@timestamp': new Date(clock.now()).toISOString(),
      message: 'log lines dropped',
      'log.dropped': dropped - reported,
    }
    reported = dropped
    queue.push(`${JSON.stringify(line)}\n`)
  }

  return {
    write(line) {
      if (queuedChars + line.length > maxQueuedChars) {
        dropped += 1
        return
      }
      queue.push(line)
      queuedChars += line.length
      // A turn later, so that the lines of one request are one write.
      if (!writing && queue.length === 1) queueMicrotask(next)
    },
    drop() {
      dropped += 1
    },
    get dropped() {
      return dropped
    },
    flush() {
      return new Promise((resolve) => {
        idle.push(resolve)
        next()
      })
    },
    flushSync() {
      const lines = queue.length
      const bytes = Buffer.from(takeBatch())
      try {
        for (let from = 0; from < bytes.length; ) from += writeSync(fd, bytes, from)
      } catch {
        dropped += lines
      }
    },
  }
}

/** A sink that keeps its lines in memory: for tests and short-lived commands. Holds the newest `maxLines` (default 10,000). */
export function createMemorySink(maxLines = 10_000): LogSink & { readonly lines: readonly string[] } {
  const lines: string[] = []
  let dropped = 0
  return {
    lines,
    write(line) {
      lines.push(line)
      if (lines.length > maxLines) {
        lines.shift()
        dropped += 1
      }
    },
    drop() {
      dropped += 1
    },
    get dropped() {
      return dropped
    },
  }
}

/** How long to wait for a pipe's reader, in milliseconds. */
const RETRY_MS = 100
