import { randomBytes } from 'node:crypto'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { FileError, readFileCapped, writeFileAtomic } from '../../runtime/atomic-file.ts'

/** Characters of a token that this made: 256 bits in base64url. */
const TOKEN = /^[A-Za-z0-9_-]{43}$/

/**
 * The token of the admin port, made when there is none: loopback is no boundary against the app, which shares it. It lies
 * in the volume that only the sidecar mounts (0600), for whoever may execute programs in this container.
 */
export async function openAdminToken(stateDirectory: string): Promise<string> {
  const kept = await readAdminToken(stateDirectory)
  if (kept !== undefined) return kept
  const token = randomBytes(32).toString('base64url')
  await mkdir(stateDirectory, { recursive: true, mode: 0o700 })
  await writeFileAtomic(fileIn(stateDirectory), token, 0o600)
  return token
}

/** Undefined when there is none, or something else. */
export async function readAdminToken(stateDirectory: string): Promise<string | undefined> {
  try {
    const token = (await readFileCapped(fileIn(stateDirectory), 1_024)).toString('utf8').trim()
    return TOKEN.test(token) ? token : undefined
  } catch (error) {
    if (error instanceof FileError) return undefined
    throw error
  }
}

function fileIn(stateDirectory: string): string {
  return join(stateDirectory, 'admin-token')
}
