import { createHash, randomBytes } from 'node:crypto'
import { chmod, mkdir, readdir, rename, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { parseSpiffeId, type SpiffeId } from '../../model/spiffe-id.ts'
import { parseWorkloadId, type WorkloadId } from '../../model/workload-id.ts'
import { FileError, readFileCapped, writeFileAtomic } from '../../runtime/atomic-file.ts'
import type { Clock } from '../../runtime/clock.ts'

/** Whom a join token lets in. */
export interface JoinClaim {
  readonly workload: WorkloadId
  readonly spiffeId: SpiffeId
}

/**
 * Join tokens of the local mesh: each lets one workload ask once, within 60 s, for its first certificate.
 *
 * Who makes them (`hauberk dev`) and who takes them (the operator) are two processes that share a directory (0700). In it
 * a token is a file (0600) named by its SHA-256 and holding the claim and the end of its life: the token itself is
 * nowhere but with the workload it was made for. Whoever renames the file away has the token, so that of any number of
 * takers one wins. A file is found by the hash of what was sent: 256 random bits leave nothing to learn from timing.
 */
export interface JoinTokens {
  /** Makes a token (43 characters of base64url). Hand it over in a 0600 file, never by argument or environment. */
  mint(claim: JoinClaim): Promise<string>
  /** Takes a token: its claim the first time within its life; undefined ever after, and for anything else. */
  redeem(token: string): Promise<JoinClaim | undefined>
}

/** Tokens that nobody has taken yet are this many at most; minting more fails. */
export const MAX_OUTSTANDING_TOKENS = 1_024

export const JOIN_TOKEN_LIFETIME_MS = 60_000

/** Too many tokens were made and not taken. */
export class JoinTokensExhaustedError extends Error {
  override readonly name = 'JoinTokensExhaustedError'
  readonly code = 'exhausted'
}

const TOKEN = /^[A-Za-z0-9_-]{43}$/
const ENTRY_NAME = /^[0-9a-f]{64}$/
const MAX_ENTRY_BYTES = 8_192

export function createJoinTokens(directory: string, clock: Pick<Clock, 'now'>): JoinTokens {
  return {
    async mint(claim) {
      await mkdir(directory, { recursive: true, mode: 0o700 })
      await chmod(directory, 0o700)
      if ((await sweep(directory, clock.now())) >= MAX_OUTSTANDING_TOKENS) {
        throw new JoinTokensExhaustedError(`${MAX_OUTSTANDING_TOKENS} join tokens are outstanding`)
      }
      const token = randomBytes(32).toString('base64url')
      const entry = { ...claim, expiresAtMs: clock.now() + JOIN_TOKEN_LIFETIME_MS }
      await writeFileAtomic(join(directory, nameOfEntry(token)), JSON.stringify(entry), 0o600)
      return token
    },
    async redeem(token) {
      if (!TOKEN.test(token)) return undefined
      const taken = join(directory, `.${randomBytes(9).toString('hex')}.taken`)
      try {
        await rename(join(directory, nameOfEntry(token)), taken)
      } catch (cause) {
        if (isMissing(cause)) return undefined
        throw cause
      }
      try {
        return await readEntry(taken, clock.now())
      } finally {
        await unlink(taken)
      }
    },
  }
}

function nameOfEntry(token: string): string {
  return createHash('sha256').update(token).digest('hex')
}

/** Removes what has expired and returns how many are left. */
async function sweep(directory: string, nowMs: number): Promise<number> {
  let left = 0
  for (const name of await readdir(directory)) {
    if (!ENTRY_NAME.test(name)) continue
    const path = join(directory, name)
    if ((await readEntry(path, nowMs)) === undefined) await unlink(path).catch(() => {})
    else left += 1
  }
  return left
}

/** Undefined when it is gone, expired, or not what `mint` writes. */
async function readEntry(path: string, nowMs: number): Promise<JoinClaim | undefined> {
  let text: string
  try {
    text = (await readFileCapped(path, MAX_ENTRY_BYTES)).toString('utf8')
  } catch (cause) {
    if (cause instanceof FileError && cause.code !== 'io') return undefined
    throw cause
  }
  const entry = parseEntry(text)
  if (entry === undefined || entry.expiresAtMs <= nowMs) return undefined
  // A clock that was set back must not give a token a longer life than it was made with.
  if (entry.expiresAtMs > nowMs + JOIN_TOKEN_LIFETIME_MS) return undefined
  return { workload: entry.workload, spiffeId: entry.spiffeId }
}

function parseEntry(text: string): (JoinClaim & { readonly expiresAtMs: number }) | undefined {
  let parsed: unknown
  try {
    parsed = JSON.parse(text)
  } catch {
    return undefined
  }
  if (typeof parsed !== 'object' || parsed === null) return undefined
  const { workload, spiffeId, expiresAtMs } = parsed as Record<string, unknown>
  if (typeof workload !== 'string' || typeof spiffeId !== 'string' || typeof expiresAtMs !== 'number') return undefined
  const workloadId = parseWorkloadId(workload)
  const id = parseSpiffeId(spiffeId)
  if (!workloadId.ok || !id.ok) return undefined
  return { workload: workloadId.value, spiffeId: id.value, expiresAtMs }
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && (error as NodeJS.ErrnoException).code === 'ENOENT'
}
