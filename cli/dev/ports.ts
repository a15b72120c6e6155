import { readFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:net'
import { writeFileAtomic } from '../../runtime/atomic-file.ts'

/** The first port that is given out. All are below what systems use for outgoing connections (from 32768). */
const FIRST_PORT = 20_000
const BLOCKS = 100
/** Ports of a block; the first of them says that the block is taken. */
const BLOCK_SIZE = 100

/** Free ports of loopback, each for a purpose of its own and the same one at the next start. */
export interface PortBook {
  /** The port for a purpose. The one of before, unless somebody else listens there by now. */
  take(purpose: string): Promise<number>
  /** Writes down what was taken. Purposes that were not asked for this time are forgotten. */
  save(): Promise<void>
  /** Lets other meshes have the rest of the blocks. */
  close(): Promise<void>
}

/** There is no port left. */
export class NoFreePortError extends Error {
  override readonly name = 'NoFreePortError'
}

/**
 * Ports are given out of blocks of 100, and whoever has a block listens on its first port. So two meshes that start at
 * the same time never choose the same port, although nobody listens on it yet.
 */
export async function openPortBook(file: string): Promise<PortBook> {
  const before = await readBook(file)
  const guards = new Map<number, Server>()
  for (const block of before.blocks) {
    const guard = await listenOn(FIRST_PORT + block * BLOCK_SIZE)
    if (guard !== undefined) guards.set(block, guard)
  }
  const known = new Map(Object.entries(before.ports).filter(([, port]) => guards.has(blockOf(port))))
  const taken = new Map<string, number>()
  const inUse = new Set(known.values())
  let work: Promise<unknown> = Promise.resolve()

  const choose = async (purpose: string): Promise<number> => {
    const again = taken.get(purpose)
    if (again !== undefined) return again
    const earlier = known.get(purpose)
    const port = earlier !== undefined && (await isFree(earlier)) ? earlier : await next()
    inUse.add(port)
    taken.set(purpose, port)
    return port
  }
  const next = async (): Promise<number> => {
    for (;;) {
      for (const block of guards.keys()) {
        const first = FIRST_PORT + block * BLOCK_SIZE
        for (let port = first + 1; port < first + BLOCK_SIZE; port++) {
          if (!inUse.has(port) && (await isFree(port))) return port
        }
      }
      const [block, guard] = await takeBlock(guards)
      guards.set(block, guard)
    }
  }

  return {
    take(purpose) {
      const port = work.then(() => choose(purpose))
      work = port.catch(() => {})
      return port
    },
    save: () => writeFileAtomic(file, JSON.stringify({ blocks: [...guards.keys()], ports: Object.fromEntries(taken) })),
    async close() {
      await Promise.all([...guards.values()].map((guard) => new Promise((closed) => guard.close(closed))))
      guards.clear()
    },
  }
}

/** Whether nobody listens on a port of loopback, and we may. */
export async function isFree(port: number): Promise<boolean> {
  return (await whyNotFree(port)) === undefined
}

/** Why a port of loopback cannot be listened on: `EADDRINUSE`, `EACCES`; undefined when it can. */
export async function whyNotFree(port: number): Promise<string | undefined> {
  const server = await tryListen(port)
  if (typeof server === 'string') return server
  await new Promise((closed) => server.close(closed))
  return undefined
}

async function takeBlock(guards: ReadonlyMap<number, Server>): Promise<readonly [number, Server]> {
  // From a random one on, so that meshes rarely ask for the same.
  const start = Math.floor(Math.random() * BLOCKS)
  for (let i = 0; i < BLOCKS; i++) {
    const block = (start + i) % BLOCKS
    if (guards.has(block)) continue
    const guard = await listenOn(FIRST_PORT + block * BLOCK_SIZE)
    if (guard !== undefined) return [block, guard]
  }
  throw new NoFreePortError(
    `there are no free ports from ${FIRST_PORT} to ${FIRST_PORT + BLOCKS * BLOCK_SIZE - 1} on 127.0.0.1`,
  )
}

function blockOf(port: number): number {
  return Math.floor((port - FIRST_PORT) / BLOCK_SIZE)
}

/** Undefined: the port is taken, or not ours to take. */
async function listenOn(port: number): Promise<Server | undefined> {
  const server = await tryListen(port)
  return typeof server === 'string' ? undefined : server
}

function tryListen(port: number): Promise<Server | string> {
  return new Promise((resolve) => {
    const server = createServer((socket) => socket.destroy())
    server.unref()
    server.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message))
    server.listen({ host: '127.0.0.1', port, exclusive: true }, () => resolve(server))
  })
}

interface WrittenBook {
  readonly blocks: readonly number[]
  readonly ports: Readonly<Record<string, number>>
}

/** What cannot be read is as if it had never been written: ports are chosen anew. */
async function readBook(file: string): Promise<WrittenBook> {
  try {
    const { blocks, ports } = JSON.parse(await readFile(file, 'utf8')) as Partial<WrittenBook>
    if (!Array.isArray(blocks) || typeof ports !== 'object' || ports === null) return { blocks: [], ports: {} }
    return {
      blocks: blocks.filter((block) => Number.isInteger(block) && block >= 0 && block < BLOCKS),
      ports: Object.fromEntries(Object.entries(ports).filter(([, port]) => Number.isInteger(port))),
    }
  } catch {
    return { blocks: [], ports: {} }
  }
}
