import { randomBytes } from 'node:crypto'
import { chmod, link, lstat, mkdir, readFile, rename, rm, unlink, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { isRunning, startTimeOf } from './process-tree.ts'

/** Where a local mesh keeps everything: keys, secrets, last good configs, logs. */
export interface StateDirectory {
  /** Absolute. */
  readonly path: string
  /** A path in it. */
  at(...segments: string[]): string
  /** Lets another mesh have it. */
  release(): Promise<void>
}

/** The directory cannot be used; the message says why, for the person who chose it. */
export class StateDirectoryError extends Error {
  override readonly name = 'StateDirectoryError'
}

const DIRECTORIES = ['join', 'logs', 'run', 'run/pods', 'secrets', 'workloads']
const LOCK = 'lock'

/**
 * Makes the directory, or takes the one that is there, and locks it for this process.
 *
 * It holds private keys: it is 0700, and neither a symbolic link nor anybody else's directory is taken for it. The lock
 * of a process that no longer runs counts for nothing.
 */
export async function openState(path: string): Promise<StateDirectory> {
  const root = resolve(path)
  await mkdir(root, { recursive: true, mode: 0o700 }).catch((cause: NodeJS.ErrnoException) => {
    throw new StateDirectoryError(`${path} cannot be made: ${cause.message}`, { cause })
  })
  const found = await lstat(root)
  if (!found.isDirectory()) throw new StateDirectoryError(`${path} is not a directory (a symbolic link is none either)`)
  if (process.getuid !== undefined && found.uid !== process.getuid()) {
    throw new StateDirectoryError(`${path} belongs to another user: choose another directory with --state`)
  }
  await chmod(root, 0o700)
  await takeLock(join(root, LOCK), path)
  for (const directory of DIRECTORIES) await mkdir(join(root, directory), { recursive: true, mode: 0o700 })
  return {
    path: root,
    at: (...segments) => join(root, ...segments),
    release: () => rm(join(root, LOCK), { force: true }),
  }
}

/** A hard link is made or not made, whoever else tries at the same time; a file is written, then there. */
async function takeLock(lock: string, path: string): Promise<void> {
  const own = `${lock}.${process.pid}.${randomBytes(6).toString('hex')}`
  await writeFile(own, JSON.stringify({ pid: process.pid, startTime: startTimeOf(process.pid) }), { mode: 0o600 })
  try {
    for (;;) {
      try {
        await link(own, lock)
        return
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
      }
      const holder = await readHolder(lock)
      if (holder === undefined) continue
      if (holder.isRunning) {
        throw new StateDirectoryError(
          `${path} is in use by a mesh that runs already (process ${holder.pid}): end that one, or choose another directory with --state`,
        )
      }
      await removeStale(lock, holder.text)
    }
  } finally {
    await unlink(own)
  }
}

/** Undefined: it is gone by now. */
async function readHolder(
  lock: string,
): Promise<{ readonly pid: number; readonly isRunning: boolean; readonly text: string } | undefined> {
  let text: string
  try {
    text = await readFile(lock, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
  try {
    const { pid, startTime } = JSON.parse(text) as { pid: number; startTime?: string }
    return { pid, text, isRunning: isRunning({ pid, startTime }) }
  } catch {
    return { pid: 0, text, isRunning: false }
  }
}

/** Between the look and the removal somebody else may have removed the stale lock and taken a new one: that one goes back. */
async function removeStale(lock: string, judged: string): Promise<void> {
  const aside = `${lock}.stale.${randomBytes(6).toString('hex')}`
  try {
    await rename(lock, aside)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return
    throw error
  }
  if ((await readFile(aside, 'utf8')) !== judged) await link(aside, lock).catch(() => {})
  await unlink(aside)
}
