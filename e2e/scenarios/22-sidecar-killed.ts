import assert from 'node:assert/strict'
import { type Answer, problemOf } from '../world/answer.ts'
import { until } from '../world/until.ts'
import type { World } from '../world/world.ts'
import { allowedBy, inboundDecision } from './said.ts'
import type { Scenario } from './scenario.ts'
import { lossesIn } from './under-load.ts'

const WORKLOAD = 'shop/echo'

/** A process starts, opens what it kept on disk, and serves: in a second or two, where the machine does nothing else. */
const BACK_WITHIN_MS = 20_000

export const sidecarKilled: Scenario = {
  name: 'sidecar-killed',
  title: 'F12: a sidecar that is killed leaves its service closed, and comes back with what it knew',
  needsOwn: true,
  async *run(world) {
    const window = (await world.load()).window()
    assert.equal((await askEcho(world)).status, 200)
    await world.processes.killSidecar(WORKLOAD)
    const start = performance.now()
    const [refused, plaintext] = await Promise.all([
      askEcho(world),
      world.neighbour.sayInPlain(WORKLOAD, 8080, 'GET / HTTP/1.1\r\nhost: echo\r\n\r\n'),
    ])
    assert.equal(plaintext.text, '')
    const meanwhile =
      refused.status === 200 ? '200, it was back already' : `${refused.status} ${problemOf(refused)?.denial}`
    assert.ok(refused.status === 200 || refused.status === 502 || refused.status === 503, meanwhile)
    yield {
      sent: `kill -9 of the sidecar of ${WORKLOAD}; GET /api/echo/`,
      got: `${meanwhile}; not a byte in plaintext`,
    }

    const since = Date.now()
    await until('the sidecar is back', async () => (await askEcho(world)).status === 200)
    const tookMs = Math.round(performance.now() - start)
    assert.ok(tookMs <= BACK_WITHIN_MS * world.patience, `back after ${tookMs} ms`)
    yield {
      sent: 'GET /api/echo/ again and again',
      got: `200 after ${tookMs} ms`,
      said: await allowedBy(world, await inboundDecision(world, since, { workload: WORKLOAD, status: 200 })),
    }
    yield { sent: 'meanwhile, others under load', got: await lossesIn(window) }
  },
}

async function askEcho({ gateway, login }: World): Promise<Answer> {
  return gateway.ask({ path: '/api/echo/', token: (await login('alice')).accessToken })
}
