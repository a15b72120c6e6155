import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, openSync, readFileSync } from 'node:fs'

/** A real process that a scenario does something to. */
export interface Program {
  readonly pid: number
  readonly logFile: string
  /** Resolves with its code or signal. */
  readonly ended: Promise<number | string>
  hasEnded(): boolean
  signal(signal: NodeJS.Signals): void
  /** SIGTERM, and SIGKILL after ten seconds. Resolves with its code or signal. */
  stop(): Promise<number | string>
  /** Resident memory in bytes. */
  resident(): number
}

export interface ProgramOptions {
  /** Takes stdout and stderr, behind what is there already. */
  readonly logFile: string
  readonly env?: Readonly<Record<string, string>>
}

const STOP_MS = 10_000

const running = new Set<ChildProcess>()

export function startProgram([command = '', ...args]: readonly string[], options: ProgramOptions): Program {
  const { logFile, env = {} } = options
  const log = openSync(logFile, 'a', 0o600)
  const child = spawn(command, args, { stdio: ['ignore', log, log], env: { ...process.env, ...env } })
  closeSync(log)
  running.add(child)
  const ended = new Promise<number | string>((resolve) => {
    child.once('exit', (code, signal) => resolve(signal ?? code ?? 'unknown'))
    child.once('error', (error) => resolve(error.message))
  })
  void ended.then(() => running.delete(child))
  const { pid } = child
  if (pid === undefined) throw new Error(`cannot start ${command}`)
  return {
    pid,
    logFile,
    ended,
    hasEnded: () => child.exitCode !== null || child.signalCode !== null,
    signal: (signal) => void child.kill(signal),
    async stop() {
      child.kill('SIGTERM')
      const kill = setTimeout(() => child.kill('SIGKILL'), STOP_MS)
      const how = await ended
      clearTimeout(kill)
      return how
    },
    resident: () => residentOf(pid),
  }
}

/** In bytes, as /proc tells it: Linux only. */
export function residentOf(pid: number): number {
  const kilobytes = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]
  return Number(kilobytes ?? 0) * 1_024
}

/** For the moment when the run itself is ended: nothing of it stays behind. */
export function killPrograms(): void {
  for (const child of running) child.kill('SIGKILL')
}
