import { createHash, randomUUID } from 'node:crypto'
import type { Express } from 'express'
import { createApi, Refusal } from '../service/api.ts'
import type { Logger } from '../service/log.ts'
import { isCardNumber } from './card.ts'

/** Charges remembered for the sake of their idempotency keys. The oldest is forgotten first. */
const MAX_REMEMBERED = 10_000

/** The card that is valid and has no money: for trying what happens then. */
const EMPTY_CARD = '4000000000000002'

interface Charge {
  readonly id: string
  readonly status: 'paid' | 'declined'
  readonly amountCents: number
  readonly cardTail: string
}

/**
 * Takes payments, for pretend. A charge with the idempotency key of an earlier one is that one; with another content
 * it is refused (draft-ietf-httpapi-idempotency-key-header).
 *
 * The card's number is neither kept nor logged.
 */
export function createPayments(log: Logger, maxRemembered: number = MAX_REMEMBERED): Express {
  const remembered = new Map<string, { charge: Charge; fingerprint: string }>()

  return createApi(log, (app) => {
    app.post('/charges', (req, res) => {
      const key = req.get('idempotency-key')
      if (!key || key.length > 128)
        throw new Refusal(400, 'a charge needs an Idempotency-Key of at most 128 characters')
      const { amountCents, cardNumber } = parseCharge(req.body)
      const fingerprint = createHash('sha256').update(`${amountCents} ${cardNumber}`).digest('base64')

      const before = remembered.get(key)
      if (before && before.fingerprint !== fingerprint) throw new Refusal(422, 'the key belongs to another charge')
      if (before) return void res.json(before.charge)

      const charge: Charge = {
        id: randomUUID(),
        status: cardNumber === EMPTY_CARD ? 'declined' : 'paid',
        amountCents,
        cardTail: cardNumber.slice(-4),
      }
      remembered.set(key, { charge, fingerprint })
      for (const oldest of remembered.keys()) {
        if (remembered.size <= maxRemembered) break
        remembered.delete(oldest)
      }
      log.info({ charge: charge.id, status: charge.status, amountCents }, 'charge')
      res.status(201).json(charge)
    })
  })
}

function parseCharge(value: unknown): { amountCents: number; cardNumber: string } {
  const { amountCents, cardNumber } = (value ?? {}) as Record<string, unknown>
  if (!Number.isInteger(amountCents) || Number(amountCents) < 1) {
    throw new Refusal(422, 'amountCents is a whole number above 0')
  }
  if (typeof cardNumber !== 'string' || !isCardNumber(cardNumber))
    throw new Refusal(422, 'cardNumber is no card number')
  return { amountCents: Number(amountCents), cardNumber }
}
