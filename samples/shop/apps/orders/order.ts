import { Refusal } from '../service/api.ts'

/** What a person wants: the body of `POST /users/{userId}/orders`. */
export interface Wish {
  readonly items: readonly { readonly productId: string; readonly quantity: number }[]
  readonly shippingAddress: string
  /** Goes to payments; only its last four digits are kept. */
  readonly cardNumber: string
}

/** One line of an order, at the price of the moment it was placed. */
export interface OrderItem {
  readonly productId: string
  readonly name: string
  readonly quantity: number
  readonly priceCents: number
}

/** An order as its owner sees it. */
export interface Order {
  readonly id: string
  readonly status: 'pending' | 'paid' | 'declined'
  readonly items: readonly OrderItem[]
  readonly totalCents: number
  /** RFC 3339. */
  readonly createdAt: string
  readonly shippingAddress: string
  /** The last four digits of the card. */
  readonly cardTail: string
}

/** Reads what a client wrote; throws Refusal 422 with what would be right. */
export function parseWish(value: unknown): Wish {
  const { items, shippingAddress, cardNumber } = (value ?? {}) as Record<string, unknown>
  if (!Array.isArray(items) || items.length < 1 || items.length > 20)
    throw new Refusal(422, 'items is a list of 1 to 20')
  if (typeof shippingAddress !== 'string' || shippingAddress.trim() === '' || shippingAddress.length > 500) {
    throw new Refusal(422, 'shippingAddress is text of 1 to 500')
  }
  if (typeof cardNumber !== 'string' || !/^[\d ]{12,24}$/.test(cardNumber))
    throw new Refusal(422, 'cardNumber is digits')
  return {
    items: items.map((item: unknown) => {
      const { productId, quantity } = (item ?? {}) as Record<string, unknown>
      if (typeof productId !== 'string' || !/^[a-z0-9-]{1,40}$/.test(productId))
        throw new Refusal(422, 'no such product')
      if (!Number.isInteger(quantity) || Number(quantity) < 1 || Number(quantity) > 99) {
        throw new Refusal(422, 'quantity is a whole number of 1 to 99')
      }
      return { productId, quantity: Number(quantity) }
    }),
    shippingAddress: shippingAddress.trim(),
    cardNumber: cardNumber.replaceAll(' ', ''),
  }
}
