import { createReadStream } from 'node:fs'
import { appendFile, mkdir, open, rename, rm, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { createInterface } from 'node:readline'
import type { AuditSink } from './audit-log.ts'
import { type ChainEnd, GENESIS } from './record.ts'
import { readRecord } from './verify.ts'

/** Bytes of one file (of what is written at once, a file holds all or nothing), and files that are kept: the oldest goes when there is one more. */
export const MAX_FILE_BYTES = 8_388_608
export const MAX_FILES = 8

export interface AuditFile {
  readonly sink: AuditSink
  /** Of what is there already; the chain goes on. Undefined: there is nothing, or nothing that can be read. */
  readonly end: ChainEnd | undefined
}

export interface AuditFileOptions {
  /** Made if need be, 0600, in a directory that is 0700. */
  readonly path: string
  readonly maxBytes?: number
  readonly maxFiles?: number
}

/**
 * Opens a file to append to. What was written before stays as it is: at `maxBytes` the file becomes `PATH.1`, the one before it
 * `PATH.2`, and so on. A write that fails half way is taken back, so that no line is torn.
 */
export async function openAuditFile({
  path,
  maxBytes = MAX_FILE_BYTES,
  maxFiles = MAX_FILES,
}: AuditFileOptions): Promise<AuditFile> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 })
  const end = (await lastOf(path)) ?? (await lastOf(`${path}.1`))
  if (await isTorn(path)) await appendFile(path, '\n')

  const rotate = async (): Promise<void> => {
    await rm(`${path}.${maxFiles - 1}`, { force: true })
    for (let i = maxFiles - 2; i >= 1; i--) await renameIfThere(`${path}.${i}`, `${path}.${i + 1}`)
    await renameIfThere(path, `${path}.1`)
  }

  return {
    end,
    sink: {
      async append(lines) {
        const bytes = Buffer.from(lines)
        const before = await sizeOf(path)
        if (before > 0 && before + bytes.length > maxBytes) await rotate()
        const file = await open(path, 'a', 0o600)
        try {
          const { size } = await file.stat()
          await file.appendFile(bytes).catch(async (error: unknown) => {
            await file.truncate(size)
            throw error
          })
        } finally {
          await file.close()
        }
      },
    },
  }
}

/** The end of the chain that the last record of a file is of. */
async function lastOf(path: string): Promise<ChainEnd | undefined> {
  if ((await sizeOf(path)) === 0) return undefined
  let last: ChainEnd | undefined
  for await (const line of createInterface({ input: createReadStream(path), crlfDelay: Number.POSITIVE_INFINITY })) {
    const record = readRecord(line)
    if (record === undefined || record === 'unreadable') continue
    last = {
      chain: record['hauberk.audit.chain'],
      sequence: record['event.sequence'],
      hash: record['event.hash'],
    }
  }
  return last
}

/** A chain that begins now. */
export function newChain(name: string, nowMs: number): ChainEnd {
  return { chain: `${name}@${new Date(nowMs).toISOString()}`, sequence: 0, hash: GENESIS }
}

/** A process that was killed, or a machine without power, may have left half a line: what comes next is none of it. */
async function isTorn(path: string): Promise<boolean> {
  const size = await sizeOf(path)
  if (size === 0) return false
  const file = await open(path)
  try {
    const { buffer } = await file.read(Buffer.alloc(1), 0, 1, size - 1)
    return buffer[0] !== 0x0a
  } finally {
    await file.close()
  }
}

async function sizeOf(path: string): Promise<number> {
  return stat(path).then(
    ({ size }) => size,
    () => 0,
  )
}

async function renameIfThere(from: string, to: string): Promise<void> {
  await rename(from, to).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error
  })
}
