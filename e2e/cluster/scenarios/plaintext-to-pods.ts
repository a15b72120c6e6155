import assert from 'node:assert/strict'
import { refusedBy } from '../../scenarios/said.ts'
import { clientApp, echoApp } from '../apps.ts'
import { ready } from '../ready.ts'
import type { ClusterScenario } from '../scenario.ts'

const NS = 'e2e-plaintext'
const REQUEST = 'GET / HTTP/1.1\r\nhost: server\r\nconnection: close\r\n\r\n'

export const plaintextToPods: ClusterScenario = {
  name: 'plaintext-to-pods',
  title: 'T07, T10: a pod’s address takes no plaintext, on any of its ports and in any family',
  core: true,
  async *run(world) {
    await world.namespace(NS)
    await world.kubectl.apply(await echoApp({ namespace: NS, name: 'server', callers: [`${NS}/client`] }))
    await world.kubectl.apply(clientApp({ namespace: NS, name: 'client' }))
    await ready(world.kubectl, NS, ['server', 'client'])
    const { status, spec } = await world.podOf(`${NS}/server`)
    for (const { ip } of status.podIPs as readonly { readonly ip: string }[]) {
      const since = Date.now()
      const heard = await world.sayFromOutside({ host: ip, port: 8080, bytes: REQUEST })
      assert.ok(heard.isClosed, 'the connection is closed')
      assert.equal(heard.text, '')
      const decision = await world.decisions.find(
        'plaintext refused',
        since,
        (one) => one.workload === `${NS}/server` && one.kind === 'connection' && one.outcome === 'denied',
      )
      assert.equal(decision.denial, 'plaintext-refused')
      const family = ip.includes(':') ? 'IPv6' : 'IPv4'
      yield {
        sent: `plaintext to ${family} pod address, port 8080, of a pod on ${spec.nodeName}`,
        got: 'closed',
        said: refusedBy(decision),
      }

      for (const [port, what] of [
        [8081, 'a port that nothing declares'],
        [15001, 'the port of captured calls'],
        [15006, 'the port of captured connections'],
        [15000, 'the admin port'],
      ] as const) {
        const other = await world.sayFromOutside({ host: ip, port, bytes: REQUEST, patienceMs: 3_000 })
        assert.equal(other.text, '', `${what} answers`)
        assert.ok(other.isClosed, `${what} is closed`)
      }
      yield { sent: `${family}: ports 8081, 15001, 15006, 15000`, got: 'closed' }
    }
  },
}
