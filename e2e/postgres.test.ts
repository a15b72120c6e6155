import assert from 'node:assert/strict'
import { once } from 'node:events'
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, type TestContext, test } from 'node:test'
import pg from 'pg'
import { type RunningPostgres, startPostgres } from '../cli/dev/postgres.ts'
import type { FilterSlot, WorkloadConfig } from '../contract/workload-config.ts'
import { FILTERS } from '../policies/filters.ts'
import type { PostgresConfig } from '../policies/postgres/config.ts'
import { type Clock, systemClock } from '../runtime/clock.ts'
import { createManualClock } from '../runtime/manual-clock.ts'
import { testId } from '../sidecar/identity/testing/test-identity.ts'
import { until } from '../sidecar/serve/testing/until.ts'
import {
  createTestMesh,
  endpoint,
  inbound,
  LOOPBACK,
  meshUpstream,
  startPlane,
  type TestMesh,
  type TestPlane,
  workloadConfig,
} from '../sidecar/serve/testing/world.ts'

let directory: string
let postgres: RunningPostgres
let mesh: TestMesh

before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'pg-'))
  await chmod(directory, 0o755)
  mesh = await createTestMesh()
  postgres = await startPostgres({
    dataDir: join(directory, 'data'),
    socketDir: join(directory, 's'),
    user: 'owner',
    database: 'orders',
    log: () => {},
  })
  const owner = new pg.Client({ host: join(directory, 's'), user: 'owner', database: 'orders' })
  await owner.connect()
  await owner.query('CREATE ROLE orders LOGIN')
  await owner.query('CREATE ROLE reports LOGIN')
  await owner.query('CREATE DATABASE archive')
  await owner.end()
})

after(async () => {
  await postgres?.stop()
  await rm(directory, { recursive: true, force: true })
})

type Rule = PostgresConfig['grants'][number]

const ORIGIN = 'shop/orders-db@3'

function rule(name: string, words: Partial<Rule> = {}): Rule {
  const callers = [testId('orders')]
  return { name, origin: ORIGIN, callers, user: 'orders', databases: ['orders'], otherNames: 'refuse', ...words }
}

const APP = rule('app')

function config(grants: readonly Rule[], mode: FilterSlot['mode'] = 'enforce'): WorkloadConfig {
  const written: PostgresConfig = { grants: [...grants], limits: [] }
  const slot = { state: 'resolved' as const, mode, origins: [ORIGIN], config: written }
  return workloadConfig([inbound(5432, { protocol: 'tcp', routes: [], filters: { postgres: [slot] } })])
}

async function startDatabase(t: TestContext, given: WorkloadConfig, clock: Clock = systemClock): Promise<TestPlane> {
  return startPlane(t, {
    config: given,
    placement: { inbound: [{ containerPort: 5432, bind: LOOPBACK, app: { unixSocket: postgres.socketPath } }] },
    identity: await mesh.identity('orders-db'),
    filters: FILTERS,
    clock,
  })
}

/** The sidecar of a workload that connects. Returns the port that its app dials. */
async function startCaller(t: TestContext, name: string, database: TestPlane): Promise<number> {
  const upstream = 'shop/orders-db:5432'
  const service = { service: 'shop/orders-db', hosts: ['orders-db'], port: 5432, protocol: 'tcp' as const, upstream }
  const plane = await startPlane(t, {
    config: workloadConfig([], {
      upstreams: { [upstream]: meshUpstream('orders-db', 'tcp', 5432) },
      outbound: { services: [{ ...service, requestTimeoutMs: 0 }], egress: [] },
    }),
    placement: { tcp: [{ upstream, bind: LOOPBACK }] },
    identity: await mesh.identity(name),
    endpoints: { [upstream]: [endpoint(database.port('5432'))] },
    filters: FILTERS,
  })
  return plane.port(upstream)
}

type Words = pg.ClientConfig & { readonly replication?: string }

async function open(t: TestContext, port: number, words: Words = {}): Promise<pg.Client> {
  const client = new pg.Client({ host: '127.0.0.1', port, user: 'orders', database: 'orders', ...words })
  client.on('error', () => {})
  t.after(() => client.end().catch(() => {}))
  await client.connect()
  return client
}

async function whoIs(client: pg.Client): Promise<string> {
  const { rows } = await client.query('SELECT current_user AS name, current_database() AS place')
  const [{ name, place }] = rows as [{ name: string; place: string }]
  return `${name} in ${place}`
}

/** Resolves when the connection is over, however it ends. */
function endOf(client: pg.Client): Promise<void> {
  return new Promise((resolve) => client.once('end', () => resolve()))
}

function closeOf(socket: Socket): Promise<void> {
  return new Promise((resolve) => socket.once('close', () => resolve()))
}

/** Resolves once the server runs a query of that process: what comes before cancels nothing. */
async function untilRuns(watcher: pg.Client, processId: number): Promise<void> {
  const lateAt = performance.now() + 30_000
  while (performance.now() < lateAt) {
    const text = `SELECT 1 FROM pg_stat_activity WHERE pid = $1 AND state = 'active' AND query LIKE 'SELECT pg_sleep%'`
    const { rowCount } = await watcher.query(text, [processId])
    if (rowCount === 1) return
  }
  assert.fail('the query does not run')
}

/** One socket in plain, as an app has to its sidecar. */
async function dial(t: TestContext, port: number): Promise<{ readonly socket: Socket; text(): string }> {
  const socket = connect({ host: '127.0.0.1', port, allowHalfOpen: false })
  let text = ''
  socket.on('data', (chunk) => {
    text += chunk.toString('latin1')
  })
  socket.on('error', () => {})
  t.after(() => socket.destroy())
  await once(socket, 'connect')
  return { socket, text: () => text }
}

function message(code: number, ...strings: readonly string[]): Buffer {
  const body = Buffer.from(strings.map((each) => `${each}\0`).join(''), 'utf8')
  const head = Buffer.alloc(8)
  head.writeUInt32BE(8 + body.length, 0)
  head.writeUInt32BE(code, 4)
  return Buffer.concat([head, body])
}

/** A simple query. */
function query(text: string): Buffer {
  const body = Buffer.from(`${text}\0`)
  const head = Buffer.alloc(5)
  head.write('Q')
  head.writeUInt32BE(4 + body.length, 1)
  return Buffer.concat([head, body])
}

const TERMINATE = Buffer.from('X\0\0\0\x04')
const SSL_REQUEST = message(80877103)
const GSSENC_REQUEST = message(80877104)
const V3_0 = 0x3_0000
const V3_2 = 0x3_0002

test('a caller is the user that its identity is mapped to, without a password, and the record says so', async (t) => {
  const database = await startDatabase(t, config([APP]))
  const client = await open(t, await startCaller(t, 'orders', database))
  assert.equal(await whoIs(client), 'orders in orders')
  await client.end()
  await until(() => database.connections.length === 1, 'the connection is told of')
  const [record] = database.connections
  assert.equal(record?.outcome, 'allowed')
  assert.equal(record?.rule, 'app')
  assert.equal(record?.spiffeId, testId('orders'))
  assert.deepEqual(record?.database, { user: 'orders', database: 'orders' })
})

test('who asks for another user, another database or replication is told by which policy it may not', async (t) => {
  const database = await startDatabase(t, config([APP]))
  const port = await startCaller(t, 'orders', database)
  const refused = async (words: Words, code: string, text: RegExp, denial: string) => {
    const before = database.connections.length
    await assert.rejects(open(t, port, words), (error: pg.DatabaseError) => {
      assert.equal(error.code, code)
      assert.equal(error.severity, 'FATAL')
      assert.match(error.message, text)
      return true
    })
    await until(() => database.connections.length > before, 'the refusal is told of')
    const record = database.connections[before]
    assert.equal(record?.outcome, 'denied')
    assert.equal(record?.refusal?.denial, denial)
    assert.equal(record?.refusal?.filter, 'postgres')
    assert.deepEqual(record?.refusal?.origins, [ORIGIN])
  }
  const caller = `policy shop/orders-db does not let ${testId('orders')}`
  await refused({ user: 'owner' }, '28000', new RegExp(`^${caller} be user "owner"$`), 'database-user-refused')
  await refused(
    { database: 'archive' },
    '3D000',
    new RegExp(`^${caller} use database "archive" as user "orders"$`),
    'database-refused',
  )
  await refused({ replication: 'database' }, '28000', new RegExp(`^${caller} replicate$`), 'replication-refused')
  assert.equal(await whoIs(await open(t, port)), 'orders in orders')
})

test('an identity that nothing is mapped for is refused, whoever it says it is', async (t) => {
  const database = await startDatabase(t, config([APP]))
  const port = await startCaller(t, 'catalog', database)
  await assert.rejects(open(t, port), {
    code: '28000',
    message: `policy shop/orders-db does not let ${testId('catalog')} be user "orders"`,
  })
})

test('where names are replaced the client is who its identity says, whatever it asks for', async (t) => {
  const replaced = rule('reports', {
    callers: [testId('reports')],
    user: 'reports',
    databases: ['archive', 'orders'],
    otherNames: 'replace',
  })
  const database = await startDatabase(t, config([APP, replaced]))
  const port = await startCaller(t, 'reports', database)
  assert.equal(await whoIs(await open(t, port, { user: 'owner', database: 'postgres' })), 'reports in archive')
  assert.equal(await whoIs(await open(t, port, { user: 'orders', database: 'orders' })), 'reports in orders')
})

test('what a client says besides reaches the server as it was said', async (t) => {
  const database = await startDatabase(t, config([rule('app', { otherNames: 'replace' })]))
  const port = await startCaller(t, 'orders', database)
  const client = await open(t, port, { user: 'x', application_name: 'packer', options: '-c statement_timeout=4321' })
  const { rows } = await client.query(
    `SELECT current_setting('application_name') AS name, current_setting('statement_timeout') AS timeout`,
  )
  assert.deepEqual(rows, [{ name: 'packer', timeout: '4321ms' }])
})

test('who asks for TLS or GSSAPI is told no, once each, and goes on', async (t) => {
  const database = await startDatabase(t, config([APP]))
  const { socket, text } = await dial(t, await startCaller(t, 'orders', database))
  socket.write(GSSENC_REQUEST)
  await until(() => text() === 'N', 'the first answer')
  socket.write(SSL_REQUEST)
  await until(() => text() === 'NN', 'the second answer')
  socket.write(message(V3_0, 'user', 'orders', 'database', 'orders', ''))
  await until(() => text().includes('server_version'), 'a session begins')
  const strict = new pg.Client({ host: '127.0.0.1', port: socket.remotePort ?? 0, user: 'orders', ssl: true })
  await assert.rejects(strict.connect(), /does not support SSL/)
})

test('a beginning in pieces of one byte is a beginning', async (t) => {
  const database = await startDatabase(t, config([APP]))
  const { socket, text } = await dial(t, await startCaller(t, 'orders', database))
  socket.setNoDelay(true)
  for (const byte of message(V3_0, 'user', 'orders', 'database', 'orders', '')) socket.write(Buffer.of(byte))
  await until(() => text().includes('server_version'), 'a session begins')
})

test('what a client sends before it is answered reaches the server behind the beginning that the mesh wrote', async (t) => {
  const database = await startDatabase(t, config([rule('app', { otherNames: 'replace' })]))
  const { socket, text } = await dial(t, await startCaller(t, 'orders', database))
  const closed = closeOf(socket)
  const asked = `SELECT current_user || repeat('.', 3) || length('${'x'.repeat(100_000)}')`
  socket.write(
    Buffer.concat([SSL_REQUEST, message(V3_0, 'user', 'owner', 'database', 'owner', ''), query(asked), TERMINATE]),
  )
  await closed
  assert.match(text(), /^NR\0\0\0\x08\0\0\0\0[\s\S]*orders\.\.\.100000C/)
})

test('what is no beginning is refused, and the server is never asked', async (t) => {
  const database = await startDatabase(t, config([APP]))
  const port = await startCaller(t, 'orders', database)
  const cases: readonly (readonly [string, Buffer, string, RegExp])[] = [
    ['length', Buffer.from('GET / HTTP/1.1\r\n\r\n'), 'length', /C08P01/],
    ['tls', Buffer.from([0x16, 3, 1, 0, 5, 1, 0, 0, 1, 0]), 'tls', /^$/],
    ['version', message(0x2_0000, 'user', 'orders', ''), 'version', /C0A000/],
    ['two users', message(V3_0, 'user', 'orders', 'user', 'owner', ''), 'malformed', /C08P01/],
    ['twice', Buffer.concat([SSL_REQUEST, SSL_REQUEST]), 'repeated', /^N.*C08P01/s],
  ]
  for (const [name, bytes, reason, told] of cases) {
    const before = database.connections.length
    const { socket, text } = await dial(t, port)
    const closed = closeOf(socket)
    socket.write(bytes)
    await closed
    assert.match(text(), told, name)
    await until(() => database.connections.length > before, `${name} is told of`)
    const { refusal } = database.connections[before]!
    assert.deepEqual([refusal?.denial, refusal?.detail], ['database-opening', reason], name)
  }
})

test('who says half and then nothing is closed when the time of a beginning is over', async (t) => {
  const clock = createManualClock(Date.now())
  const database = await startDatabase(t, config([APP]), clock)
  const { socket, text } = await dial(t, await startCaller(t, 'orders', database))
  const closed = closeOf(socket)
  socket.write(SSL_REQUEST)
  await until(() => text() === 'N', 'it is listened to')
  socket.write(message(V3_0, 'user', 'orders', '').subarray(0, 12))
  await clock.advance(9_000)
  assert.equal(socket.destroyed, false)
  await clock.advance(1_200)
  await closed
  assert.equal(text(), 'N')
  await until(() => database.connections.length === 1, 'it is told of')
  assert.equal(database.connections[0]?.refusal?.detail, 'timeout')
})

test('a session whose policy lets it in no longer is cut, and so is one that would be somebody else', async (t) => {
  const database = await startDatabase(t, config([APP, rule('own', { callers: [testId('reports')], user: 'reports' })]))
  const orders = await open(t, await startCaller(t, 'orders', database))
  const reports = await open(t, await startCaller(t, 'reports', database), { user: 'reports' })
  const ordersEnd = endOf(orders)
  await database.swap(
    config([rule('app', { databases: ['archive'] }), rule('own', { callers: [testId('reports')], user: 'reports' })]),
  )
  await ordersEnd
  assert.equal(await whoIs(reports), 'reports in orders')
  const reportsEnd = endOf(reports)
  await database.swap(config([rule('own', { callers: [testId('reports')], otherNames: 'replace' })]))
  await reportsEnd
  await until(() => database.connections.length === 2, 'both are told of')
  assert.deepEqual(
    database.connections.map(({ outcome, refusal }) => [outcome, refusal?.denial]),
    [
      ['denied', 'database-refused'],
      ['denied', 'database-user-refused'],
    ],
  )
})

test('a session that began before anybody read how is cut when a policy wants to know', async (t) => {
  const unread = workloadConfig([inbound(5432, { protocol: 'tcp', routes: [], filters: {} })])
  const database = await startDatabase(t, unread)
  const client = await open(t, await startCaller(t, 'orders', database), { user: 'owner' })
  assert.equal(await whoIs(client), 'owner in orders')
  const ended = endOf(client)
  await database.swap(config([APP]))
  await ended
})

test('a dry run changes nothing, and says what it would have refused', async (t) => {
  const database = await startDatabase(t, config([APP], 'dry-run'))
  const port = await startCaller(t, 'orders', database)
  for (const user of ['owner', 'orders']) {
    const client = await open(t, port, { user })
    assert.equal(await whoIs(client), `${user} in orders`)
    await client.end()
  }
  await until(() => database.connections.length === 2, 'both are told of')
  assert.deepEqual(
    database.connections.map(({ outcome, wouldDeny }) => [outcome, wouldDeny?.denial]),
    [
      ['allowed', 'database-user-refused'],
      ['allowed', undefined],
    ],
  )
})

test('a dry run that becomes a policy keeps the sessions that it would have let in', async (t) => {
  const database = await startDatabase(t, config([APP], 'dry-run'))
  const port = await startCaller(t, 'orders', database)
  const owner = await open(t, port, { user: 'owner' })
  const orders = await open(t, port)
  const ended = endOf(owner)
  await database.swap(config([APP]))
  await ended
  assert.equal(await whoIs(orders), 'orders in orders')
})

test('who has a session cancels its query, and nobody else does, whatever they know', async (t) => {
  const other = rule('other', { callers: [testId('reports')], user: 'reports' })
  const database = await startDatabase(t, config([APP, other]))
  const port = await startCaller(t, 'orders', database)
  const client = await open(t, port)
  const { processID, secretKey } = client as unknown as { readonly processID: number; readonly secretKey: number }
  const cancel = Buffer.alloc(16)
  cancel.writeUInt32BE(16, 0)
  cancel.writeUInt32BE(80877102, 4)
  cancel.writeInt32BE(processID, 8)
  cancel.writeInt32BE(secretKey, 12)
  const send = async (from: number, isHasty = false) => {
    const { socket } = await dial(t, from)
    const closed = closeOf(socket)
    // Some clients are gone before they are heard, others wait for the end of the connection.
    if (isHasty) socket.end(cancel)
    else socket.write(cancel)
    await closed
  }
  const watcher = await open(t, port)
  const cancelled = assert.rejects(client.query('SELECT pg_sleep(60)'), { code: '57014' })
  await untilRuns(watcher, processID)
  await send(await startCaller(t, 'reports', database))
  await until(() => database.connections.some(({ refusal }) => refusal?.denial === 'cancel-refused'), 'it is refused')
  await untilRuns(watcher, processID)
  await send(port)
  await cancelled
  const cancelledAgain = assert.rejects(client.query('SELECT pg_sleep(60)'), { code: '57014' })
  await untilRuns(watcher, processID)
  await send(port, true)
  await cancelledAgain
  assert.equal(await whoIs(client), 'orders in orders')
})

test('a client of protocol 3.2 has a session, and cancels it by a longer key', async (t) => {
  const database = await startDatabase(t, config([APP]))
  const port = await startCaller(t, 'orders', database)
  const { socket, text } = await dial(t, port)
  socket.write(message(V3_2, 'user', 'orders', 'database', 'orders', ''))
  // K, a length, the process, and a key of 32 bytes; then Z: ready.
  await until(() => /K\0\0\0\x28[\s\S]{36}Z\0\0\0\x05I/.test(text()), 'a session begins')
  const [, key = ''] = /K\0\0\0\x28([\s\S]{36})Z/.exec(text()) ?? []
  socket.write(query('SELECT pg_sleep(60)'))
  const cancel = Buffer.concat([Buffer.alloc(8), Buffer.from(key, 'latin1')])
  cancel.writeUInt32BE(cancel.length, 0)
  cancel.writeUInt32BE(80877102, 4)
  const watcher = await open(t, port)
  await untilRuns(watcher, Buffer.from(key, 'latin1').readUInt32BE(0))
  const { socket: other } = await dial(t, port)
  other.write(cancel)
  await until(() => text().includes('C57014'), 'the query is cancelled')
})
