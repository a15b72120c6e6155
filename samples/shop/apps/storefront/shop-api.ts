import { Refusal } from '../service/api.ts'
import { type Caller, callPeer, type PeerAnswer } from '../service/peer.ts'

/** What the page needs to know of a product. */
export interface Product {
  readonly id: string
  readonly name: string
  readonly description: string
  readonly priceCents: number
}

export interface Order {
  readonly id: string
  readonly status: string
  readonly items: readonly { readonly name: string; readonly quantity: number; readonly priceCents: number }[]
  readonly totalCents: number
  readonly createdAt: string
  readonly shippingAddress: string
  readonly cardTail: string
}

/** The services behind the page, by their names. */
export class ShopApi {
  readonly #catalogUrl: string
  readonly #ordersUrl: string

  constructor(catalogUrl: string, ordersUrl: string) {
    this.#catalogUrl = catalogUrl
    this.#ordersUrl = ordersUrl
  }

  async products(caller: Caller): Promise<readonly Product[]> {
    const answer = await callPeer(`${this.#catalogUrl}/products`, {}, caller)
    return listOf(answer, 'products') as readonly Product[]
  }

  /** Undefined when there is none. */
  async product(id: string, caller: Caller): Promise<Product | undefined> {
    const answer = await callPeer(`${this.#catalogUrl}/products/${encodeURIComponent(id)}`, {}, caller)
    if (answer.status === 404) return undefined
    return recordOf(answer) as unknown as Product
  }

  async orders(user: string, caller: Caller): Promise<readonly Order[]> {
    const answer = await callPeer(this.#ordersOf(user), {}, caller)
    return listOf(answer, 'orders') as readonly Order[]
  }

  /** The same `key` twice is one order. */
  async placeOrder(user: string, wish: unknown, key: string, caller: Caller): Promise<Order> {
    const headers = { 'idempotency-key': key }
    const answer = await callPeer(this.#ordersOf(user), { method: 'POST', json: wish, headers }, caller)
    return recordOf(answer) as unknown as Order
  }

  #ordersOf(user: string): string {
    return `${this.#ordersUrl}/users/${encodeURIComponent(user)}/orders`
  }
}

function recordOf(answer: PeerAnswer): Record<string, unknown> {
  const { status, headers, body } = answer
  const record = typeof body === 'object' && body !== null ? (body as Record<string, unknown>) : {}
  if (status >= 200 && status < 300 && body === record) return record
  const retryAfter = headers.get('retry-after')
  const title = typeof record.title === 'string' ? record.title : 'no answer that makes sense'
  throw new Refusal(status < 400 ? 502 : status, title, retryAfter === null ? {} : { 'retry-after': retryAfter })
}

function listOf(answer: PeerAnswer, name: string): readonly unknown[] {
  const list = recordOf(answer)[name]
  if (!Array.isArray(list)) throw new Refusal(502, 'no answer that makes sense')
  return list
}
