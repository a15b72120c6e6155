import assert from 'node:assert/strict'
import { problemOf } from '../world/answer.ts'
import { type Heard, sayToGateway, statusIn } from '../world/wire.ts'
import type { World } from '../world/world.ts'
import type { Scenario } from './scenario.ts'

export const malformedRequests: Scenario = {
  name: 'malformed-requests',
  title: 'T15, T16, T24: what could be read in two ways, or is too much, is not read at all',
  async *run(world) {
    const { gateway } = world
    const { accessToken } = await world.login('alice')
    const request = (...lines: readonly string[]) =>
      `${['GET /api/orders/users/alice/orders HTTP/1.1', `host: ${gateway.hostname}`, ...lines].join('\r\n')}\r\n\r\n`

    const bearer = `authorization: Bearer ${accessToken}`
    const twice = await sayToGateway(gateway, request(bearer, bearer))
    assert.equal(statusIn(twice), 400, twice.text)
    assert.ok(twice.isClosed)
    yield { sent: 'two tokens at once', got: '400, closed', said: `gateway: ${denialIn(twice)}` }

    const long = Array.from({ length: 20 }, (_, i) => `x-filling-${i}: ${'x'.repeat(1_000)}`)
    const tooLong = await sayToGateway(gateway, request(...long))
    assert.equal(statusIn(tooLong), 431, tooLong.text)
    assert.ok(tooLong.isClosed)
    yield { sent: 'a head of 20 KB', got: '431, closed', said: `gateway: ${denialIn(tooLong)}` }

    const smuggled = await sayToGateway(
      gateway,
      `${request('content-length: 4', 'transfer-encoding: chunked')}0\r\n\r\n`,
    )
    assert.equal(statusIn(smuggled), 400, smuggled.text)
    assert.ok(smuggled.isClosed)
    yield { sent: 'Content-Length and Transfer-Encoding', got: '400, closed', said: `gateway: ${denialIn(smuggled)}` }
    await isLogged(world, denialIn(smuggled))
  },
}

function denialIn({ text }: Heard): string {
  const body = text.slice(text.indexOf('\r\n\r\n') + 4)
  return problemOf({ status: 0, headers: {}, body })?.denial ?? 'no problem document'
}

async function isLogged({ decisions }: World, denial: string): Promise<void> {
  await decisions.find(denial, 0, (one) => one.direction === 'gateway' && one.denial === denial)
}
