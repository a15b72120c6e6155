import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { OutboundService, RouteConfig, WorkloadConfig } from '../../contract/workload-config.ts'
import type { RequestView } from '../../model/request.ts'
import { type CompileDeps, compile } from './compile.ts'

const deps: CompileDeps = {
  clock: { now: () => 0, monotonic: () => 0 },
  crypto: { sha256: (text) => text, importJwk: () => undefined, verify: () => false },
  keys: { generation: 0, keysOf: () => undefined, refresh: async () => {} },
  count: () => {},
}

function route(id: string, path: string, more: Partial<RouteConfig['match']> = {}): RouteConfig {
  return {
    id,
    match: { hostnames: [], path: { type: 'prefix', value: path }, headers: [], query: [], ...more },
    filters: {},
    action: { kind: 'forward', backends: [{ upstream: 'shop/orders:80', weight: 1 }], requestTimeoutMs: 0 },
  }
}

function config(routes: readonly RouteConfig[]): WorkloadConfig {
  const orders: OutboundService = {
    service: 'shop/orders',
    hosts: ['orders'],
    port: 80,
    protocol: 'http',
    upstream: 'shop/orders:80',
    requestTimeoutMs: 0,
    routing: { origins: ['HTTPRoute/shop/orders@1'], routes: [...routes] },
  }
  return {
    contract: 3,
    version: 'v',
    workload: 'shop/web',
    role: 'sidecar',
    identity: { spiffeId: 'spiffe://cluster.local/ns/shop/sa/web', trustDomain: 'cluster.local' },
    trustBundle: [],
    trustedHops: 0,
    listeners: [],
    outbound: { services: [orders], egress: [] },
    upstreams: {},
  }
}

/** A request, and how often a route asked for a header of it. */
function asked(path: string): { readonly request: RequestView; looks(): number } {
  let looks = 0
  const request: RequestView = {
    protocol: 'http',
    method: 'GET',
    path,
    query: '',
    host: 'whatever.example',
    port: 80,
    scheme: 'http',
    peer: { ip: '127.0.0.1' },
    clientIp: '127.0.0.1',
    header: () => 'yes',
    headers: () => {
      looks += 1
      return ['yes']
    },
  }
  return { request, looks: () => looks }
}

test('of a thousand routes at a Service a request looks at those of its own path', () => {
  const headers = [{ type: 'exact', name: 'x-canary', value: 'yes' }] as const
  const routes = Array.from({ length: 1_000 }, (_, i) => route(`r${i}`, `/part-${i}`, { headers: [...headers] }))
  const compiled = compile(config(routes), undefined, deps)
  assert.ok(compiled.ok)
  const routed = compiled.value.outbound.get('shop/orders:80')
  for (const [path, id] of [
    ['/part-0', 'r0'],
    ['/part-999/x', 'r999'],
  ] as const) {
    const { request, looks } = asked(path)
    assert.equal(routed?.route(request)?.id, id)
    assert.equal(looks(), 1)
  }
  assert.equal(routed?.route(asked('/part-1000').request), undefined)
})

test('routes that do not compile refuse the whole config, and a Service without routes has nothing to look up', () => {
  const headers = [{ type: 'regex' as const, name: 'x', value: '(' }]
  const refused = compile(config([route('r', '/', { headers })]), undefined, deps)
  assert.ok(!refused.ok)
  assert.match(refused.issues[0]?.path ?? '', /^outbound\.services\[0\]\.routing/)
  const { outbound, ...rest } = config([])
  const services = outbound.services.map(({ routing: _, ...service }) => service)
  const plain = compile({ ...rest, outbound: { services, egress: [] } }, undefined, deps)
  assert.ok(plain.ok)
  assert.equal(plain.value.outbound.size, 0)
})
