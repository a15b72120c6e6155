import { type ChildProcess, spawn } from 'node:child_process'
import { open, readFile } from 'node:fs/promises'
import { connect, createServer } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

/** A process of the bench. */
export interface BenchProcess {
  readonly pid: number
  readonly logFile: string
  /** Its code or signal, once it has ended. */
  ended(): string | undefined
  /** SIGTERM, and SIGKILL after five seconds. Resolves when it is gone. */
  stop(): Promise<void>
}

export interface ProcessOptions {
  /** The one CPU that it may run on. */
  readonly core: number
  /** Takes stdout and stderr. */
  readonly logFile: string
  readonly env?: Readonly<Record<string, string>>
}

const STOP_MS = 5_000
const START_MS = 15_000
const POLL_MS = 5

const running = new Set<ChildProcess>()

/** Starts `command` on its core. */
export async function startProcess(command: readonly string[], options: ProcessOptions): Promise<BenchProcess> {
  const { core, logFile, env = {} } = options
  const log = await open(logFile, 'w', 0o600)
  // taskset replaces itself with the program, so the pid is the program's.
  const child = spawn('taskset', ['-c', String(core), ...command], {
    stdio: ['ignore', log.fd, log.fd],
    env: { ...process.env, ...env },
  })
  running.add(child)
  const gone = new Promise<void>((resolve) => {
    child.once('exit', () => resolve())
    child.once('error', () => resolve())
  })
  void gone.then(() => running.delete(child))
  await log.close()
  const { pid } = child
  if (pid === undefined) throw new Error(`cannot start ${command[0]}`)
  return {
    pid,
    logFile,
    ended() {
      const { exitCode, signalCode } = child
      return exitCode === null && signalCode === null ? undefined : `${signalCode ?? `code ${exitCode}`}`
    },
    async stop() {
      child.kill('SIGTERM')
      const kill = setTimeout(() => child.kill('SIGKILL'), STOP_MS)
      await gone
      clearTimeout(kill)
    },
  }
}

/** For the moment when the bench itself is ended: nothing of it stays behind. */
export function killAll(): void {
  for (const child of running) child.kill('SIGKILL')
}

/** A port of loopback that nobody had a moment ago. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() => (typeof address === 'object' && address !== null ? resolve(address.port) : reject()))
    })
  })
}

/** Resolves when somebody accepts on the port, and as many sockets listen; rejects when the process has ended first, or takes too long. */
export async function untilListening(port: number, { ended, logFile }: BenchProcess, sockets = 1): Promise<void> {
  const deadline = performance.now() + START_MS
  while (!(await accepts(port)) || (sockets > 1 && (await listening(port)) < sockets)) {
    const end = ended()
    if (end !== undefined) throw new Error(`ended with ${end} before it listened: see ${logFile}`)
    if (performance.now() > deadline) throw new Error(`does not listen after ${START_MS} ms: see ${logFile}`)
    await sleep(POLL_MS)
  }
}

/** How many sockets listen on it. */
async function listening(port: number): Promise<number> {
  const wanted = new RegExp(`^ *\\d+: [0-9A-F]{8}:${port.toString(16).toUpperCase().padStart(4, '0')} \\S+ 0A `)
  const lines = (await readFile('/proc/net/tcp', 'latin1')).split('\n')
  return lines.filter((line) => wanted.test(line)).length
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
}
