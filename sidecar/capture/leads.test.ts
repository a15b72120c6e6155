import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from '#fast-check'
import type { EndpointsDocument } from '../../contract/endpoints.ts'
import type { EgressRule, OutboundService, WorkloadConfig } from '../../contract/workload-config.ts'
import { meshUpstream, plaintextUpstream } from '../serve/testing/world.ts'
import { oneSpelling } from './destination.ts'
import { compileLeads, type Leads } from './leads.ts'

function service(name: string, port: number, addresses: readonly string[] = []): OutboundService {
  return {
    service: `shop/${name}`,
    hosts: [name],
    ...(addresses.length > 0 && { addresses: [...addresses] }),
    port,
    protocol: 'http',
    upstream: `shop/${name}:${port}`,
    requestTimeoutMs: 0,
  }
}

const UPSTREAMS: WorkloadConfig['upstreams'] = {
  'shop/orders:80': meshUpstream('orders'),
  'shop/headless:8080': meshUpstream('orders'),
  'shop/legacy:53': plaintextUpstream('shop/legacy', 53),
}

const SERVICES = [
  service('orders', 80, ['10.96.0.7', 'fd00:96::7']),
  service('headless', 8080),
  service('legacy', 53, ['10.96.0.10']),
]

const ENDPOINTS: EndpointsDocument['endpoints'] = {
  'shop/orders:80': [
    { address: '10.244.0.1', port: 8080, pod: 'shop/a', otherAddresses: ['fd00:244::1'] },
    { address: '10.244.0.2', port: 8080, pod: 'shop/b' },
  ],
  'shop/headless:8080': [{ address: '10.244.0.1', port: 9090, pod: 'shop/a' }],
  'shop/legacy:53': [{ address: '10.244.0.9', port: 53, pod: 'kube-system/dns' }],
}

function leads(
  egress: readonly EgressRule[] = [],
  meshed: readonly string[] = [],
  resolvers: readonly string[] = [],
): Leads {
  return compileLeads(
    { outbound: { services: SERVICES, egress: [...egress] }, upstreams: UPSTREAMS },
    { endpoints: ENDPOINTS, meshed: [...meshed] },
    new Set(resolvers),
  )
}

/** `10.0.0.1:80` as one line of what it leads to. */
function lead(of: Leads, text: string): string {
  const at = text.lastIndexOf(':')
  const found = of.find({
    address: oneSpelling(text.slice(0, at).replace(/[[\]]/g, '')),
    port: Number(text.slice(at + 1)),
  })
  switch (found.kind) {
    case 'service': {
      const { endpoint } = found
      const { upstream } = found.destination.service
      return endpoint === undefined ? upstream : `${upstream} at ${endpoint.address}:${endpoint.port}`
    }
    case 'outside':
      return `outside by ${found.rule}`
    case 'named':
      return `named ${[...found.exact, ...found.wildcards].map(({ host }) => host.text).join(' ')}`
    case 'refused':
      return found.denial.name
  }
}

const WIDE: readonly EgressRule[] = [
  { name: 'all', cidr: '0.0.0.0/0', ports: [80, 53, 8080, 9999] },
  { name: 'all', cidr: '::/0', ports: [80, 8080] },
]

test('T33: the address and port of a Service name it, in both families', () => {
  assert.equal(lead(leads(), '10.96.0.7:80'), 'shop/orders:80')
  assert.equal(lead(leads(), '[fd00:96::7]:80'), 'shop/orders:80')
  assert.equal(lead(leads(), '10.96.0.10:53'), 'shop/legacy:53')
})

test('T33: another port of a Service leads nowhere, whatever the egress list has', () => {
  assert.equal(lead(leads(), '10.96.0.7:81'), 'outbound-forbidden-address')
  assert.equal(lead(leads(WIDE), '10.96.0.7:9999'), 'outbound-forbidden-address')
})

test('T33: a pod is called as what its Service is, at that pod, by each of its addresses', () => {
  assert.equal(lead(leads(), '10.244.0.1:8080'), 'shop/orders:80 at 10.244.0.1:8080')
  assert.equal(lead(leads(), '[fd00:244::1]:8080'), 'shop/orders:80 at 10.244.0.1:8080')
  assert.equal(lead(leads(), '10.244.0.2:8080'), 'shop/orders:80 at 10.244.0.2:8080')
  assert.equal(lead(leads(), '10.244.0.1:9090'), 'shop/headless:8080 at 10.244.0.1:9090')
  assert.equal(lead(leads(), '10.244.0.9:53'), 'shop/legacy:53 at 10.244.0.9:53')
})

test('T33: another port of a pod of the mesh leads nowhere, whatever the egress list has', () => {
  assert.equal(lead(leads(WIDE), '10.244.0.1:9999'), 'outbound-forbidden-address')
  assert.equal(lead(leads(WIDE), '[fd00:244::1]:80'), 'outbound-forbidden-address')
})

test('T33: where a meshed and an unmeshed Service disagree about a pod, it is not called in plaintext', () => {
  const both = compileLeads(
    { outbound: { services: [...SERVICES].reverse(), egress: [] }, upstreams: UPSTREAMS },
    { endpoints: { ...ENDPOINTS, 'shop/legacy:53': [{ address: '10.244.0.1', port: 8080, pod: 'shop/a' }] } },
  )
  assert.equal(lead(both, '10.244.0.1:8080'), 'shop/orders:80 at 10.244.0.1:8080')
})

test('T33: what nobody named leads nowhere', () => {
  assert.equal(lead(leads(), '203.0.113.1:443'), 'outbound-unknown-address')
  assert.equal(lead(leads(WIDE), '203.0.113.1:443'), 'outbound-unknown-address')
})

test('T33: a block of the egress list opens its ports, IPv4 and IPv6 apart', () => {
  assert.equal(lead(leads(WIDE), '203.0.113.1:80'), 'outside by all')
  assert.equal(lead(leads(WIDE), '[2001:db8::1]:8080'), 'outside by all')
  assert.equal(lead(leads(WIDE), '[2001:db8::1]:53'), 'outbound-unknown-address')
})

test('T33: no rule leads to where the mesh is, to metadata, to link-local, or to loopback', () => {
  const wide = leads(WIDE, ['10.244.7.0/24', 'fd00:244:0:0:0:0:0:0/64'])
  for (const address of [
    '10.244.7.1',
    '169.254.169.254',
    '127.0.0.1',
    '224.0.0.1',
    '[fd00:244::7]',
    '[fe80::1]',
    '[::1]',
  ]) {
    assert.equal(lead(wide, `${address}:80`), 'outbound-forbidden-address', address)
  }
  assert.equal(lead(wide, '10.244.8.1:80'), 'outside by all')
  const named = leads([{ name: 'api', host: 'api.example', ports: [443] }], ['10.244.7.0/24'])
  assert.equal(lead(named, '10.244.7.1:443'), 'outbound-forbidden-address')
})

test('T33: a block of the mesh that cannot be read might be anywhere', () => {
  assert.equal(lead(leads(WIDE, ['nonsense']), '203.0.113.1:80'), 'outbound-forbidden-address')
})

test('an address that the operator vouches for is reached even if a block of the mesh holds it', () => {
  const api = leads([{ name: 'api', address: '10.96.0.1', ports: [443] }], ['10.96.0.0/16'])
  assert.equal(lead(api, '10.96.0.1:443'), 'outside by api')
  assert.equal(lead(api, '10.96.0.1:80'), 'outbound-unknown-address')
  assert.equal(
    lead(leads([{ name: 'odd', address: '10.96.0.7', ports: [81] }]), '10.96.0.7:81'),
    'outbound-forbidden-address',
  )
})

test('the pod’s resolver is asked over TCP as it is over UDP, on its own port, unless it is of the mesh', () => {
  const asking = leads([], ['10.244.0.0/24'], ['10.96.0.53', '169.254.20.10', '10.244.0.7', '10.96.0.7'])
  assert.equal(lead(asking, '10.96.0.53:53'), 'outside by resolver')
  assert.equal(lead(asking, '169.254.20.10:53'), 'outside by resolver')
  assert.equal(lead(asking, '10.96.0.53:443'), 'outbound-unknown-address')
  assert.equal(lead(asking, '10.244.0.7:53'), 'outbound-unknown-address')
  assert.equal(lead(asking, '10.96.0.7:53'), 'outbound-forbidden-address')
  assert.equal(lead(leads([], [], ['10.96.0.10']), '10.96.0.10:53'), 'shop/legacy:53')
})

test('hosts are to be asked about, those of the port alone and none of the cluster’s own domain', () => {
  const named = leads([
    { name: 'a', host: 'api.example', ports: [443] },
    { name: 'b', host: '*.example', ports: [443, 80] },
    { name: 'c', host: 'kubernetes.default.svc', ports: [443] },
    { name: 'd', host: 'x.default.svc.cluster.local', ports: [443] },
    { name: 'e', host: '*.svc', ports: [443] },
  ])
  assert.equal(lead(named, '203.0.113.1:443'), 'named api.example *.example')
  assert.equal(lead(named, '203.0.113.1:80'), 'named *.example')
  assert.equal(lead(named, '203.0.113.1:8443'), 'outbound-unknown-address')
})

test('T33: no egress list leads to an address of the mesh in plaintext', () => {
  const octet = fc.integer({ min: 0, max: 255 })
  const address = fc.tuple(fc.constantFrom('10.244.0', '10.96.0', '192.0.2'), octet).map((parts) => parts.join('.'))
  const rule: fc.Arbitrary<EgressRule> = fc
    .tuple(fc.constantFrom('0.0.0.0/0', '10.0.0.0/8', '10.244.0.0/24', '10.96.0.7/32', '192.0.2.0/24'), fc.boolean())
    .map(([cidr, isAddress]) =>
      isAddress
        ? { name: 'x', address: cidr.split('/')[0]!, ports: [80, 8080] }
        : { name: 'x', cidr, ports: [80, 8080] },
    )
  const ofMesh = new Set(['10.96.0.7', '10.244.0.1', '10.244.0.2'])
  fc.assert(
    fc.property(fc.array(rule, { maxLength: 5 }), address, fc.constantFrom(80, 8080, 53), (egress, dialled, port) => {
      const found = leads(egress).find({ address: dialled, port })
      if (!ofMesh.has(dialled)) return
      const isSafe =
        found.kind === 'refused' ||
        (found.kind === 'service' && UPSTREAMS[found.destination.service.upstream]?.tls === 'mesh')
      assert.ok(isSafe, JSON.stringify(found))
    }),
  )
})
