import { randomBytes } from 'node:crypto'
import { chmod, link, mkdir, open, stat, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { FileError, readFileCapped } from '../../runtime/atomic-file.ts'

/**
 * Where an authority keeps its keys. Entries are written once and never changed, so two operators that start at the same
 * moment end with one root: the second is given what the first wrote.
 */
export interface CaStore {
  /** The entry's content; undefined when there is none. */
  read(name: string): Promise<string | undefined>
  /** Writes the entry unless it is there already, and returns what is there now. */
  create(name: string, content: string): Promise<string>
}

/** The keys are where others can read them; what is there is not ours; or the machine failed. */
export class CaStoreError extends Error {
  override readonly name = 'CaStoreError'
  readonly code: 'exposed' | 'foreign' | 'io'

  constructor(code: 'exposed' | 'foreign' | 'io', message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause })
    this.code = code
  }
}

/** Bytes of an entry at most: a key and a certificate have 1,500. */
const MAX_ENTRY_BYTES = 65_536

/** Bits that say that someone other than the owner may read, write or enter. */
const OTHERS = 0o077

/** A directory (0700, made here if need be) with one file (0600) an entry. A file that others could read is refused. */
export function createFileCaStore(directory: string): CaStore {
  async function read(name: string): Promise<string | undefined> {
    const path = join(directory, name)
    try {
      const { mode } = await stat(path)
      if ((mode & OTHERS) !== 0) throw new CaStoreError('exposed', `${path} can be read by others: run chmod 600 on it`)
      return (await readFileCapped(path, MAX_ENTRY_BYTES)).toString('utf8')
    } catch (cause) {
      if (cause instanceof CaStoreError) throw cause
      if (isSystemError(cause, 'ENOENT') || (cause instanceof FileError && cause.code === 'missing')) return undefined
      throw new CaStoreError('io', `cannot read ${path}`, cause)
    }
  }

  return {
    read,
    async create(name, content) {
      const path = join(directory, name)
      const temporary = join(directory, `.${randomBytes(9).toString('hex')}.tmp`)
      try {
        await mkdir(directory, { recursive: true, mode: 0o700 })
        await chmod(directory, 0o700)
        await writeSynced(temporary, content)
        // Not rename, which replaces: a link is made whole or, where the name is taken, not at all.
        await link(temporary, path)
        await syncDirectory(directory)
        return content
      } catch (cause) {
        if (!isSystemError(cause, 'EEXIST')) throw new CaStoreError('io', `cannot write ${path}`, cause)
      } finally {
        await unlink(temporary).catch(() => {})
      }
      const winner = await read(name)
      if (winner === undefined) throw new CaStoreError('io', `${path} was removed while it was read`)
      return winner
    },
  }
}

async function writeSynced(path: string, content: string): Promise<void> {
  const file = await open(path, 'wx', 0o600)
  try {
    await file.writeFile(content)
    await file.sync()
  } finally {
    await file.close()
  }
}

async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r')
  try {
    await directory.sync()
  } finally {
    await directory.close()
  }
}

function isSystemError(error: unknown, code: string): boolean {
  return error instanceof Error && (error as NodeJS.ErrnoException).code === code
}
