import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import type { EndpointsDocument } from '../../contract/endpoints.ts'
import { PORTS } from '../../contract/pod.ts'
import type { OutboundService, WorkloadConfig } from '../../contract/workload-config.ts'
import { noNetwork } from '../firewall/testing/network.ts'
import { testId } from '../identity/testing/test-identity.ts'
import type { ConnectionRecord, RequestRecord } from '../serve/observation.ts'
import { createTestMesh, gateSlots, inbound, meshUpstream, workloadConfig } from '../serve/testing/world.ts'
import { type Agent, createTestNetwork, type Machine, type Pod, type TestNetwork } from './testing/network.ts'
import type { Orders } from './testing/plane.ts'

const skip = noNetwork() ?? false

/** Addresses of Services: nobody has them. */
const ORDERS = { ipv4: '10.96.0.7', ipv6: 'fd00:96::7' }
const CACHE = { ipv4: '10.96.0.9', ipv6: 'fd00:96::9' }
const STOREFRONT = { ipv4: '10.96.0.5', ipv6: 'fd00:96::5' }

function service(
  name: string,
  addresses: typeof ORDERS | undefined,
  more: Partial<OutboundService> = {},
): OutboundService {
  return {
    service: `shop/${name}`,
    hosts: [name, `${name}.shop`],
    ...(addresses && { addresses: [addresses.ipv4, addresses.ipv6] }),
    port: 80,
    protocol: 'http',
    upstream: `shop/${name}:80`,
    requestTimeoutMs: 60_000,
    ...more,
  }
}

function get(host: string, path = '/'): string {
  return `GET ${path} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`
}

describe('two pods whose traffic is captured', { skip }, () => {
  let network: TestNetwork | undefined
  let storefront: Pod
  let orders: Pod
  let outside: Machine
  let stranger: Agent
  const families = [0, 1] as const
  const familyName = ['IPv4', 'IPv6'] as const
  const clusterIp = (of: typeof ORDERS, family: 0 | 1) => (family === 0 ? of.ipv4 : of.ipv6)

  const talk = (agent: Agent, order: Orders['talk']['order']) => agent.tell('talk', order)

  /** The first record that is as it should be, of those that come from now on. */
  const watch = async (agent: Agent) => {
    const earlier = await agent.tell('records', {})
    const find = async <Record>(records: 'requests' | 'connections', isIt: (record: Record) => boolean) => {
      let found: Record | undefined
      const deadline = performance.now() + 30_000
      while (found === undefined) {
        const all = (await agent.tell('records', {}))[records] as readonly unknown[] as readonly Record[]
        found = all.slice(earlier[records].length).find(isIt)
        if (found === undefined && performance.now() > deadline) assert.fail(`no such record: ${JSON.stringify(all)}`)
      }
      return found
    }
    return {
      request: (isIt: (record: RequestRecord) => boolean) => find<RequestRecord>('requests', isIt),
      connection: (isIt: (record: ConnectionRecord) => boolean) => find<ConnectionRecord>('connections', isIt),
    }
  }

  const denied = (name: string) => (record: ConnectionRecord) => record.refusal?.denial === name

  before(async () => {
    network = createTestNetwork()
    storefront = network.pod()
    orders = network.pod()
    outside = network.machine()
    stranger = outside.agent(0)
    for (const host of ['0.0.0.0', '::']) {
      await orders.app.tell('serve', { host, port: 8_080, what: 'http', name: 'orders' })
      await orders.app.tell('serve', { host, port: 6_379, what: 'greet', name: 'cache' })
      await orders.app.tell('serve', { host, port: 5_001, what: 'greet', name: 'undeclared' })
      await storefront.app.tell('serve', { host, port: 8_080, what: 'http', name: 'storefront' })
      for (const port of [443, 8_443, 9_000])
        await stranger.tell('serve', { host, port, what: 'http', name: 'outside' })
    }
    await orders.app.tell('serve', { host: '127.0.0.1', port: 5_000, what: 'greet', name: 'loopback' })
  })

  after(() => network?.close())

  it('T09: before the sidecars run, nothing goes in or out', async () => {
    for (const family of families) {
      const out = await talk(storefront.app, { host: outside.ips[family], port: 9_000, send: get('outside') })
      assert.equal(out.ended, 'ECONNREFUSED')
      const into = await talk(stranger, { host: orders.ips[family], port: 8_080, send: get('orders') })
      assert.equal(into.ended, 'ECONNREFUSED')
    }
  })

  describe('with their sidecars', () => {
    let config: WorkloadConfig
    let endpoints: EndpointsDocument

    before(async () => {
      const mesh = await createTestMesh()
      const [v4, v6] = orders.ips
      endpoints = {
        contract: 2,
        version: '1',
        endpoints: {
          'shop/orders:80': [{ address: v4, port: 8_080, pod: 'shop/orders-0', otherAddresses: [v6] }],
          'shop/cache:6379': [{ address: v4, port: 6_379, pod: 'shop/orders-0', otherAddresses: [v6] }],
          'shop/storefront:80': [
            { address: storefront.ips[0], port: 8_080, pod: 'shop/storefront-0', otherAddresses: [storefront.ips[1]] },
          ],
        },
        meshed: [...orders.ips, ...storefront.ips],
      }
      config = workloadConfig([inbound(8_080, {}, { spiffeIds: [testId('storefront')] })], {
        workload: 'shop/storefront',
        identity: { spiffeId: testId('storefront'), trustDomain: 'cluster.local' },
        outbound: {
          services: [
            service('orders', ORDERS),
            service('cache', CACHE, { port: 6_379, protocol: 'tcp', upstream: 'shop/cache:6379' }),
            service('storefront', STOREFRONT),
          ],
          egress: [
            { name: 'block', cidr: `${outside.ips[0]}/32`, ports: [9_000] },
            { name: 'block', cidr: `${outside.ips[1]}/128`, ports: [9_000] },
            { name: 'wide', cidr: '198.18.0.0/16', ports: [7_000, 8_080] },
            { name: 'partner', host: 'api.partner.example', ports: [443] },
            { name: 'partners', host: '*.partner.example', ports: [8_443] },
          ],
        },
        upstreams: {
          'shop/orders:80': meshUpstream('orders'),
          'shop/cache:6379': { ...meshUpstream('orders', 'tcp', 6_379), service: 'shop/cache' },
          'shop/storefront:80': meshUpstream('storefront'),
        },
      })
      await storefront.sidecar.tell('plane', {
        config,
        endpoints,
        identity: await mesh.identity('storefront'),
        capture: storefront.capture,
        names: { 'api.partner.example': [outside.ips[0], outside.ips[1]], 'eu.partner.example': [outside.ips[0]] },
      })
      const gated = { spiffeIds: [testId('storefront')] }
      await orders.sidecar.tell('plane', {
        config: workloadConfig([
          inbound(8_080, {}, gated),
          inbound(6_379, { protocol: 'tcp', routes: [], filters: gateSlots(gated) }),
          inbound(5_000, { protocol: 'tcp', routes: [], mtls: 'Disabled', filters: gateSlots({}) }),
        ]),
        endpoints: { contract: 2, version: '1', endpoints: {} },
        identity: await mesh.identity('orders'),
        capture: orders.capture,
      })
    })

    for (const family of families) {
      it(`T07: plaintext to a pod over ${familyName[family]} is captured and closed without a byte`, async () => {
        const seen = await watch(orders.sidecar)
        const { heard } = await talk(stranger, { host: orders.ips[family], port: 8_080, send: get('orders') })
        assert.equal(heard, '')
        const record = await seen.connection(denied('plaintext-refused'))
        assert.equal(record.clientIp, outside.ips[family])
      })

      it(`T10: a port that the workload does not declare is closed over ${familyName[family]}, and counted`, async () => {
        const seen = await watch(orders.sidecar)
        const { heard } = await talk(stranger, { host: orders.ips[family], port: 5_001 })
        assert.equal(heard, '')
        const record = await seen.connection(denied('undeclared-port'))
        assert.match(record.refusal?.detail ?? '', /:5001$/)
        assert.equal(record.listener, 'captured')
      })

      it(`T10: neither captured port is a relay over ${familyName[family]}`, async () => {
        for (const port of [PORTS.outbound, PORTS.inbound]) {
          const seen = await watch(orders.sidecar)
          const { heard } = await talk(stranger, { host: orders.ips[family], port, send: get('orders') })
          assert.equal(heard, '')
          const record = await seen.connection(denied('not-captured'))
          assert.match(record.refusal?.detail ?? '', new RegExp(`:${port}$`))
        }
        const own = await talk(storefront.app, { host: family === 0 ? '127.0.0.1' : '::1', port: PORTS.outbound })
        assert.equal(own.heard, '')
      })

      it(`T33: the address of a Service names it over ${familyName[family]}, whatever Host says`, async () => {
        const seen = await watch(orders.sidecar)
        const { heard } = await talk(storefront.app, {
          host: clusterIp(ORDERS, family),
          port: 80,
          send: get('cache.shop', '/mine'),
        })
        // The application sees its own pod's address: the sidecar, and none but it, dials it there.
        assert.match(heard, new RegExp(`orders cache.shop /mine from (::ffff:)?${orders.ips[0]}$`))
        const record = await seen.request(({ path }) => path === '/mine')
        assert.equal(record.spiffeId, testId('storefront'))
        assert.equal(record.clientIp, storefront.ips[0])
        assert.equal(record.outcome, 'allowed')
      })

      it(`calls a pod of a Service by its own address over ${familyName[family]}`, async () => {
        const seen = await watch(storefront.sidecar)
        const { heard } = await talk(storefront.app, {
          host: orders.ips[family],
          port: 8_080,
          send: get('orders-0.orders'),
        })
        assert.match(heard, /orders orders-0.orders/)
        const record = await seen.request(({ host }) => host === 'orders-0.orders')
        assert.equal(record.upstream, 'shop/orders:80')
      })

      it(`T11: carries a protocol whose server speaks first over ${familyName[family]}`, async () => {
        const { heard, ended } = await talk(storefront.app, {
          host: clusterIp(CACHE, family),
          port: 6_379,
          until: '\n',
        })
        assert.match(heard, /cache greets/)
        assert.equal(ended, 'heard')
      })

      it(`a pod's call to its own Service passes its own policy over ${familyName[family]}`, async () => {
        const seen = await watch(storefront.sidecar)
        const { heard } = await talk(storefront.app, {
          host: clusterIp(STOREFRONT, family),
          port: 80,
          send: get('storefront', `/self-${family}`),
        })
        assert.match(heard, /storefront storefront \/self/)
        const record = await seen.request(
          ({ direction, path }) => direction === 'inbound' && path === `/self-${family}`,
        )
        assert.equal(record.spiffeId, testId('storefront'))
        assert.equal(record.clientIp, storefront.ips[0])
        assert.equal(record.listener, '8080')
      })

      it(`T33: an address that nobody named is refused over ${familyName[family]}`, async () => {
        const seen = await watch(storefront.sidecar)
        const { heard, ended } = await talk(storefront.app, {
          host: outside.ips[family],
          port: 8_081,
          send: get('orders.shop'),
        })
        assert.equal(heard, '')
        assert.equal(ended, 'ECONNRESET')
        const record = await seen.connection(denied('outbound-unknown-address'))
        assert.match(record.refusal?.detail ?? '', /:8081$/)
      })

      it(`T33: goes out to a block of the egress list over ${familyName[family]}`, async () => {
        const seen = await watch(storefront.sidecar)
        const { heard } = await talk(storefront.app, { host: outside.ips[family], port: 9_000, send: get('block') })
        assert.match(heard, new RegExp(`outside block / from (::ffff:)?${storefront.ips[family]}$`))
        const record = await seen.connection(
          ({ outcome, clientIp }) => outcome === 'allowed' && clientIp === storefront.ips[family],
        )
        assert.match(record.upstream, /^egress\/block .*:9000$/)
      })

      it(`T33: goes out to a host of the egress list over ${familyName[family]}, because DNS leads there`, async () => {
        const { heard } = await talk(storefront.app, { host: outside.ips[family], port: 443, send: get('whatever') })
        assert.match(heard, /outside whatever/)
      })

      it(`T33: another port of a pod of the mesh is never dialled over ${familyName[family]}`, async () => {
        const seen = await watch(storefront.sidecar)
        const { heard } = await talk(storefront.app, { host: orders.ips[family], port: 7_000, send: 'hello' })
        assert.equal(heard, '')
        await seen.connection(denied('outbound-forbidden-address'))
      })
    }

    it('T10: an application that listens on loopback only is not reached through the sidecar', async () => {
      const seen = await watch(orders.sidecar)
      const { heard } = await talk(stranger, { host: orders.ips[0], port: 5_000, send: 'hello' })
      assert.equal(heard, '')
      const record = await seen.connection(({ outcome }) => outcome === 'failed')
      assert.equal(record.endpoint, `${orders.ips[0]}:5000`)
    })

    it('T33: a name under a wildcard opens the address that it leads to, by Host and by SNI', async () => {
      const [host] = outside.ips
      const byHost = await talk(storefront.app, { host, port: 8_443, send: get('eu.partner.example') })
      assert.match(byHost.heard, /outside eu.partner.example/)
      const seen = await watch(storefront.sidecar)
      await talk(storefront.app, { host, port: 8_443, tls: { serverName: 'eu.partner.example' } })
      // More than the request before had, whose end may be told only now: the ClientHello went through whole.
      const record = await seen.connection(({ outcome, bytesIn }) => outcome === 'allowed' && bytesIn > 200)
      assert.match(record.upstream, /^egress\/partners /)
    })

    it('T33: a name under a wildcard that leads elsewhere, or to nobody, opens nothing', async () => {
      for (const name of ['eu.partner.example', 'xx.partner.example', 'evil.example', 'partner.example']) {
        const [, host] = outside.ips
        const seen = await watch(storefront.sidecar)
        const { heard } = await talk(storefront.app, { host, port: 8_443, send: get(name) })
        assert.equal(heard, '', name)
        await seen.connection(denied('outbound-unknown-address'))
      }
    })

    it('T33: DNS that leads a host of the egress list to a pod of the mesh opens nothing', async () => {
      const forged = {
        ...endpoints,
        version: '2',
        endpoints: {},
        meshed: [...orders.ips, '198.18.66.0/24', 'fd00:66::/64'],
      }
      await storefront.sidecar.tell('update', { endpoints: forged })
      const seen = await watch(storefront.sidecar)
      const { heard } = await talk(storefront.app, {
        host: outside.ips[0],
        port: 443,
        send: get('api.partner.example'),
      })
      assert.equal(heard, '')
      await seen.connection(denied('outbound-forbidden-address'))
      await storefront.sidecar.tell('update', { endpoints })
    })

    it('T33: what is open outside is cut when the egress list no longer has it', async () => {
      const [host] = outside.ips
      const open = talk(storefront.app, { host, port: 9_000, send: 'GET / HTTP/1.1\r\nHost: block\r\n\r\n' })
      const seen = await watch(storefront.sidecar)
      // By the time that a later one has been answered, so has this one.
      await talk(storefront.app, { host, port: 9_000, send: get('later') })
      await storefront.sidecar.tell('update', { config: { ...config, outbound: { ...config.outbound, egress: [] } } })
      const { ended } = await open
      assert.notEqual(ended, 'silence')
      const record = await seen.connection(({ outcome }) => outcome === 'denied')
      assert.ok(record.bytesOut > 0)
      await storefront.sidecar.tell('update', { config })
    })
  })
})
