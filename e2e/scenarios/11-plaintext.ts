import assert from 'node:assert/strict'
import { refusedBy } from './said.ts'
import type { Scenario } from './scenario.ts'

export const plaintext: Scenario = {
  name: 'plaintext',
  title: 'a sidecar’s port speaks mutual TLS and nothing else',
  async *run(world) {
    for (const workload of ['shop/orders', 'shop/payments', 'shop/catalog']) {
      const since = Date.now()
      const heard = await world.neighbour.sayInPlain(workload, 8080, 'GET /healthz HTTP/1.1\r\nhost: here\r\n\r\n')
      assert.ok(heard.isClosed, 'the port closes the connection')
      assert.equal(heard.text, '')
      const decision = await world.decisions.find(
        `plaintext refused by ${workload}`,
        since,
        (one) => one.workload === workload && one.kind === 'connection' && one.outcome === 'denied',
      )
      assert.equal(decision.denial, 'plaintext-refused')
      yield { sent: `GET /healthz in plaintext to the port of ${workload}`, got: 'closed', said: refusedBy(decision) }
    }
  },
}
