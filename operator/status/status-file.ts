import { writeFileAtomic } from '../../runtime/atomic-file.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { Log } from '../../runtime/log.ts'

/** Keeps a file on the newest statuses: what `kubectl get` shows on a cluster. */
export interface StatusFile {
  /** Something may have changed. Written a moment later, and only when it did. */
  touch(): void
  close(): void
}

/** Milliseconds that changes are gathered: a push is acknowledged by many sidecars at nearly the same time. */
const GATHER_MS = 100

export function createStatusFile(path: string, statuses: () => unknown, clock: Clock, log: Log): StatusFile {
  let written: string | undefined
  let cancel: (() => void) | undefined
  let work = Promise.resolve()
  const write = () => {
    cancel = undefined
    const text = JSON.stringify(statuses(), undefined, 2)
    if (text === written) return
    written = text
    work = work
      .then(() => writeFileAtomic(path, `${text}\n`))
      .catch((err: unknown) => log.warn('the status file could not be written', { err }))
  }
  return {
    touch() {
      cancel ??= clock.setTimer(GATHER_MS, write, { keepAlive: false })
    },
    close: () => cancel?.(),
  }
}
