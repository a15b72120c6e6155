import assert from 'node:assert/strict'
import { jsonOf } from '../world/answer.ts'
import { sayToGateway, statusIn } from '../world/wire.ts'
import type { Scenario } from './scenario.ts'

/** What a client would say to be taken for somebody else, or to come from elsewhere. */
const LIES: readonly (readonly [name: string, value: string])[] = [
  ['x-forwarded-for', '203.0.113.66'],
  ['X-FORWARDED-FOR', '203.0.113.67'],
  ['x-forwarded-proto', 'lie-proto'],
  ['x-forwarded-host', 'lie-host.example'],
  ['X-Forwarded-Client-Cert', 'URI=spiffe://cluster.local/ns/shop/sa/lie'],
  ['x-real-ip', '203.0.113.68'],
  ['forwarded', 'for=203.0.113.69'],
  ['x-request-id', 'lie-request'],
  ['x-user', 'lie-user'],
  ['X-User', 'lie-user-too'],
]

export const identityHeaders: Scenario = {
  name: 'identity-headers',
  title: 'T12: what a client says of itself in headers does not arrive; what the mesh knows does',
  needsOwn: true,
  async *run({ gateway, login }) {
    const { accessToken } = await login('alice')
    const request = (lines: readonly string[]) =>
      `${['GET /api/echo/me HTTP/1.1', `host: ${gateway.hostname}:${gateway.httpsPort}`, `authorization: Bearer ${accessToken}`, ...lines].join('\r\n')}\r\n\r\n`

    const told = await sayToGateway(gateway, request(['connection: close', ...LIES.map((pair) => pair.join(': '))]))
    assert.equal(statusIn(told), 200, told.text)
    const body = told.text.slice(told.text.indexOf('\r\n\r\n') + 4)
    const { headers } = jsonOf({ status: 200, headers: {}, body }) as {
      readonly headers: readonly (readonly [string, string])[]
    }
    const arrived = (name: string) => headers.filter(([each]) => each === name).map(([, value]) => value)
    const text = JSON.stringify(headers)
    for (const [name, value] of LIES) assert.ok(!text.includes(value), `${name}: ${value} arrived: ${text}`)
    assert.deepEqual(arrived('x-user'), ['alice'])
    assert.deepEqual(arrived('x-forwarded-proto'), ['https'])
    assert.deepEqual(arrived('x-forwarded-host'), [`${gateway.hostname}:${gateway.httpsPort}`])
    assert.equal(arrived('x-forwarded-for').length, 1)
    assert.equal(arrived('x-request-id').length, 1)
    assert.match(arrived('x-forwarded-client-cert').join(), /\/sa\/gateway-shop-shop/)
    assert.deepEqual(arrived('authorization'), [], 'the policy does not say Keep, so the app gets no token')
    yield {
      sent: `${LIES.length} forged headers: X-Forwarded-*, Forwarded, X-Real-IP, X-User`,
      got: `the app got none of them, but x-user: ${arrived('x-user')}, x-forwarded-for: ${arrived('x-forwarded-for')}`,
      said: 'gateway strips, shop/echo tells the claim (shop/echo@1)',
    }

    for (const [line, denial] of [
      ['x_forwarded_for: 203.0.113.70', 'underscore-header'],
      ['connection: close, x-forwarded-client-cert', 'connection-names-protected-header'],
    ] as const) {
      const refused = await sayToGateway(gateway, request([line]))
      assert.equal(statusIn(refused), 400, refused.text)
      assert.match(refused.text, new RegExp(`"denial":"${denial}"`))
      yield { sent: line, got: '400, closed', said: `gateway: ${denial}` }
    }
  },
}
