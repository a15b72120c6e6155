import type { Command } from 'commander'
import { reap } from './dev/reap.ts'

/** `hauberk reap`: what `hauberk dev` starts so that no app outlives it, even when it is killed. */
export function defineReap(command: Command): void {
  command.action(async () => {
    await reap(process)
    process.exit(0)
  })
}
