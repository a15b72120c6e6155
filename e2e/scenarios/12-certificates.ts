import assert from 'node:assert/strict'
import { createTestCa } from '../../model/x509/testing/test-ca.ts'
import { type ShownCertificate, statusIn } from '../world/wire.ts'
import { refusedBy } from './said.ts'
import type { Scenario } from './scenario.ts'

const TARGET = 'shop/payments'
const ORDERS = 'spiffe://cluster.local/ns/shop/sa/orders'
const HOUR_MS = 3_600_000

export const certificates: Scenario = {
  name: 'certificates',
  title: 'T05: only a valid certificate of this mesh is somebody',
  needsOwn: true,
  async *run(world) {
    const { vault, neighbour } = world
    const call = (shown: ShownCertificate | undefined) => neighbour.sayWithCertificate(TARGET, 8080, shown, request())

    // The same client with a sound certificate is answered: so what closes the others is their certificate.
    const sound = await call(await world.certificate({ uris: [ORDERS] }))
    assert.equal(statusIn(sound), 201, `${sound.error} ${sound.text}`)
    yield { sent: `POST /charges to the port of ${TARGET}, a sound certificate of orders`, got: '201' }

    const foreign = await createTestCa('foreign root')
    const nowMs = Date.now()
    const shown: readonly (readonly [what: string, certificate: ShownCertificate | undefined])[] = [
      ['none', undefined],
      ['of a foreign CA', await foreign.issue({ uris: [ORDERS] })],
      [
        'expired a minute ago',
        await world.certificate({ uris: [ORDERS], notBeforeMs: nowMs - HOUR_MS, notAfterMs: nowMs - 60_000 }),
      ],
      [
        'valid from tomorrow on',
        await world.certificate({
          uris: [ORDERS],
          notBeforeMs: nowMs + 24 * HOUR_MS,
          notAfterMs: nowMs + 25 * HOUR_MS,
        }),
      ],
      ['of a foreign trust domain', await world.certificate({ uris: ['spiffe://other.example/ns/shop/sa/orders'] })],
      ['with two SPIFFE ids', await world.certificate({ uris: [ORDERS, 'spiffe://cluster.local/ns/shop/sa/catalog'] })],
      [
        'with dot segments in its id',
        await world.certificate({ uris: ['spiffe://cluster.local/ns/shop/sa/catalog/../orders'] }),
      ],
      ['with an id of no service account', await world.certificate({ uris: ['spiffe://cluster.local/orders'] })],
      ['without an id', await world.certificate({ uris: [] })],
    ]
    for (const [what, certificate] of shown) {
      if (certificate !== undefined) vault.keep(`key of a certificate ${what}`, certificate.privateKey)
      const since = Date.now()
      const heard = await call(certificate)
      assert.ok(heard.isClosed, `${what}: the port closes the connection`)
      assert.equal(heard.text, '', what)
      const decision = await world.decisions.find(
        `certificate ${what}`,
        since,
        (one) => one.workload === TARGET && one.kind === 'connection' && one.outcome === 'denied',
      )
      const why = decision.reason === undefined ? '' : `, ${decision.reason}`
      yield { sent: `the same, certificate: ${what}`, got: 'closed', said: `${refusedBy(decision)}${why}` }
    }
  },
}

function request(): string {
  const body = JSON.stringify({ amountCents: 100, cardNumber: '4242424242424242' })
  const head = [
    'POST /charges HTTP/1.1',
    'host: payments.shop',
    'content-type: application/json',
    `content-length: ${body.length}`,
    `idempotency-key: ${crypto.randomUUID()}`,
    'connection: close',
  ]
  return `${head.join('\r\n')}\r\n\r\n${body}`
}
