import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { defineFilter, type Filter } from '../model/filter.ts'
import { ok } from '../model/result.ts'
import { CONTINUE } from '../model/verdict.ts'
import { FILTERS } from '../policies/filters.ts'
import { canonicalJson, decode, read } from './codec.ts'
import { documentVersion, encodeFor, spokenWith, wireVersion } from './encode-for.ts'
import { EndpointsDocument } from './endpoints.ts'
import { KeysDocument } from './keys.ts'
import { CONTRACT_VERSION, type FilterSlots, WorkloadConfig } from './workload-config.ts'

const TESTDATA = join(import.meta.dirname, 'testdata')

function frozen(version: string, file: string): string {
  return readFileSync(join(TESTDATA, version, file), 'utf8')
}

function config(version: string, file: string): WorkloadConfig {
  const decoded = decode(WorkloadConfig, frozen(version, file))
  assert.ok(decoded.ok)
  return decoded.value
}

function withoutVersion(document: object): string {
  return canonicalJson({ ...document, version: undefined })
}

for (const file of ['config-storefront.json', 'config-orders-db.json', 'config-gateway.json']) {
  test(`F20: ${file} of version 2, encoded for version 1, is what version 1 was sent`, () => {
    const { document, unsupported } = encodeFor(1, 'config', config('v2', file))
    assert.equal(withoutVersion(document), withoutVersion(JSON.parse(frozen('v1', file))))
    assert.deepEqual(unsupported, [])
  })
}

test('F20: what is asked about calls is not sent to sidecars before version 3, and its policies are told of', () => {
  const newest = config('v3', 'config-internal-tokens.json')
  assert.ok(newest.outbound.filters !== undefined)
  for (const contract of [1, 2] as const) {
    const { document, unsupported } = encodeFor(contract, 'config', newest)
    assert.equal(Object.hasOwn((document as WorkloadConfig).outbound, 'filters'), false)
    assert.deepEqual(unsupported, ['shop/orders@1'])
    const [listener] = (document as WorkloadConfig).listeners
    assert.equal(listener?.routes[0]?.filters['mtls']?.[0]?.state, 'unresolved')
  }
})

test('F20: endpoints and keys of version 2, encoded for version 1, are what version 1 was sent', () => {
  const endpoints = decode(EndpointsDocument, frozen('v2', 'endpoints.json'))
  const keys = decode(KeysDocument, frozen('v2', 'keys.json'))
  assert.ok(endpoints.ok && keys.ok)
  assert.equal(
    withoutVersion(encodeFor(1, 'endpoints', endpoints.value).document),
    withoutVersion(JSON.parse(frozen('v1', 'endpoints.json'))),
  )
  assert.equal(
    withoutVersion(encodeFor(1, 'keys', keys.value).document),
    withoutVersion(JSON.parse(frozen('v1', 'keys.json'))),
  )
})

/** Every name of a member in a document, wherever it stands. */
function membersOf(value: unknown): readonly string[] {
  if (Array.isArray(value)) return value.flatMap(membersOf)
  if (typeof value !== 'object' || value === null) return []
  return Object.entries(value).flatMap(([name, part]) => [name, ...membersOf(part)])
}

/** The words that came with version 3. */
const SINCE_3 = ['appProtocol', 'traffic', 'routing', 'delivery', 'mirrors', 'session', 'zone', 'zones', 'streams']

test('F20: the documents of version 3 have every word of it, and encoded for older versions none', () => {
  const names = ['gateway', 'gateway-streams', 'orders', 'orders-db', 'pricing', 'storefront']
  const configs = names.map((name) => config('v3', `config-${name}.json`))
  const endpoints = decode(EndpointsDocument, frozen('v3', 'endpoints.json'))
  assert.ok(endpoints.ok)
  const written = new Set([...configs, endpoints.value].flatMap(membersOf))
  assert.deepEqual(
    SINCE_3.filter((word) => !written.has(word)),
    [],
  )
  for (const contract of [1, 2] as const) {
    for (const newest of configs) {
      const { document, unsupported } = encodeFor(contract, 'config', newest)
      const words = new Set(membersOf(document))
      assert.deepEqual(
        SINCE_3.filter((word) => words.has(word)),
        [],
      )
      assert.equal(document.contract, contract)
      const isTold = 'shop/catalog:80' in newest.upstreams
      const isRouted = newest.outbound.services.some(({ routing }) => routing !== undefined)
      assert.deepEqual(unsupported, [
        ...(newest.streams === undefined ? [] : ['TCPRoute/shop/db@1', 'TLSRoute/shop/shop@3']),
        ...(isRouted ? ['HTTPRoute/shop/catalog@1'] : []),
        ...(isTold ? ['TrafficPolicy/shop/catalog@2'] : []),
      ])
      assert.ok(read(WorkloadConfig, document).ok)
    }
    const { document } = encodeFor(contract, 'endpoints', endpoints.value)
    const words = new Set(membersOf(document))
    assert.deepEqual(
      SINCE_3.filter((word) => words.has(word)),
      [],
    )
  }
})

test('F20: endpoints and keys of version 3, encoded for version 2, are what version 2 was sent', () => {
  const endpoints = decode(EndpointsDocument, frozen('v3', 'endpoints.json'))
  const keys = decode(KeysDocument, frozen('v3', 'keys.json'))
  assert.ok(endpoints.ok && keys.ok)
  assert.equal(
    withoutVersion(encodeFor(2, 'endpoints', endpoints.value).document),
    withoutVersion(JSON.parse(frozen('v2', 'endpoints.json'))),
  )
  assert.equal(
    withoutVersion(encodeFor(2, 'keys', keys.value).document),
    withoutVersion(JSON.parse(frozen('v2', 'keys.json'))),
  )
})

test('F20: versions 1 and 2 are not told how many replicas there are, and refuse where a limit is shared among them', () => {
  const endpoints = decode(EndpointsDocument, frozen('v3', 'endpoints-replicas.json'))
  assert.ok(endpoints.ok && endpoints.value.replicas === 3)
  for (const contract of [1, 2] as const) {
    assert.ok(!('replicas' in encodeFor(contract, 'endpoints', endpoints.value).document))
    const { document, unsupported } = encodeFor(contract, 'config', config('v3', 'config-shared-limits.json'))
    assert.ok(unsupported.includes('shop/month@1'))
    assert.ok(!('limitStore' in document))
    const { filters } = (document as WorkloadConfig).listeners[0]!.routes[0] ?? { filters: undefined }
    assert.equal(filters?.['rate-limit'], undefined)
  }
})

test('F20: a gateway of version 2 serves GRPCRoutes by the same paths', () => {
  const { listeners } = encodeFor(2, 'config', config('v3', 'config-gateway.json')).document as WorkloadConfig
  const calls = listeners.flatMap(({ routes }) => routes).filter(({ id }) => id.startsWith('GRPCRoute/'))
  assert.deepEqual(
    calls.map(({ match: { method, path }, action }) => `${method} ${path.type} ${path.value} ${action.kind}`),
    // There is no word for a method of whatever service: what may be for it is refused, and not handed to a wider route.
    ['POST exact /shop.Pricing/Quote forward', 'POST prefix /shop.Pricing forward', 'POST prefix / respond'],
  )
})

test('F20: a gateway of version 2 does not open the port of a stream, and serves its other listeners', () => {
  const newest = config('v3', 'config-gateway-streams.json')
  const { document } = encodeFor(2, 'config', newest) as { readonly document: WorkloadConfig }
  assert.equal(newest.streams?.length, 3)
  assert.equal('streams' in document, false)
  assert.deepEqual(document.listeners, newest.listeners)
})

test('F20: an address of the egress list is a block of one for version 1', () => {
  const { outbound } = encodeFor(1, 'config', config('v2', 'config-orders.json')).document as WorkloadConfig
  assert.deepEqual(outbound.egress, [
    { name: 'kubernetes-api', host: 'kubernetes.default.svc', ports: [443] },
    { name: 'kubernetes-api', cidr: '10.96.0.1/32', ports: [443] },
    { name: 'kubernetes-api', cidr: 'fd00:10:96::1/128', ports: [443] },
    { name: 'partners', host: '*.partner.example', ports: [443, 8443] },
    { name: 'warehouse', cidr: '192.0.2.0/24', ports: [5432] },
  ])
})

test('F20: a document for the newest version is the document itself', () => {
  const newest = config('v2', 'config-orders.json')
  assert.equal(encodeFor(CONTRACT_VERSION, 'config', newest).document, newest)
})

test('F20: what is encoded for an older version has a version of its own, which leads back', () => {
  const newest = config('v2', 'config-orders.json')
  const { version } = encodeFor(1, 'config', newest).document
  assert.notEqual(version, newest.version)
  assert.equal(version, wireVersion(1, newest.version))
  assert.equal(documentVersion(version), newest.version)
  assert.equal(documentVersion(newest.version), newest.version)
})

test('F20: a newer sidecar is spoken to in the newest version here, one from before the first in none', () => {
  assert.deepEqual([0, 1, 2, 3, 4, 99].map(spokenWith), [undefined, 1, 2, 3, 3, 3])
})

/** A filter that sidecars of version 1 do not have. */
const telepathy: Filter = defineFilter<unknown>({
  name: 'telepathy',
  denials: [],
  repeatable: true,
  tcp: true,
  decode: (wire) => ok(wire),
  compile: () => ok(() => CONTINUE),
  explain: () => [],
  since: () => 2,
})

function slotsIn({ listeners }: WorkloadConfig): FilterSlots {
  const filters = listeners[0]?.routes[0]?.filters
  assert.ok(filters)
  return filters
}

function withSlots(change: (slots: FilterSlots) => FilterSlots): WorkloadConfig {
  const original = config('v2', 'config-orders.json')
  const listeners = original.listeners.map((listener) => ({
    ...listener,
    routes: listener.routes.map((route) => ({ ...route, filters: change(route.filters) })),
  }))
  return { ...original, listeners }
}

test('F20: where an enforced policy needs newer words the route refuses, and the policy is named', () => {
  const slot = { state: 'resolved', mode: 'enforce', origins: ['shop/minds@4'], config: {} } as const
  const changed = withSlots((slots) => ({ ...slots, telepathy: [{ ...slot, origins: [...slot.origins] }] }))
  const { document, unsupported } = encodeFor(1, 'config', changed, [...FILTERS, telepathy])
  assert.deepEqual(unsupported, ['shop/minds@4'])
  const slots = slotsIn(document as WorkloadConfig)
  assert.equal(slots['telepathy'], undefined)
  assert.deepEqual(
    slots['mtls']?.map(({ state, mode, origins }) => ({ state, mode, origins })),
    [{ state: 'unresolved', mode: 'enforce', origins: ['shop/minds@4'] }],
  )
  assert.deepEqual(slots['jwt'], slotsIn(changed)['jwt'])
})

test('F20: a dry run that needs newer words is left out, and changes no answer', () => {
  const changed = withSlots((slots) => ({
    ...slots,
    telepathy: [{ state: 'resolved', mode: 'dry-run', origins: ['shop/minds@4'], config: {} }],
  }))
  const { document, unsupported } = encodeFor(1, 'config', changed, [...FILTERS, telepathy])
  assert.deepEqual(unsupported, ['shop/minds@4'])
  assert.deepEqual(slotsIn(document as WorkloadConfig), slotsIn(config('v2', 'config-orders.json')))
})

test('F20: no policy needs more than version 1 yet', () => {
  for (const file of ['config-orders.json', 'config-gateway.json']) {
    assert.deepEqual(encodeFor(1, 'config', config('v2', file)).unsupported, [])
  }
})

test('F06, F20: version 1 is told of no distrusted roots: it has lost them from its bundle, and cuts nothing', () => {
  const newest = { ...config('v2', 'config-orders.json'), distrustedRoots: ['ab'.repeat(32)] }
  const { document } = encodeFor(1, 'config', newest)
  assert.equal('distrustedRoots' in document, false)
})

test('F20: version 2 is told nothing of traffic and zones, and whoever asks learns which policies that concerns', () => {
  const before = config('v2', 'config-gateway.json')
  const [name = '', upstream] = Object.entries(before.upstreams)[0] ?? []
  assert.ok(upstream !== undefined)
  const traffic = { origins: ['TrafficPolicy/shop/orders@3'], delivery: { tryTimeoutMs: 500 }, warmUpMs: 30_000 }
  const withTraffic: WorkloadConfig = {
    ...before,
    upstreams: { ...before.upstreams, [name]: { ...upstream, traffic } },
    listeners: before.listeners.map((listener) => ({
      ...listener,
      routes: listener.routes.map((route) => ({
        ...route,
        action:
          route.action.kind === 'forward'
            ? {
                ...route.action,
                delivery: { tryTimeoutMs: 86_400_000 },
                mirrors: [{ upstream: name, numerator: 1, denominator: 2 }],
                session: { by: 'cookie' as const, name: 's', isPermanent: false },
              }
            : route.action,
      })),
    })) as WorkloadConfig['listeners'],
  }
  assert.ok(read(WorkloadConfig, withTraffic).ok)
  const encoded = encodeFor(2, 'config', withTraffic)
  assert.equal(withoutVersion(encoded.document), withoutVersion(before))
  assert.deepEqual(encoded.unsupported, ['TrafficPolicy/shop/orders@3'])

  const frozenEndpoints = decode(EndpointsDocument, frozen('v2', 'endpoints.json'))
  assert.ok(frozenEndpoints.ok)
  const { endpoints } = frozenEndpoints.value
  const zoned = Object.entries(endpoints).map(([key, list]) => [key, list.map((each) => ({ ...each, zone: 'a' }))])
  const newest = { ...frozenEndpoints.value, endpoints: Object.fromEntries(zoned), zones: { 'shop/a': 'a' } }
  assert.ok(read(EndpointsDocument, newest).ok)
  assert.equal(
    withoutVersion(encodeFor(2, 'endpoints', newest).document),
    withoutVersion(JSON.parse(frozen('v2', 'endpoints.json'))),
  )
})

test('F20: what speaks HTTP/2 is opaque TCP before version 3, with the checks of its connections', () => {
  const before = config('v2', 'config-orders-db.json')
  const after: WorkloadConfig = {
    ...before,
    listeners: before.listeners.map((listener) => {
      assert.ok(listener.kind === 'inbound' && listener.protocol === 'tcp')
      const action = { kind: 'app' as const, port: listener.port, requestTimeoutMs: 0 }
      const match = { hostnames: [], path: { type: 'prefix' as const, value: '/' }, headers: [], query: [] }
      return {
        ...listener,
        protocol: 'http' as const,
        appProtocol: 'http2' as const,
        routes: [{ id: 'Service/shop/orders-db:5432', match, filters: {}, action }],
      }
    }),
  }
  assert.ok(read(WorkloadConfig, after).ok)
  for (const contract of [1, 2] as const) {
    const expected = encodeFor(contract, 'config', before).document
    assert.equal(withoutVersion(encodeFor(contract, 'config', after).document), withoutVersion(expected))
  }

  const caller = config('v2', 'config-storefront.json')
  const [name = ''] = Object.keys(caller.upstreams)
  const calls = (protocol: 'http' | 'tcp', more: { appProtocol?: 'http2' }): WorkloadConfig => ({
    ...caller,
    upstreams: { ...caller.upstreams, [name]: { ...caller.upstreams[name]!, protocol, ...more } },
    outbound: {
      ...caller.outbound,
      services: caller.outbound.services.map((service) =>
        service.upstream === name ? { ...service, protocol, ...more } : service,
      ),
    },
  })
  assert.equal(
    withoutVersion(encodeFor(2, 'config', calls('http', { appProtocol: 'http2' })).document),
    withoutVersion(encodeFor(2, 'config', calls('tcp', {})).document),
  )
})

test('F20: version 2 is told the shorter one of the time for a request and the time for its one try', () => {
  const before = config('v2', 'config-gateway.json')
  const timeoutFor = (delivery: { requestTimeoutMs?: number; tryTimeoutMs?: number }) => {
    const listeners = before.listeners.map((listener) => ({
      ...listener,
      routes: [
        {
          ...listener.routes[0]!,
          action: { kind: 'forward', backends: [{ upstream: '', weight: 1 }], requestTimeoutMs: 15_000, delivery },
        },
      ],
    })) as WorkloadConfig['listeners']
    const { document } = encodeFor(2, 'config', { ...before, listeners })
    const action = (document as WorkloadConfig).listeners[0]?.routes[0]?.action
    return action?.kind === 'forward' ? action.requestTimeoutMs : undefined
  }
  assert.equal(timeoutFor({}), 15_000)
  assert.equal(timeoutFor({ tryTimeoutMs: 1_000 }), 1_000)
  assert.equal(timeoutFor({ requestTimeoutMs: 60_000, tryTimeoutMs: 90_000 }), 60_000)
  assert.equal(timeoutFor({ requestTimeoutMs: 0, tryTimeoutMs: 0 }), 0)
})
