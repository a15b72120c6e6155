import { randomUUID } from 'node:crypto'
import type { QueryResultRow } from 'pg'
import type { KeySet } from '../service/key-set.ts'
import type { Query } from './database.ts'
import type { Order, OrderItem } from './order.ts'
import { open, type Sealed, seal } from './sealed.ts'

/** Orders shown at once, the newest first. */
const MAX_LISTED = 50

export interface NewOrder {
  readonly userId: string
  /** Two orders of one user with the same key are one order. */
  readonly idempotencyKey: string
  readonly items: readonly OrderItem[]
  readonly totalCents: number
  readonly shippingAddress: string
  readonly cardTail: string
}

/** Orders in the database, with what is private about them encrypted. Each statement may run twice. */
export class OrderStore {
  readonly #query: Query
  readonly #keys: () => KeySet

  constructor(query: Query, keys: () => KeySet) {
    this.#query = query
    this.#keys = keys
  }

  /** Adds a pending order, or finds the one that was added with the same key. */
  async add(order: NewOrder): Promise<Order> {
    const id = randomUUID()
    const place = { orderId: id, userId: order.userId }
    const address = seal(this.#keys(), order.shippingAddress, { ...place, field: 'shippingAddress' })
    const card = seal(this.#keys(), order.cardTail, { ...place, field: 'cardTail' })
    await this.#query(
      `INSERT INTO orders (id, user_id, idempotency_key, status, items, total_cents,
         address_kid, address_nonce, address_data, card_kid, card_nonce, card_data)
       VALUES ($1, $2, $3, 'pending', $4, $5, $6, $7, $8, $9, $10, $11)
       ON CONFLICT (user_id, idempotency_key) DO NOTHING`,
      [
        id,
        order.userId,
        order.idempotencyKey,
        JSON.stringify(order.items),
        order.totalCents,
        ...columns(address, card),
      ],
    )
    const [added] = await this.#select(order.userId, 'idempotency_key = $2', [order.idempotencyKey])
    if (!added) throw new Error('the order that was just added is gone')
    return added
  }

  async setStatus(userId: string, id: string, status: Order['status']): Promise<void> {
    await this.#query('UPDATE orders SET status = $3 WHERE user_id = $1 AND id = $2', [userId, id, status])
  }

  async list(userId: string): Promise<Order[]> {
    return this.#select(userId, 'true', [])
  }

  async find(userId: string, id: string): Promise<Order | undefined> {
    const [order] = await this.#select(userId, 'id = $2', [id])
    return order
  }

  async #select(userId: string, condition: string, values: readonly unknown[]): Promise<Order[]> {
    const { rows } = await this.#query(
      `SELECT * FROM orders WHERE user_id = $1 AND ${condition} ORDER BY created_at DESC LIMIT ${MAX_LISTED}`,
      [userId, ...values],
    )
    return rows.map((row) => this.#read(row))
  }

  #read(row: QueryResultRow): Order {
    const place = { orderId: row.id as string, userId: row.user_id as string }
    const address = { kid: row.address_kid, nonce: row.address_nonce, data: row.address_data } as Sealed
    const card = { kid: row.card_kid, nonce: row.card_nonce, data: row.card_data } as Sealed
    return {
      id: place.orderId,
      status: row.status as Order['status'],
      items: row.items as OrderItem[],
      totalCents: Number(row.total_cents),
      createdAt: (row.created_at as Date).toISOString(),
      shippingAddress: open(this.#keys(), address, { ...place, field: 'shippingAddress' }),
      cardTail: open(this.#keys(), card, { ...place, field: 'cardTail' }),
    }
  }
}

function columns(...sealed: readonly Sealed[]): unknown[] {
  return sealed.flatMap(({ kid, nonce, data }) => [kid, nonce, data])
}
