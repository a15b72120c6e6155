import fc from '#fast-check'
import type { RouteConfig, WorkloadConfig } from '../workload-config.ts'

/** A route that answers 200 by itself. */
export function route(id: string, change: Partial<RouteConfig> = {}): RouteConfig {
  return {
    id,
    match: { hostnames: [], path: { type: 'prefix', value: `/${id}` }, headers: [], query: [] },
    filters: {},
    action: { kind: 'respond', status: 200 },
    ...change,
  }
}

/** What differs from one config of {@link someConfig} to another. */
export interface Parts {
  readonly routes: readonly RouteConfig[]
  readonly services: readonly string[]
  readonly upstreams: readonly string[]
  readonly timeoutMs: number
}

/** A config with these parts at a listener of each kind. */
export function someConfig({ routes, services, upstreams, timeoutMs }: Parts): WorkloadConfig {
  return {
    contract: 3,
    version: 'v',
    workload: 'shop/orders',
    role: 'gateway',
    identity: { spiffeId: 'spiffe://mesh/ns/shop/sa/orders', trustDomain: 'mesh' },
    trustBundle: [],
    trustedHops: 0,
    listeners: [
      { kind: 'gateway', name: 'http', port: 80, protocol: 'http', certificates: [], routes: [...routes] },
      { kind: 'inbound', port: 80, protocol: 'http', mtls: 'Strict', filters: {}, routes: [...routes] },
    ],
    outbound: {
      egress: [],
      services: services.map((name) => ({
        service: name,
        hosts: [name],
        port: 80,
        protocol: 'http',
        upstream: name,
        requestTimeoutMs: timeoutMs,
      })),
    },
    upstreams: Object.fromEntries(
      upstreams.map((name) => [name, { service: name, port: 80, protocol: 'http', tls: 'mesh', spiffeIds: [] }]),
    ),
  }
}

const name = fc.constantFrom('a', 'b', 'c', 'd', 'constructor', 'toString')
/** Few names, so that two of them have much in common. */
export const parts: fc.Arbitrary<Parts> = fc.record({
  routes: fc.array(
    fc
      .tuple(name, fc.constantFrom(200 as const, 404 as const))
      .map(([id, status]) => route(id, { action: { kind: 'respond', status } })),
    { maxLength: 5 },
  ),
  services: fc.array(name, { maxLength: 4 }),
  upstreams: fc.uniqueArray(name, { maxLength: 4 }),
  timeoutMs: fc.constantFrom(1, 2),
})
