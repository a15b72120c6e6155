/** Something the shop sells. */
export interface Product {
  /** Lower-case letters, digits and dashes, at most 40: part of a path. */
  readonly id: string
  readonly name: string
  /** One sentence. */
  readonly description: string
  /** Euro cents. */
  readonly priceCents: number
}

/** What is on sale when the shop opens. */
export const FIRST_PRODUCTS: readonly Product[] = [
  {
    id: 'hauberk',
    name: 'Hauberk',
    description: 'A shirt of 28,000 riveted rings, to the knee. Protects whoever wears it.',
    priceCents: 89_000,
  },
  {
    id: 'coif',
    name: 'Mail coif',
    description: 'A hood of fine rings with a square bib and a leather lining.',
    priceCents: 18_500,
  },
  {
    id: 'gambeson',
    name: 'Gambeson',
    description: 'Thirty layers of linen, quilted by hand. Wear it under everything.',
    priceCents: 14_900,
  },
  {
    id: 'gauntlets',
    name: 'Gauntlets',
    description: 'Hourglass cuffs, eleven plates a finger, and they still hold a pen.',
    priceCents: 26_000,
  },
  {
    id: 'great-helm',
    name: 'Great helm',
    description: 'Two millimetres of steel and two slits. You see less, and mind less.',
    priceCents: 34_900,
  },
  {
    id: 'buckler',
    name: 'Buckler',
    description: 'Thirty centimetres of limewood, rawhide and iron boss for the other hand.',
    priceCents: 9_900,
  },
]

/** Reads what a client wrote; throws an Error with what would be right. */
export function parseProduct(value: unknown): Product {
  const { id, name, description, priceCents } = (value ?? {}) as Record<string, unknown>
  if (typeof id !== 'string' || !/^[a-z0-9-]{1,40}$/.test(id)) throw new Error('id is 1 to 40 of a-z, 0-9 and -')
  if (typeof name !== 'string' || name.length < 1 || name.length > 80) throw new Error('name is text of 1 to 80')
  if (typeof description !== 'string' || description.length > 400) throw new Error('description is text of at most 400')
  if (!Number.isInteger(priceCents) || Number(priceCents) < 1 || Number(priceCents) > 10_000_000) {
    throw new Error('priceCents is a whole number of 1 to 10000000')
  }
  return { id, name, description, priceCents: Number(priceCents) }
}
