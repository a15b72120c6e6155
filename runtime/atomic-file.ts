import { randomBytes } from 'node:crypto'
import { constants } from 'node:fs'
import { type FileHandle, open, rename, unlink } from 'node:fs/promises'
import { dirname, join } from 'node:path'

/** Why a file could not be read or written. */
export type FileErrorCode = 'missing' | 'too-large' | 'not-a-file' | 'io'

/** A file failed us. */
export class FileError extends Error {
  readonly code: FileErrorCode

  constructor(code: FileErrorCode, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause })
    this.name = 'FileError'
    this.code = code
  }
}

/**
 * Writes a file so that a reader sees the old content or the new, never a part, and a crash leaves one of the two: a
 * temporary file beside it, synced, renamed over it, and the directory synced. `mode` defaults to 0600; the process's
 * umask does not widen or narrow it.
 */
export async function writeFileAtomic(path: string, content: string | Uint8Array, mode = 0o600): Promise<void> {
  const temporary = join(dirname(path), `.${randomBytes(9).toString('hex')}.tmp`)
  let renamed = false
  try {
    const file = await open(temporary, 'wx', mode)
    try {
      await file.chmod(mode)
      await file.writeFile(content)
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(temporary, path)
    renamed = true
    await syncDirectory(dirname(path))
  } catch (cause) {
    if (!renamed) await unlink(temporary).catch(() => {})
    throw new FileError(systemCode(cause) === 'ENOENT' ? 'missing' : 'io', `cannot write ${path}`, cause)
  }
}

/**
 * The content of a regular file of at most `maxBytes`; a file that grows beyond while it is read is refused as well, and
 * so are directories, pipes and devices.
 */
export async function readFileCapped(path: string, maxBytes: number): Promise<Buffer> {
  let file: FileHandle
  try {
    // Without O_NONBLOCK, opening a pipe that nobody writes to would wait for ever.
    file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK)
  } catch (cause) {
    throw new FileError(systemCode(cause) === 'ENOENT' ? 'missing' : 'io', `cannot open ${path}`, cause)
  }
  try {
    const stat = await file.stat()
    if (!stat.isFile()) throw new FileError('not-a-file', `${path} is not a regular file`)
    if (stat.size > maxBytes) throw new FileError('too-large', `${path} has more than ${maxBytes} bytes`)
    return await readUpTo(file, path, Math.max(stat.size, SMALL), maxBytes)
  } catch (cause) {
    throw cause instanceof FileError ? cause : new FileError('io', `cannot read ${path}`, cause)
  } finally {
    await file.close()
  }
}

/** Files under /proc say they are empty and are not, hence no trust in the size. */
async function readUpTo(file: FileHandle, path: string, sizeHint: number, maxBytes: number): Promise<Buffer> {
  const chunks: Buffer[] = []
  let total = 0
  for (;;) {
    const buffer = Buffer.allocUnsafe(Math.min(sizeHint, maxBytes - total) + 1)
    const { bytesRead } = await file.read(buffer, 0, buffer.length, null)
    if (bytesRead === 0) return Buffer.concat(chunks, total)
    total += bytesRead
    if (total > maxBytes) throw new FileError('too-large', `${path} has more than ${maxBytes} bytes`)
    chunks.push(buffer.subarray(0, bytesRead))
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

function systemCode(error: unknown): unknown {
  return error instanceof Error ? (error as NodeJS.ErrnoException).code : undefined
}

const SMALL = 4_096
