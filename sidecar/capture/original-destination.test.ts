import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { after, describe, it, test } from 'node:test'
import { noNetwork } from '../firewall/testing/network.ts'
import { testId } from '../identity/testing/test-identity.ts'
import { createTestMesh, inbound, workloadConfig } from '../serve/testing/world.ts'
import { openOriginalDestination } from './original-destination.ts'
import { createTestNetwork, type TestNetwork } from './testing/network.ts'

test('a connection that was not redirected has none, or says where it arrived', async (t) => {
  const originalDestination = openOriginalDestination()
  for (const host of ['127.0.0.1', '::1']) {
    const server = createServer()
    t.after(() => server.close())
    server.listen(0, host)
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    const client = connect({ host, port })
    const [accepted] = (await once(server, 'connection')) as [Socket]
    const found = originalDestination(accepted)
    assert.ok(found === undefined || found.port === port, JSON.stringify(found))
    accepted.destroy()
    client.destroy()
    assert.equal(originalDestination(accepted), undefined, 'a socket that is closed')
  }
})

describe('the original destination of a captured connection', { skip: noNetwork() ?? false }, () => {
  let network: TestNetwork | undefined
  after(() => network?.close())

  it('is known at sockets of one family and at sockets of both', async () => {
    network = createTestNetwork()
    const mesh = await createTestMesh()
    const caller = network.machine()
    const stranger = caller.agent(0)
    const separate = network.pod()
    const both = network.pod()
    for (const [pod, hosts] of [
      [separate, ['0.0.0.0', '::']],
      [both, ['::']],
    ] as const) {
      const at = hosts.map((host) => ({ host, port: pod.capture.inbound[0]!.port }))
      await pod.app.tell('serve', { host: '0.0.0.0', port: 8_080, what: 'http', name: 'app' })
      await pod.app.tell('serve', { host: '::', port: 8_080, what: 'http', name: 'app' })
      await pod.sidecar.tell('plane', {
        config: workloadConfig([inbound(8_080, { mtls: 'Permissive' })], {
          identity: { spiffeId: testId('app'), trustDomain: 'cluster.local' },
        }),
        endpoints: { contract: 2, version: '1', endpoints: {} },
        identity: await mesh.identity('app'),
        capture: { ...pod.capture, inbound: at },
      })
      for (const [i, host] of pod.ips.entries()) {
        const send = 'GET / HTTP/1.1\r\nHost: app\r\nConnection: close\r\n\r\n'
        const { heard } = await stranger.tell('talk', { host, port: 8_080, send })
        assert.ok(heard.endsWith(pod.ips[i]!), `${host}: ${heard}`)
        const { requests } = await pod.sidecar.tell('records', {})
        assert.equal(requests.at(-1)?.clientIp, caller.ips[i])
      }
    }
  })
})
