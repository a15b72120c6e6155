/** Milliseconds that a child has to end in order once its parent is gone. The next mesh may be waiting for its ports. */
const ORPHAN_MS = 2_000

/** What ends a process that another one started. */
export interface EndSignalOptions {
  /** Whether the end of the parent, seen as the end of the IPC channel to it, is the end of this process too. */
  readonly exitWithParent: boolean
}

/**
 * Aborts when the process is told to end: by SIGTERM, SIGINT or SIGHUP, or by the death of its parent. An orphan has
 * two seconds, then it ends whatever it is doing.
 */
export function endSignal({ exitWithParent }: EndSignalOptions): AbortSignal {
  const end = new AbortController()
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.once(signal, () => end.abort())
  if (exitWithParent && process.channel !== undefined) {
    process.once('disconnect', () => {
      end.abort()
      setTimeout(() => process.exit(1), ORPHAN_MS).unref()
    })
    // It may be gone before anybody listened.
    if (!process.connected) end.abort()
  }
  return end.signal
}

/** Ends the process with the exit code that comes, whatever is still open, or with 1 for what could not work. */
export async function exitWith(ending: Promise<number>): Promise<never> {
  try {
    process.exit(await ending)
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : error}\n`)
    process.exit(1)
  }
}
