import { randomBytes } from 'node:crypto'
import { chmod, lstat, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { isRunning, startTimeOf } from './process-tree.ts'
import type { StateDirectory } from './state.ts'

/** Where the databases of a mesh live. */
export interface PostgresHome {
  dataDirectory(workload: string): string
  socketDirectory(workload: string): string
  /** Makes the directories above those of one workload. */
  prepare(workload: string): Promise<void>
}

const ID_FILE = 'postgres-id'
const OWNER_FILE = 'state-directory'
const NAME = /^hauberk-[0-9a-f]{24}$/
/** `sun_path` without the socket's own name. */
const MAX_SOCKET_DIRECTORY = 80

/**
 * In the state directory, but for two cases. Postgres refuses to run as root and runs as somebody else then, who may not
 * enter a directory of root's: the data is below /var/tmp. And where the path is too long for a socket, the socket is in
 * the directory for temporary files.
 *
 * Directories outside carry a random name that the state directory knows, so that removing that one starts afresh; what
 * is left of such states is removed here.
 */
export async function openPostgresHome(state: StateDirectory, workloads: readonly string[]): Promise<PostgresHome> {
  const isRoot = process.getuid?.() === 0
  const inside = (workload: string) => state.at('postgres', workload)
  const isTooLong = workloads.some((workload) => Buffer.byteLength(join(inside(workload), 's')) > MAX_SOCKET_DIRECTORY)
  if (!isRoot && !isTooLong) {
    return {
      dataDirectory: (workload) => join(inside(workload), 'data'),
      socketDirectory: (workload) => join(inside(workload), 's'),
      prepare: async (workload) => void (await mkdir(inside(workload), { recursive: true, mode: 0o700 })),
    }
  }
  const parent = isRoot ? '/var/tmp' : tmpdir()
  const outside = join(parent, `hauberk-${await ownId(state)}`)
  const data = isRoot ? (workload: string) => join(outside, workload) : inside
  return {
    dataDirectory: (workload) => join(data(workload), 'data'),
    socketDirectory: (workload) => join(outside, workload, 's'),
    async prepare(workload) {
      const mode = isRoot ? 0o711 : 0o700
      await removeAbandoned(parent)
      await makeOutside(outside, state, mode)
      for (const directory of new Set([join(outside, workload), data(workload)])) {
        await mkdir(directory, { recursive: true, mode })
        await chmod(directory, mode)
      }
    },
  }
}

async function ownId(state: StateDirectory): Promise<string> {
  const file = state.at(ID_FILE)
  const known = (await readFile(file, 'utf8').catch(() => '')).trim()
  if (NAME.test(`hauberk-${known}`)) return known
  const id = randomBytes(12).toString('hex')
  await writeFile(file, id, { mode: 0o600 })
  return id
}

async function makeOutside(outside: string, state: StateDirectory, mode: number): Promise<void> {
  await mkdir(outside, { mode }).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST') throw error
  })
  // Anybody may write to the directory above: this must be the one that we made.
  const { uid } = await lstat(outside).then((found) => (found.isDirectory() ? found : { uid: -1 }))
  if (uid !== process.getuid?.()) throw new Error(`${outside} is not a directory of this user`)
  await chmod(outside, mode)
  await writeFile(join(outside, OWNER_FILE), state.path, { mode: 0o600 })
}

/** Directories whose state directory was removed, or knows nothing of them. */
async function removeAbandoned(parent: string): Promise<void> {
  for (const name of (await readdir(parent)).filter((each) => NAME.test(each))) {
    const path = join(parent, name)
    try {
      const found = await lstat(path)
      if (!found.isDirectory() || found.uid !== process.getuid?.()) continue
      const owner = await readFile(join(path, OWNER_FILE), 'utf8')
      const id = await readFile(join(owner, ID_FILE), 'utf8').catch(() => '')
      if (name === `hauberk-${id.trim()}` || (await isInUse(path))) continue
      await rm(path, { recursive: true, force: true })
    } catch {
      // Somebody else's, half made, or being removed: nothing that has to be done now.
    }
  }
}

/** Whether a server still runs on any of the data. */
async function isInUse(path: string): Promise<boolean> {
  for (const workload of await readdir(path)) {
    const pid = Number.parseInt(
      await readFile(join(path, workload, 'data', 'postmaster.pid'), 'utf8').catch(() => ''),
      10,
    )
    if (pid > 0 && isRunning({ pid, startTime: startTimeOf(pid) })) return true
  }
  return false
}
