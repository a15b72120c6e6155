import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import {
  type AddressInfo,
  connect,
  createServer as createTcpServer,
  type Socket,
  type Server as TcpServer,
} from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { after, before, test } from 'node:test'
import pg from 'pg'
import { type RunningPostgres, startPostgres } from '../../../../cli/dev/postgres.ts'
import { createCatalog } from '../catalog/app.ts'
import { createPayments } from '../payments/app.ts'
import { activateKey, makeAesKey, publishKey } from '../service/key-rotation.ts'
import { parseKeySet } from '../service/key-set.ts'
import { type Running, serve } from '../service/serve.ts'
import { captureLog } from '../testing/captured-log.ts'
import { eventually } from '../testing/eventually.ts'
import { startOrders } from './app.ts'

const captured = captureLog()
let directory: string
let postgres: RunningPostgres
let databasePort: TcpServer
let catalog: Running
let payments: Running
let orders: Running
let keysFile: string

/** So many of the next statements lose their connection, right after they were sent. */
let cuts = 0

/** A TCP port that leads to the database's socket, as the sidecar's does. */
async function relay(socketPath: string, isThere = () => true): Promise<TcpServer> {
  const server = createTcpServer((client: Socket) => {
    if (!isThere()) {
      client.destroy()
      return
    }
    const database = connect(socketPath)
    client.on('data', () => {
      if (cuts === 0) return
      cuts -= 1
      client.destroy()
    })
    client.pipe(database).pipe(client)
    for (const [one, other] of [
      [client, database],
      [database, client],
    ] as const) {
      one.on('error', () => other.destroy())
      one.on('close', () => other.destroy())
    }
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return server
}

const portOf = (server: TcpServer | Server) => (server.address() as AddressInfo).port

before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'orders-'))
  await chmod(directory, 0o755)
  keysFile = join(directory, 'keys.json')
  const key = makeAesKey()
  await writeFile(keysFile, JSON.stringify({ active: key.kid, keys: [key] }))

  const { log } = captured
  catalog = await serve(createCatalog(log), { host: '127.0.0.1', port: 0 })
  payments = await serve(createPayments(log), { host: '127.0.0.1', port: 0 })
  postgres = await startPostgres({
    dataDir: join(directory, 'data'),
    socketDir: join(directory, 'socket'),
    user: 'orders',
    database: 'orders',
    log: () => {},
  })
  databasePort = await relay(postgres.socketPath)
  orders = await startOrders(
    {
      host: '127.0.0.1',
      port: 0,
      logLevel: 'info',
      catalogUrl: catalog.url,
      paymentsUrl: payments.url,
      databaseUrl: `postgres://orders@127.0.0.1:${portOf(databasePort)}/orders`,
      encryptionKeysFile: keysFile,
    },
    log,
  )
  await eventually(async () => assert.equal((await fetch(`${orders.url}/readyz`)).status, 200))
})

after(async () => {
  await orders?.stop()
  databasePort?.close()
  await Promise.all([catalog?.stop(), payments?.stop(), postgres?.stop()])
  await rm(directory, { recursive: true, force: true })
})

const WISH = {
  items: [
    { productId: 'coif', quantity: 2 },
    { productId: 'buckler', quantity: 1 },
  ],
  shippingAddress: '1 Smithy Lane, Wayland',
  cardNumber: '4242 4242 4242 4242',
}

interface Answer {
  readonly status: number
  readonly headers: Headers
  readonly body: Record<string, unknown>
}

async function place(
  user: string,
  wish: unknown,
  headers: Record<string, string> = {},
  at = orders.url,
): Promise<Answer> {
  const response = await fetch(`${at}/users/${user}/orders`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(wish),
  })
  return { status: response.status, headers: response.headers, body: (await response.json()) as Answer['body'] }
}

async function list(user: string): Promise<{ id: string; status: string; totalCents: number }[]> {
  const { orders: listed } = (await (await fetch(`${orders.url}/users/${user}/orders`)).json()) as { orders: never[] }
  return listed
}

async function rows(text: string): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ host: dirname(postgres.socketPath), user: 'orders', database: 'orders' })
  await client.connect()
  try {
    return (await client.query(text)).rows as Record<string, unknown>[]
  } finally {
    await client.end()
  }
}

test('an order takes its prices from the catalog, is paid, and is found again by its user only', async () => {
  const placed = await place('alice', WISH)
  assert.equal(placed.status, 201, JSON.stringify(placed.body))
  assert.equal(placed.body.status, 'paid')
  assert.equal(placed.body.totalCents, 2 * 18_500 + 9_900)

  const location = placed.headers.get('location') ?? ''
  assert.equal(location, `/users/alice/orders/${placed.body.id}`)
  const found = (await (await fetch(orders.url + location)).json()) as Record<string, unknown>
  assert.equal(found.shippingAddress, '1 Smithy Lane, Wayland')
  assert.equal(found.cardTail, '4242')
  assert.deepEqual(
    (await list('alice')).map(({ id }) => id),
    [placed.body.id],
  )

  assert.deepEqual(await list('bob'), [])
  assert.equal((await fetch(orders.url + location.replace('alice', 'bob'))).status, 404)
})

test('address and card tail are stored encrypted, with the name of their key', async () => {
  await place('carol', WISH)
  const [row = {}] = await rows(`SELECT * FROM orders WHERE user_id = 'carol'`)
  const { active } = parseKeySet(await readFile(keysFile, 'utf8'))
  assert.equal(row.address_kid, active)
  const text = Buffer.concat([row.address_data as Buffer, row.card_data as Buffer]).toString('latin1')
  assert.doesNotMatch(text, /Smithy|4242/)
  assert.equal((row.address_nonce as Buffer).length, 12)
})

test('a row that was given to somebody else is not shown', async () => {
  const { body } = await place('dave', WISH)
  await rows(`UPDATE orders SET user_id = 'eve', idempotency_key = 'stolen' WHERE id = '${body.id}'`)
  const stolen = await fetch(`${orders.url}/users/eve/orders`)
  assert.equal(stolen.status, 500)
  assert.doesNotMatch(await stolen.text(), /Smithy/)
  await rows(`DELETE FROM orders WHERE id = '${body.id}'`)
})

test('an order that is sent twice with the same key is one order', async () => {
  const key = { 'idempotency-key': randomUUID() }
  const [first, second] = await Promise.all([place('frank', WISH, key), place('frank', WISH, key)])
  assert.equal(first.body.id, second.body.id)
  assert.equal((await list('frank')).length, 1)
})

test('a database connection that breaks under a statement is no answer: the statement runs again on another', async () => {
  const before = captured.events('a database connection broke under a statement').length
  for (const statement of [1, 2, 3]) {
    cuts = statement === 3 ? 2 : 1
    const { status, body } = await place('ivan', WISH, { 'idempotency-key': `statement ${statement}` })
    assert.equal(status, 201, JSON.stringify(body))
  }
  cuts = 1
  assert.equal((await list('ivan')).length, 3)
  assert.equal(cuts, 0)
  assert.equal(captured.events('a database connection broke under a statement').length, before + 5)
})

test('a declined card is told, and the order stays declined', async () => {
  const key = { 'idempotency-key': randomUUID() }
  const wish = { ...WISH, cardNumber: '4000 0000 0000 0002' }
  assert.equal((await place('grace', wish, key)).status, 402)
  assert.equal((await place('grace', wish, key)).status, 402)
  assert.equal((await list('grace'))[0]?.status, 'declined')
})

test('what is no order is refused', async () => {
  const wrong: [unknown, number][] = [
    [{}, 422],
    [{ ...WISH, items: [] }, 422],
    [{ ...WISH, items: [{ productId: 'crossbow', quantity: 1 }] }, 422],
    [{ ...WISH, items: [{ productId: '../admin', quantity: 1 }] }, 422],
    [{ ...WISH, items: [{ productId: 'coif', quantity: 0 }] }, 422],
    [{ ...WISH, shippingAddress: ' ' }, 422],
    [{ ...WISH, cardNumber: '4242 4242 4242 4241' }, 422],
  ]
  for (const [wish, status] of wrong) assert.equal((await place('heidi', wish)).status, status, JSON.stringify(wish))
})

test('peers are called on behalf of the caller: Authorization and trace go on, other headers do not', async (t) => {
  const seen: Record<string, unknown>[] = []
  const peer = createServer((req, res) => {
    seen.push(req.headers)
    req.resume()
    const body = req.url?.startsWith('/products') ? { name: 'Coif', priceCents: 1 } : { status: 'paid' }
    res.setHeader('content-type', 'application/json')
    res.end(JSON.stringify(body))
  })
  peer.listen(0, '127.0.0.1')
  await once(peer, 'listening')
  const url = `http://127.0.0.1:${portOf(peer)}`
  const other = await startOrders(
    {
      host: '127.0.0.1',
      port: 0,
      logLevel: 'info',
      catalogUrl: url,
      paymentsUrl: url,
      databaseUrl: `postgres://orders@127.0.0.1:${portOf(databasePort)}/orders`,
      encryptionKeysFile: keysFile,
    },
    captured.log,
  )
  t.after(async () => {
    await other.stop()
    peer.closeAllConnections()
    peer.close()
  })
  await eventually(async () => assert.equal((await fetch(`${other.url}/readyz`)).status, 200))

  const headers = {
    authorization: 'Bearer the-token',
    traceparent: '00-1-2-01',
    'x-request-id': 'r1',
    cookie: 'a=b',
    'x-forwarded-for': '1.2.3.4',
  }
  assert.equal((await place('ivan', WISH, headers, other.url)).status, 201)
  assert.equal(seen.length, 3)
  for (const received of seen) {
    assert.equal(received.authorization, 'Bearer the-token')
    assert.equal(received.traceparent, '00-1-2-01')
    assert.equal(received['x-request-id'], 'r1')
    assert.equal(received.cookie, undefined)
    assert.equal(received['x-forwarded-for'], undefined)
  }
})

test('a peer that does not answer is 502, and the order can be sent again', async () => {
  const { url } = payments
  await payments.stop()
  const key = { 'idempotency-key': randomUUID() }
  const failed = await place('judy', WISH, key)
  assert.equal(failed.status, 502)
  assert.equal((await list('judy'))[0]?.status, 'pending')

  payments = await serve(createPayments(captured.log), { host: '127.0.0.1', port: Number(new URL(url).port) })
  const placed = await place('judy', WISH, key)
  assert.equal(placed.status, 201, JSON.stringify(placed.body))
  assert.deepEqual(
    (await list('judy')).map(({ status }) => status),
    ['paid'],
  )
})

test('a new encryption key is used without a restart, and old orders stay readable', async () => {
  const published = await publishKey(parseKeySet(await readFile(keysFile, 'utf8')))
  const next = published.keys.at(-1)?.kid ?? ''
  await place('mallory', WISH)
  await writeFile(keysFile, JSON.stringify(activateKey(published, next)))
  await eventually(() => assert.equal(captured.events('encryption keys changed').length, 1))
  await place('mallory', WISH)
  const kids = await rows(`SELECT address_kid FROM orders WHERE user_id = 'mallory' ORDER BY created_at`)
  assert.notEqual(kids[0]?.address_kid, next)
  assert.equal(kids[1]?.address_kid, next)
  assert.equal((await list('mallory')).length, 2)
})

test('orders waits for its database, and several replicas may migrate at once', async (t) => {
  await rows('DROP TABLE orders; DROP TABLE migrations')
  let isThere = false
  const late = await relay(postgres.socketPath, () => isThere)
  t.after(async () => void late.close())

  const replicas = await Promise.all(
    [1, 2, 3].map(() =>
      startOrders(
        {
          host: '127.0.0.1',
          port: 0,
          logLevel: 'info',
          catalogUrl: catalog.url,
          paymentsUrl: payments.url,
          databaseUrl: `postgres://orders@127.0.0.1:${portOf(late)}/orders`,
          encryptionKeysFile: keysFile,
        },
        captured.log,
      ),
    ),
  )
  t.after(async () => {
    for (const replica of replicas) await replica.stop()
  })
  const early = await fetch(`${replicas[0]?.url}/users/alice/orders`)
  assert.equal(early.status, 503)
  assert.equal(early.headers.get('retry-after'), '1')
  assert.equal((await fetch(`${replicas[0]?.url}/healthz`)).status, 200)

  isThere = true
  for (const replica of replicas) {
    await eventually(async () => assert.equal((await fetch(`${replica.url}/readyz`)).status, 200))
  }
  assert.equal((await place('alice', WISH, {}, replicas[1]?.url)).status, 201)
})

test('T31: no card number, address or token is in the log', () => {
  const text = captured.text()
  assert.match(text, /order placed/)
  for (const secret of ['4242 4242', '424242', 'Smithy', 'the-token']) assert.equal(text.includes(secret), false)
})
