import { randomBytes } from 'node:crypto'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { FileError, readFileCapped, writeFileAtomic } from '../../runtime/atomic-file.ts'
import { createBackoff } from '../../runtime/backoff.ts'
import { type Clock, sleep } from '../../runtime/clock.ts'
import type { Log } from '../../runtime/log.ts'
import type { Identity } from '../identity/identity.ts'
import type { IdentityStore } from '../identity/identity-store.ts'
import { KEYSTORE_FILES } from './files.ts'

/** Where an app finds the identity of its workload, as Java reads it. */
export interface KeystorePlace {
  /** A folder that the app's containers mount. On Kubernetes it is memory. */
  readonly directory: string
  /** Of the files. In a pod the app is another user, and whoever mounts the volume may read it. */
  readonly mode: number
}

/** What key and certificates are called in the keystore. */
export const IDENTITY_ALIAS = 'identity'

export interface KeystoresOptions {
  readonly place: KeystorePlace
  /** Keeps the password over a restart: files that an app has open with it stay readable. Only the sidecar has it. */
  readonly stateDirectory: string
  readonly clock: Clock
  /** Uniform in [0, 1). */
  readonly random: () => number
  readonly log: Log
  readonly signal: AbortSignal
  /** All files are there and as they should be; each time. Where they cannot be written later on, the old ones stay. */
  readonly onWritten: () => void
}

const RETRY = { baseMs: 500, maxMs: 30_000, minMs: 250 } as const

/**
 * Writes the identity into PKCS#12 files, now and after each renewal, and the roots to trust whenever they change. Resolves
 * when the signal aborts.
 *
 * Each file is replaced whole, and the password stays the same for as long as the state does: a reader finds an old file or
 * a new one, and any of them opens.
 */
export async function keepKeystores(store: IdentityStore, options: KeystoresOptions): Promise<void> {
  const { clock, random, log, signal, onWritten } = options
  const backoff = createBackoff({ ...RETRY, random })
  let changed = Promise.withResolvers<void>()
  const stop = store.onChange(() => changed.resolve())
  const end = () => changed.resolve()
  signal.addEventListener('abort', end)
  let written: Identity | undefined
  while (!signal.aborted) {
    const identity = store.current()
    changed = Promise.withResolvers<void>()
    if (signal.aborted) break
    try {
      await writeKeystores(identity, written, options)
      written = identity
      backoff.reset()
      onWritten()
      log.info('keystores written', { 'x509.not_after': new Date(identity.notAfterMs).toISOString() })
    } catch (err) {
      const waitMs = backoff.next()
      log.error('keystores not written', { err, 'event.retry_ms': Math.round(waitMs) })
      await sleep(clock, waitMs, { signal }).catch(() => {})
      continue
    }
    // What came meanwhile has resolved it already.
    await changed.promise
  }
  stop()
  signal.removeEventListener('abort', end)
}

/** Only what differs from what was written before. The keystore comes last: who finds it finds the others. */
async function writeKeystores(
  identity: Identity,
  before: Identity | undefined,
  { place: { directory, mode }, stateDirectory }: KeystoresOptions,
): Promise<void> {
  const { keystoreOf, truststoreOf } = await import('./pkcs12.ts')
  const password = await openPassword(stateDirectory)
  const write = (name: keyof typeof KEYSTORE_FILES, content: string | Uint8Array) =>
    writeFileAtomic(join(directory, KEYSTORE_FILES[name]), content, mode)
  if (before === undefined) await write('password', password)
  if (before?.trustedRoots.join() !== identity.trustedRoots.join()) {
    const roots = identity.trustBundle.map((certificate, i) => {
      return { alias: `root-${identity.trustedRoots[i]?.slice(0, 16)}`, certificate }
    })
    await write('truststore', await truststoreOf(roots, password))
  }
  if (before?.chain !== identity.chain || before.privateKey !== identity.privateKey) {
    const { privateKey, chain } = identity
    await write('keystore', await keystoreOf({ alias: IDENTITY_ALIAS, privateKey, chain }, password))
  }
}

/** 256 bits in base64url. It is never read from the folder, where the app could have put anything. */
const PASSWORD = /^[A-Za-z0-9_-]{43}$/

async function openPassword(stateDirectory: string): Promise<string> {
  const path = join(stateDirectory, 'keystore-password')
  try {
    const kept = (await readFileCapped(path, 1_024)).toString('utf8')
    if (PASSWORD.test(kept)) return kept
  } catch (error) {
    if (!(error instanceof FileError && error.code === 'missing')) throw error
  }
  const password = randomBytes(32).toString('base64url')
  await mkdir(stateDirectory, { recursive: true, mode: 0o700 })
  await writeFileAtomic(path, password, 0o600)
  return password
}
