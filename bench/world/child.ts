import { type ChildProcess, execFileSync, fork } from 'node:child_process'
import { type FileHandle, open } from 'node:fs/promises'

/** A program of the bench in a process of its own, that is asked and answers. */
export interface Child<Ask, Answer> {
  readonly pid: number
  /** Sends `ask` and resolves with the next answer of the type. Rejects when the process ends first. */
  ask<Type extends Answer extends { readonly type: infer T } ? T : never>(
    ask: Ask,
    type: Type,
  ): Promise<Extract<Answer, { readonly type: Type }>>
  /** Sends `ask`, to which there is no answer. */
  tell(ask: Ask): void
  /** SIGKILL. Resolves when it is gone. */
  kill(): Promise<void>
}

export interface ChildOptions {
  /** The CPUs that it may run on; undefined: any. */
  readonly cores?: readonly number[] | undefined
  /** Takes stdout and stderr. */
  readonly logFile: string
}

const running = new Set<ChildProcess>()

export async function startChild<Ask, Answer extends { readonly type: string }>(
  program: string,
  { cores, logFile }: ChildOptions,
): Promise<Child<Ask, Answer>> {
  const log: FileHandle = await open(logFile, 'a', 0o600)
  const child = fork(program, [], { serialization: 'advanced', stdio: ['ignore', log.fd, log.fd, 'ipc'] })
  await log.close()
  running.add(child)
  const { pid } = child
  if (pid === undefined) throw new Error(`cannot start ${program}`)
  if (cores !== undefined) execFileSync('taskset', ['-acp', cores.join(','), String(pid)], { stdio: 'ignore' })

  const waiting = new Map<string, { resolve(answer: Answer): void; reject(error: Error): void }[]>()
  let isKilled = false
  const gone = new Promise<void>((resolve) => {
    child.once('exit', (code, signal) => {
      running.delete(child)
      const error = new Error(`${program} ended with ${signal ?? `code ${code}`}: see ${logFile}`)
      for (const one of [...waiting.values()].flat()) one.reject(error)
      waiting.clear()
      resolve()
    })
  })
  child.on('message', (message) => {
    const answer = message as Answer
    waiting.get(answer.type)?.shift()?.resolve(answer)
  })
  return {
    pid,
    ask(ask, type) {
      if (isKilled || !child.connected) return Promise.reject(new Error(`${program} has ended: see ${logFile}`))
      const answered = new Promise<Answer>((resolve, reject) => {
        const queue = waiting.get(type) ?? []
        waiting.set(type, queue)
        queue.push({ resolve, reject })
      })
      child.send(ask as object)
      return answered as never
    },
    tell(ask) {
      child.send(ask as object)
    },
    kill() {
      isKilled = true
      child.kill('SIGKILL')
      return gone
    },
  }
}

/** For the moment when the bench itself is ended: nothing of it stays behind. */
export function killChildren(): void {
  for (const child of running) child.kill('SIGKILL')
}
