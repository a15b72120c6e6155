import { readFile } from 'node:fs/promises'

/** How often a mounted file is read again. Small files only. */
const EVERY_MS = 500

export interface WatchedFile<T> {
  /** The newest content that could be parsed. */
  current(): T
  /** Stops looking. */
  stop(): void
}

/**
 * A mounted file that may change while the service runs, as a Secret's files do when the Secret changes.
 *
 * It is read, not watched: kubelet swaps a whole directory by a symbolic link, which file events do not show reliably.
 * Content that does not parse is reported once and changes nothing. Rejects if the first content does not parse.
 */
export async function watchFile<T>(
  path: string,
  parse: (text: string) => T,
  on: { changed?: (value: T) => void; failed: (error: unknown) => void },
): Promise<WatchedFile<T>> {
  let text = await readFile(path, 'utf8')
  let value = parse(text)
  let problem: string | undefined

  const look = async () => {
    try {
      const now = await readFile(path, 'utf8')
      if (now === text) return
      text = now
      value = parse(now)
      problem = undefined
      on.changed?.(value)
    } catch (error) {
      if (String(error) !== problem) on.failed(error)
      problem = String(error)
    }
  }
  let looking = Promise.resolve()
  const timer = setInterval(() => {
    looking = looking.then(look)
  }, EVERY_MS)
  timer.unref()
  return { current: () => value, stop: () => clearInterval(timer) }
}
