import assert from 'node:assert/strict'
import { test } from 'node:test'
import { serve } from '../service/serve.ts'
import { type CapturedLog, captureLog } from '../testing/captured-log.ts'
import { createPayments } from './app.ts'

async function startPayments(
  t: { after(fn: () => Promise<void>): void },
  captured: CapturedLog = captureLog(),
  max?: number,
) {
  const running = await serve(createPayments(captured.log, max), { host: '127.0.0.1', port: 0 })
  t.after(() => running.stop())
  return async (key: string | undefined, charge: unknown) => {
    const response = await fetch(`${running.url}/charges`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...(key === undefined ? {} : { 'idempotency-key': key }) },
      body: JSON.stringify(charge),
    })
    return { status: response.status, body: (await response.json()) as Record<string, unknown> }
  }
}

const CHARGE = { amountCents: 14_900, cardNumber: '4242424242424242' }

test('a card is charged, one without money is declined', async (t) => {
  const charge = await startPayments(t)
  const paid = await charge('k1', CHARGE)
  assert.equal(paid.status, 201)
  assert.equal(paid.body.status, 'paid')
  assert.equal((await charge('k2', { ...CHARGE, cardNumber: '4000000000000002' })).body.status, 'declined')
})

test('the same key is the same charge, and nothing else', async (t) => {
  const charge = await startPayments(t)
  const first = await charge('k1', CHARGE)
  const again = await charge('k1', CHARGE)
  assert.equal(again.status, 200)
  assert.deepEqual(again.body, first.body)
  assert.equal((await charge('k1', { ...CHARGE, amountCents: 1 })).status, 422)
  assert.equal((await charge(undefined, CHARGE)).status, 400)
})

test('what is no charge is refused', async (t) => {
  const charge = await startPayments(t)
  for (const change of [
    { cardNumber: '4242424242424241' },
    { cardNumber: 42 },
    { amountCents: 0 },
    { amountCents: 0.5 },
  ]) {
    assert.equal((await charge('k', { ...CHARGE, ...change })).status, 422)
  }
})

test('what is remembered is bounded', async (t) => {
  const charge = await startPayments(t, captureLog(), 2)
  const first = await charge('k1', CHARGE)
  for (const key of ['k2', 'k3']) await charge(key, CHARGE)
  assert.notEqual((await charge('k1', CHARGE)).body.id, first.body.id)
})

test('T31: a card number is written nowhere', async (t) => {
  const captured = captureLog()
  const charge = await startPayments(t, captured)
  await charge('k1', CHARGE)
  await charge('k2', { ...CHARGE, amountCents: -1 })
  assert.match(captured.text(), /"message":"charge"/)
  assert.doesNotMatch(captured.text(), /424242/)
})
