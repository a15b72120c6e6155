import { type ChildProcess, spawn } from 'node:child_process'
import { StringDecoder } from 'node:string_decoder'
import { signalGroup } from './process-tree.ts'

/** How something ended. */
export interface Exit {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

/** Something that runs until it ends. */
export interface Running {
  readonly pid: number
  /** Never rejects. */
  readonly exited: Promise<Exit>
  /** Asks it to end, and makes it after `graceMs`. Resolves when it is gone. */
  stop(graceMs: number): Promise<void>
  /** Ends it now. */
  kill(): void
}

export interface ChildOptions {
  readonly argv: readonly [string, ...string[]]
  readonly directory?: string
  /** All of it: nothing is inherited. */
  readonly environment: Readonly<Record<string, string>>
  /** Whether the child has an IPC channel, by whose end it sees the end of this process. */
  readonly ipc: boolean
  /** Gets each line that it prints, without the line's end. */
  readonly onLine: (line: string) => void
}

/** Characters of a line at most; what is longer comes in pieces. */
export const MAX_LINE = 65_536

/**
 * Starts a process in a process group of its own: Ctrl-C in the terminal does not reach it, so that everything ends in
 * order, and what it starts itself ends with it. Rejects when it cannot be started.
 */
export function startChild({ argv, directory, environment, ipc, onLine }: ChildOptions): Promise<Running> {
  const [program, ...args] = argv
  const child: ChildProcess = spawn(program, args, {
    ...(directory !== undefined && { cwd: directory }),
    env: environment,
    detached: true,
    stdio: ipc ? ['ignore', 'pipe', 'pipe', 'ipc'] : ['ignore', 'pipe', 'pipe'],
  })
  for (const stream of [child.stdout, child.stderr]) if (stream != null) splitLines(stream, onLine)
  const exited = new Promise<Exit>((resolve) => {
    child.once('exit', (code, signal) => {
      if (child.pid !== undefined) signalGroup(child.pid, 'SIGKILL')
      resolve({ code, signal })
    })
  })
  return new Promise((resolve, reject) => {
    child.once('error', (cause) => {
      reject(new Error(`${program} cannot be started: ${cause.message}`, { cause }))
    })
    child.once('spawn', () => {
      const { pid } = child
      if (pid === undefined) return
      // What else the channel may say, such as EPIPE, says only that the child is gone.
      child.on('error', () => {})
      resolve({
        pid,
        exited,
        async stop(graceMs) {
          child.kill('SIGTERM')
          const timer = setTimeout(() => signalGroup(pid, 'SIGKILL'), graceMs)
          await exited
          clearTimeout(timer)
        },
        kill: () => void signalGroup(pid, 'SIGKILL'),
      })
    })
  })
}

function splitLines(stream: NodeJS.ReadableStream, onLine: (line: string) => void): void {
  const decoder = new StringDecoder('utf8')
  let rest = ''
  const tell = (line: string) => {
    for (let from = 0; from === 0 || from < line.length; from += MAX_LINE) onLine(line.slice(from, from + MAX_LINE))
  }
  const take = (text: string) => {
    const lines = (rest + text).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) tell(line.endsWith('\r') ? line.slice(0, -1) : line)
    while (rest.length > MAX_LINE) {
      onLine(rest.slice(0, MAX_LINE))
      rest = rest.slice(MAX_LINE)
    }
  }
  stream.on('data', (chunk: Buffer) => take(decoder.write(chunk)))
  stream.on('error', () => {})
  stream.on('end', () => {
    take(decoder.end())
    if (rest !== '') onLine(rest)
    rest = ''
  })
}
