import { join } from 'node:path'
import { type Child, startChild } from './child.ts'

/** An application that counts what it answers, in a process of its own. */
export interface CountingBackend {
  readonly port: number
  /** Requests or messages that it has answered since its start. */
  answered(): Promise<number>
  stop(): Promise<void>
}

export type BackendAsk = { readonly type: 'start' } | { readonly type: 'count' }
export type BackendAnswer =
  | { readonly type: 'started'; readonly port: number }
  | { readonly type: 'counted'; readonly answered: number }

/** Starts a program beside this file, which is asked as {@link BackendAsk} says. */
export async function startChildBackend(program: string, directory: string, core: number): Promise<CountingBackend> {
  const child: Child<BackendAsk, BackendAnswer> = await startChild(join(import.meta.dirname, program), {
    cores: [core],
    logFile: join(directory, `${program}.log`),
  })
  const { port } = await child.ask({ type: 'start' }, 'started')
  return {
    port,
    answered: async () => (await child.ask({ type: 'count' }, 'counted')).answered,
    stop: child.kill,
  }
}
