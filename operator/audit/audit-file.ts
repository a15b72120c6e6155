import { createHash } from 'node:crypto'
import { mkdir, open, rename, rm, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { AuditStore, AuditTail, CutRecord } from './audit-log.ts'
import { type ChainEnd, endWith } from './record.ts'
import { readRecord } from './verify.ts'

/** Bytes of one file (of what is written at once, a file holds all or nothing), and files that are kept: the oldest goes when there is one more. */
export const MAX_FILE_BYTES = 16_777_216
export const MAX_FILES = 8

export interface AuditFileOptions {
  /** Made if need be, 0600, in a directory that is 0700. */
  readonly path: string
  readonly maxBytes?: number
  readonly maxFiles?: number
}

/** Bytes at the end of a file in which its last records are: one has a bound, and is far smaller. */
const TAIL_BYTES = 1_048_576

const NEWLINE = 0x0a

/**
 * A file to append to. What was written before stays as it is: at `maxBytes` the file becomes `PATH.1`, the one before it `PATH.2`,
 * and so on, and the chain goes through all of them. A write that fails half way is taken back.
 */
export function auditFile({ path, maxBytes = MAX_FILE_BYTES, maxFiles = MAX_FILES }: AuditFileOptions): AuditStore {
  const rotate = async (): Promise<void> => {
    await rm(`${path}.${maxFiles - 1}`, { force: true })
    for (let i = maxFiles - 2; i >= 1; i--) await renameIfThere(`${path}.${i}`, `${path}.${i + 1}`)
    await renameIfThere(path, `${path}.1`)
  }

  /** What comes next stands behind half a line. */
  let needsNewline = false

  return {
    async open() {
      await mkdir(dirname(path), { recursive: true, mode: 0o700 })
      const tail = await tailOf(path)
      needsNewline = tail.needsNewline
      const end = tail.end ?? (await tailOf(`${path}.1`)).end
      return { end, ...(tail.cut && { cut: tail.cut }) }
    },
    async append(lines) {
      const bytes = Buffer.from(lines)
      const before = await sizeOf(path)
      const isFull = before > 0 && before + bytes.length > maxBytes
      if (isFull) await rotate()
      // One write, so that half a line is never parted from the record that tells of it.
      await appendTo(path, needsNewline && !isFull ? Buffer.concat([Buffer.of(NEWLINE), bytes]) : bytes)
      needsNewline = false
    },
  }
}

async function appendTo(path: string, bytes: Buffer): Promise<void> {
  const file = await open(path, 'a', 0o600)
  try {
    const { size } = await file.stat()
    try {
      await file.appendFile(bytes)
      await file.datasync()
    } catch (error) {
      await file.truncate(size)
      throw error
    }
  } finally {
    await file.close()
  }
}

interface Tail extends AuditTail {
  readonly needsNewline: boolean
}

/** What stands behind the last whole record was cut, once or more often. */
async function tailOf(path: string): Promise<Tail> {
  const bytes = await lastBytes(path)
  const needsNewline = bytes.length > 0 && bytes.at(-1) !== NEWLINE
  const text = needsNewline ? bytes : bytes.subarray(0, -1)
  for (let until = text.length; until > 0; ) {
    const from = text.lastIndexOf(NEWLINE, until - 1) + 1
    const end = endOf(text.subarray(from, until).toString())
    if (end !== undefined) return { end, ...cutOf(text.subarray(until + 1)), needsNewline }
    until = from - 1
  }
  return { end: undefined, ...cutOf(text), needsNewline }
}

function cutOf(bytes: Buffer): { readonly cut?: CutRecord } {
  if (bytes.length === 0) return {}
  return { cut: { bytes: bytes.length, sha256: createHash('sha256').update(bytes).digest('hex') } }
}

function endOf(line: string): ChainEnd | undefined {
  const record = readRecord(line)
  return record === undefined || record === 'unreadable' ? undefined : endWith(record)
}

async function lastBytes(path: string): Promise<Buffer> {
  const size = await sizeOf(path)
  if (size === 0) return Buffer.alloc(0)
  const file = await open(path)
  try {
    const length = Math.min(size, TAIL_BYTES)
    const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, size - length)
    return buffer.subarray(0, bytesRead)
  } finally {
    await file.close()
  }
}

async function sizeOf(path: string): Promise<number> {
  try {
    return (await stat(path)).size
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return 0
    throw error
  }
}

async function renameIfThere(from: string, to: string): Promise<void> {
  await rename(from, to).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error
  })
}
