import { type ChildProcess, spawn } from 'node:child_process'
import type { ReaperMessage } from './reap.ts'

/** Sees to it that what was started ends when this process does, however that comes. */
export interface Reaper {
  readonly pid: number | undefined
  watch(pid: number, signal: NodeJS.Signals): void
  forget(pid: number): void
  /** Everything that was watched has ended: so may the reaper. */
  close(): Promise<void>
}

const RESTART_MS = 200

/** Starts `hauberk reap`, and starts it again should it end. */
export function startReaper(
  program: readonly [string, ...string[]],
  environment: Readonly<Record<string, string>>,
): Reaper {
  const watched = new Map<number, NodeJS.Signals>()
  let isClosing = false
  let timer: NodeJS.Timeout | undefined
  let child: ChildProcess

  const send = (message: ReaperMessage) => {
    if (child.connected) child.send(message, () => {})
  }
  const start = () => {
    const [command, ...args] = program
    child = spawn(command, [...args, 'reap'], {
      env: environment,
      detached: true,
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    })
    child.on('error', () => {})
    child.once('exit', () => {
      if (!isClosing) timer = setTimeout(start, RESTART_MS)
    })
    for (const [pid, signal] of watched) send({ type: 'watch', pid, signal })
  }
  start()

  return {
    get pid() {
      return child.pid
    },
    watch(pid, signal) {
      watched.set(pid, signal)
      send({ type: 'watch', pid, signal })
    },
    forget(pid) {
      watched.delete(pid)
      send({ type: 'forget', pid })
    },
    async close() {
      isClosing = true
      clearTimeout(timer)
      if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return
      const exited = new Promise((resolve) => child.once('exit', resolve))
      if (child.connected) child.disconnect()
      await exited
    },
  }
}
