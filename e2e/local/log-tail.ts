import { open, readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { StringDecoder } from 'node:string_decoder'

/** How often the files are looked at. */
const EVERY_MS = 25
const CHUNK_BYTES = 65_536

interface Tail {
  offset: number
  readonly inode: number
  rest: string
  readonly decoder: StringDecoder
}

/**
 * Reads the lines that are added to the log files of a directory, those of files that come later too. What was there
 * before is skipped unless `fromStart`.
 */
export function followLogs(
  directory: string,
  onLine: (line: string, file: string) => void,
  { fromStart = false }: { readonly fromStart?: boolean } = {},
): { stop(): Promise<void> } {
  const tails = new Map<string, Tail>()
  const stopping = new AbortController()
  let isFirst = !fromStart

  const look = async (name: string): Promise<void> => {
    const path = join(directory, name)
    const { size, ino } = await stat(path)
    const known = tails.get(name)
    if (known?.inode === ino) return readOn(path, name, known)
    // A file that became another one was rotated: what was added to the old one since the last look comes first.
    if (known !== undefined && (await inodeOf(`${path}.1`)) === known.inode) await readOn(`${path}.1`, name, known)
    const tail = { offset: isFirst ? size : 0, inode: ino, rest: '', decoder: new StringDecoder('utf8') }
    tails.set(name, tail)
    await readOn(path, name, tail)
  }
  const readOn = async (path: string, name: string, tail: Tail): Promise<void> => {
    const file = await open(path)
    try {
      const buffer = Buffer.alloc(CHUNK_BYTES)
      for (;;) {
        const { bytesRead } = await file.read(buffer, 0, buffer.length, tail.offset)
        if (bytesRead === 0) return
        tail.offset += bytesRead
        const lines = (tail.rest + tail.decoder.write(buffer.subarray(0, bytesRead))).split('\n')
        tail.rest = lines.pop() ?? ''
        for (const line of lines) onLine(line, name)
      }
    } finally {
      await file.close()
    }
  }
  const loop = (async () => {
    while (!stopping.signal.aborted) {
      const names = (await readdir(directory).catch(() => [])).filter((name) => name.endsWith('.log'))
      for (const name of names) await look(name).catch(ignoreMissing)
      isFirst = false
      await new Promise((resolve) => setTimeout(resolve, EVERY_MS))
    }
  })()
  return {
    async stop() {
      stopping.abort()
      await loop
    },
  }
}

async function inodeOf(path: string): Promise<number | undefined> {
  return (await stat(path).catch(() => undefined))?.ino
}

function ignoreMissing(error: NodeJS.ErrnoException): void {
  if (error.code !== 'ENOENT') throw error
}
