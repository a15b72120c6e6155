import { randomUUID } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'
import { createApi, Refusal } from '../service/api.ts'
import { parseKeySet } from '../service/key-set.ts'
import type { Logger } from '../service/log.ts'
import { callPeer } from '../service/peer.ts'
import { type Running, serve } from '../service/serve.ts'
import { watchFile } from '../service/watched-file.ts'
import { openDatabase } from './database.ts'
import type { OrdersOptions } from './options.ts'
import { type Order, type OrderItem, parseWish, type Wish } from './order.ts'
import { OrderStore } from './order-store.ts'

/** The orders of each user. Who may see whose is not decided here. */
export async function startOrders(options: OrdersOptions, log: Logger): Promise<Running> {
  const keysFile = await watchFile(options.encryptionKeysFile, parseKeySet, {
    changed: ({ active }) => log.info({ active }, 'encryption keys changed'),
    failed: (error) => log.error({ err: error }, 'encryption keys cannot be read, the last good ones stay'),
  })
  const database = openDatabase(options.databaseUrl, log)
  const store = new OrderStore(database.query, keysFile.current)

  const api = createApi(log, (app) => {
    app.get('/readyz', (_req, res) => {
      const ready = database.isReady()
      res.status(ready ? 200 : 503).json({ status: ready ? 'ok' : 'waiting for the database' })
    })

    app.use('/users', (_req, _res, next) => {
      if (!database.isReady()) throw new Refusal(503, 'the database is not ready', { 'retry-after': '1' })
      next()
    })

    app.get('/users/:userId/orders', async (req, res) => {
      res.json({ orders: await store.list(req.params.userId) })
    })

    app.get('/users/:userId/orders/:id', async (req, res) => {
      const { userId, id } = req.params
      const order = isUuid(id) ? await store.find(userId, id) : undefined
      if (!order) throw new Refusal(404, 'no such order')
      res.json(order)
    })

    app.post('/users/:userId/orders', async (req, res) => {
      const wish = parseWish(req.body)
      const idempotencyKey = req.get('idempotency-key') ?? randomUUID()
      if (idempotencyKey.length > 128) throw new Refusal(400, 'an Idempotency-Key has at most 128 characters')
      const items = await priceItems(wish, options.catalogUrl, req.headers)
      const order = await store.add({
        userId: req.params.userId,
        idempotencyKey,
        items,
        totalCents: items.reduce((sum, { priceCents, quantity }) => sum + priceCents * quantity, 0),
        shippingAddress: wish.shippingAddress,
        cardTail: wish.cardNumber.slice(-4),
      })
      // Sent again with the same key, an order that was interrupted goes on where it was, and a finished one is shown.
      const status =
        order.status === 'pending' ? await pay(order, wish, options.paymentsUrl, req.headers) : order.status
      if (status !== order.status) {
        await store.setStatus(req.params.userId, order.id, status)
        log.info({ order: order.id, status, totalCents: order.totalCents }, 'order placed')
      }
      if (status === 'declined') throw new Refusal(402, 'the card was declined')
      res.status(201).location(`/users/${encodeURIComponent(req.params.userId)}/orders/${order.id}`)
      res.json({ ...order, status })
    })
  })

  const running = await serve(api, options)
  return {
    url: running.url,
    async stop() {
      await running.stop()
      await database.close()
      keysFile.stop()
    },
  }
}

/** Asks the catalog what each product is called and costs now. */
async function priceItems(wish: Wish, catalogUrl: string, incoming: IncomingHttpHeaders): Promise<OrderItem[]> {
  return Promise.all(
    wish.items.map(async ({ productId, quantity }) => {
      const { status, body } = await callPeer(`${catalogUrl}/products/${productId}`, {}, incoming)
      if (status === 404) throw new Refusal(422, `no such product: ${productId}`)
      const { name, priceCents } = (body ?? {}) as Record<string, unknown>
      if (status !== 200 || typeof name !== 'string' || !Number.isInteger(priceCents)) {
        throw new Refusal(502, `catalog answered ${status}`)
      }
      return { productId, name, quantity, priceCents: Number(priceCents) }
    }),
  )
}

async function pay(
  order: Order,
  wish: Wish,
  paymentsUrl: string,
  incoming: IncomingHttpHeaders,
): Promise<'paid' | 'declined'> {
  const charge = { amountCents: order.totalCents, cardNumber: wish.cardNumber }
  const { status, body } = await callPeer(
    `${paymentsUrl}/charges`,
    { method: 'POST', json: charge, headers: { 'idempotency-key': order.id } },
    incoming,
  )
  const result = ((body ?? {}) as Record<string, unknown>).status
  if ((status === 200 || status === 201) && (result === 'paid' || result === 'declined')) return result
  if (status === 422) throw new Refusal(422, 'payments takes no such card')
  throw new Refusal(502, `payments answered ${status}`)
}

function isUuid(text: string): boolean {
  return /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(text)
}
