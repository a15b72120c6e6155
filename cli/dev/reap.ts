import { isRunning, markOf, type ProcessMark, signalGroup, startTimeOf } from './process-tree.ts'

/** What the reaper is told over its IPC channel: the process groups that are to end when its starter does. */
export type ReaperMessage =
  | { readonly type: 'watch'; readonly pid: number; readonly signal: NodeJS.Signals }
  | { readonly type: 'forget'; readonly pid: number }

/** Milliseconds that a group has to end by the signal it was watched with. */
const GRACE_MS = 3_000
const POLL_MS = 50

/**
 * Waits until the IPC channel to its starter closes, then ends every process group that it was told to watch and not
 * told to forget: with that group's signal first, and by force where that does not help.
 *
 * It says `ready` once nothing but that ends it. It is how an app, which knows nothing of `hauberk`, ends although `hauberk dev` was killed.
 */
export async function reap(channel: NodeJS.Process): Promise<void> {
  const watched = new Map<number, { readonly mark: ProcessMark; readonly signal: NodeJS.Signals }>()
  // It must outlive whoever started it.
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) channel.on(signal, () => {})
  channel.on('message', (message: ReaperMessage) => {
    if (message.type === 'forget') watched.delete(message.pid)
    else watched.set(message.pid, { mark: markOf(message.pid), signal: message.signal })
  })
  await new Promise<void>((resolve) => {
    channel.once('disconnect', () => resolve())
    channel.send?.('ready')
    if (!channel.connected) resolve()
  })
  for (const [pid, { signal }] of watched) signalGroup(pid, signal)
  const deadline = performance.now() + GRACE_MS
  while (performance.now() < deadline && [...watched.values()].some(({ mark }) => isRunning(mark))) {
    await new Promise((resolve) => setTimeout(resolve, POLL_MS))
  }
  for (const [pid, { mark }] of watched) {
    // A number that another process has by now is no group of ours.
    const startTime = startTimeOf(pid)
    if (startTime === undefined || startTime === mark.startTime) signalGroup(pid, 'SIGKILL')
  }
}
