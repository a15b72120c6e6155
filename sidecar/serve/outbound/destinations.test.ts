import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { EgressRule, OutboundService } from '../../../contract/workload-config.ts'
import { compileDestinations } from './destinations.ts'

function destinations(
  services: readonly OutboundService[],
  egress: readonly EgressRule[] = [],
  isMeshed: (address: string, port: number) => boolean = () => false,
) {
  return compileDestinations(
    { outbound: { services: [...services], egress: [...egress] }, upstreams: {} },
    1_000,
    isMeshed,
  )
}

const ORDERS: OutboundService = {
  service: 'shop/orders',
  hosts: ['orders', 'orders.shop', 'orders.shop.svc.cluster.local'],
  port: 80,
  protocol: 'http',
  upstream: 'shop/orders:80',
  requestTimeoutMs: 7_000,
}

test('a Service is known by each of its names, on its port', () => {
  const { service } = destinations([ORDERS, { ...ORDERS, port: 9090, upstream: 'shop/orders:9090' }])
  for (const host of ORDERS.hosts) assert.equal(service(host, 80)?.service.upstream, 'shop/orders:80')
  assert.equal(service('orders', 9090)?.service.upstream, 'shop/orders:9090')
  for (const [host, port] of [
    ['orders', 81],
    ['payments', 80],
    ['x.orders', 80],
    ['__proto__', 80],
  ] as const) {
    assert.equal(service(host, port), undefined)
  }
})

test('egress covers names by host rules and addresses by blocks, on the ports that are named', () => {
  const { egress } = destinations(
    [],
    [
      { name: 'api', host: 'api.example.com', ports: [443] },
      { name: 'wild', host: '*.example.org', ports: [443, 80] },
      { name: 'net', cidr: '198.51.100.0/24', ports: [443] },
      { name: 'six', cidr: '2001:db8::/32', ports: [443] },
      { name: 'broken', cidr: '198.51.100.1/24', ports: [8443] },
    ],
  )
  assert.equal(egress('api.example.com', 443)?.name, 'egress/api api.example.com:443')
  assert.equal(egress('a.b.example.org', 80)?.target.host, 'a.b.example.org')
  assert.equal(egress('198.51.100.7', 443)?.target.host, '198.51.100.7')
  assert.equal(egress('[2001:db8::1]', 443)?.target.host, '2001:db8::1')
  for (const [host, port] of [
    ['api.example.com', 80],
    ['example.org', 443],
    ['198.51.101.7', 443],
    ['198.51.100.7', 80],
    ['198.51.100.1', 8443],
  ] as const) {
    assert.equal(egress(host, port), undefined, `${host}:${port}`)
  }
})

test('T33: no rule leads to a metadata address, to a workload of the mesh, or by name to this machine', () => {
  const rules: EgressRule[] = [
    { name: 'api', host: 'api.example.com', ports: [443] },
    { name: 'all', cidr: '0.0.0.0/0', ports: [443] },
    { name: 'all6', cidr: '::/0', ports: [443] },
  ]
  const { egress } = destinations([], rules, (address) => address === '10.1.2.3')
  const byName = egress('api.example.com', 443)!.target
  const byAddress = egress('203.0.113.1', 443)!.target
  const byAddress6 = egress('[2001:db8::1]', 443)!.target
  for (const address of [
    '169.254.169.254',
    '::ffff:169.254.169.254',
    '64:ff9b::a9fe:a9fe',
    'fe80::1',
    'fd00:ec2::254',
    '100.100.100.200',
    '0.0.0.0',
    '::',
    '224.0.0.1',
    '255.255.255.255',
    '10.1.2.3',
    'not an address',
  ]) {
    for (const target of [byName, byAddress, byAddress6]) assert.equal(target.allows(address), false, address)
  }
  for (const loopback of ['127.0.0.1', '127.9.9.9', '::1', '::ffff:127.0.0.1']) {
    assert.equal(byName.allows(loopback), false, loopback)
    assert.equal(byAddress.allows(loopback), false, loopback)
    assert.equal(byAddress6.allows(loopback), false, loopback)
  }
  assert.equal(byName.allows('203.0.113.1'), true)
  assert.equal(byName.allows('10.9.9.9'), true)
  for (const cidr of ['127.0.0.1/32', '127.0.0.0/8', '::1/128']) {
    const own = cidr.startsWith('127') ? '127.0.0.1' : '::1'
    const named = destinations([], [{ name: 'own', cidr, ports: [443] }], () => false)
    const host = own === '::1' ? '[::1]' : own
    assert.equal(named.egress(host, 443)?.target.allows(own), true, cidr)
  }
})
