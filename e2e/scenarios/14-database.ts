import assert from 'node:assert/strict'
import { headerOf, jsonOf } from '../world/answer.ts'
import { sumOf } from '../world/metrics.ts'
import { sayInPlain, statusIn } from '../world/wire.ts'
import type { World } from '../world/world.ts'
import { firstValueIn, LET_IN, query, SSL_REQUEST, startup, TERMINATE } from './postgres-wire.ts'
import { allowedBy, refusedBy } from './said.ts'
import type { Scenario, Step } from './scenario.ts'

const DATABASE = 'shop/orders-db'

export const database: Scenario = {
  name: 'database',
  title: 'T33, T35: only orders reaches the database',
  async *run(world) {
    const denied = (since: number) =>
      world.decisions.find(
        'a refused connection to the database',
        since,
        (one) => one.workload === DATABASE && one.kind === 'connection' && one.outcome === 'denied',
      )
    let since = Date.now()
    const through = await world.inside('shop/catalog').dial('orders-db', 5432, SSL_REQUEST)
    assert.ok(through.isClosed)
    assert.equal(through.text, '', 'not a byte of the database')
    const refusal = await denied(since)
    assert.equal(refusal.caller, 'shop/catalog')
    assert.equal(refusal.denial, 'not-allowed')
    yield { sent: 'catalog: connects to orders-db:5432 through the mesh', got: 'closed', said: refusedBy(refusal) }

    since = Date.now()
    const around = await world.neighbour.sayInPlain(DATABASE, 5432, SSL_REQUEST)
    assert.ok(around.isClosed)
    assert.equal(around.text, '')
    yield {
      sent: 'catalog: connects to the address of orders-db, around the mesh',
      got: 'closed',
      said: refusedBy(await denied(since)),
    }

    since = Date.now()
    const asRoot = await world.inside('shop/orders').dial('orders-db', 5432, startup('postgres', 'orders'))
    assert.ok(asRoot.isClosed)
    assert.match(asRoot.text, /^E.*SFATAL\0.*C28000\0Mpolicy shop\/orders-db does not let \S+ be user "postgres"\0/s)
    const mapped = await denied(since)
    assert.equal(mapped.denial, 'database-user-refused')
    yield { sent: 'orders: connects to orders-db as user "postgres"', got: 'FATAL 28000', said: refusedBy(mapped) }

    since = Date.now()
    const session = [startup('orders', 'orders'), query('SELECT current_user'), TERMINATE].join('')
    const asItself = await world.inside('shop/orders').dial('orders-db', 5432, session)
    assert.ok(asItself.text.startsWith(LET_IN), 'nobody asks for a password')
    assert.equal(firstValueIn(asItself.text), 'orders')
    const allowed = await world.decisions.find(
      'a session of orders',
      since,
      (one) => one.workload === DATABASE && one.kind === 'connection' && one.outcome === 'allowed',
    )
    assert.equal(allowed.caller, 'shop/orders')
    yield {
      sent: 'orders: connects to orders-db as user "orders", without a password',
      got: 'a session of "orders"',
      said: await allowedBy(world, allowed),
    }

    yield* fromAnotherProcess(world)

    const { accessToken: token } = await world.login('alice')
    const path = '/api/orders/users/alice/orders'
    const body = {
      items: [{ productId: await someProduct(world), quantity: 1 }],
      shippingAddress: '1 Mail Street',
      cardNumber: '4242424242424242',
    }
    const placed = await world.gateway.ask({ method: 'POST', path, token, body })
    assert.equal(placed.status, 201, placed.body)
    const { id } = jsonOf(placed) as { readonly id: string }
    assert.match(headerOf(placed, 'location') ?? '', new RegExp(id))
    const read = await world.gateway.ask({ path: `${path}/${id}`, token })
    assert.equal(read.status, 200, read.body)
    assert.equal((jsonOf(read) as { readonly shippingAddress: string }).shippingAddress, '1 Mail Street')
    const open = sumOf(await world.metrics(DATABASE), 'hauberk_open_connections')
    assert.ok(open >= 1)
    const origin = await world.originOf(DATABASE, 'orders-only')
    yield {
      sent: `POST ${path} as alice, and read back`,
      got: '201, 200',
      said: `${DATABASE}: orders-only (${origin}), ${open} connections of orders open`,
    }
  },
}

/** On one machine: orders' own ways out, tried by a process that is not its app. */
async function* fromAnotherProcess(world: World): AsyncIterable<Step> {
  const doors = world.doorsOf('shop/orders')
  const door = doors?.tcp.get('shop/orders-db:5432')
  if (doors === undefined || door === undefined) return
  const refusal = (since: number) =>
    world.decisions.find(
      'a stranger refused by the sidecar of orders',
      since,
      (one) => one.workload === 'shop/orders' && one.direction === 'outbound' && one.outcome === 'denied',
    )
  let since = Date.now()
  const tunnel = 'CONNECT orders-db:5432 HTTP/1.1\r\nhost: orders-db:5432\r\nconnection: close\r\n\r\n'
  const byProxy = await sayInPlain(doors.proxy, tunnel)
  assert.equal(statusIn(byProxy), 407, byProxy.text)
  yield {
    sent: 'another process: the proxy port of orders, without its credential',
    got: '407',
    said: refusedBy(await refusal(since)),
  }
  // Whose process a connection is, only Linux tells.
  if (process.platform !== 'linux') return
  since = Date.now()
  const byPort = await sayInPlain(door, SSL_REQUEST)
  assert.ok(byPort.isClosed)
  assert.equal(byPort.text, '')
  yield {
    sent: 'another process: the port of orders for the database',
    got: 'closed',
    said: refusedBy(await refusal(since)),
  }
}

async function someProduct({ gateway }: World): Promise<string> {
  const { products } = jsonOf(await gateway.ask({ path: '/api/catalog/products' })) as {
    readonly products: readonly { readonly id: string }[]
  }
  const [product] = products
  assert.ok(product)
  return product.id
}
