import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from '#fast-check'
import type { RouteMatch } from '../../contract/workload-config.ts'
import type { RequestView } from '../../model/request.ts'
import { buildRouter } from './router.ts'

function match(parts: Partial<RouteMatch>): RouteMatch {
  return { hostnames: [], path: { type: 'prefix', value: '/' }, headers: [], query: [], ...parts }
}

function request(parts: Partial<RequestView> & { readonly sent?: Readonly<Record<string, string>> }): RequestView {
  const sent = parts.sent ?? {}
  return {
    protocol: 'http',
    method: 'GET',
    path: '/',
    query: '',
    host: 'shop.localhost',
    port: 80,
    scheme: 'http',
    peer: { ip: '127.0.0.1' },
    clientIp: '127.0.0.1',
    header: (name) => sent[name],
    headers: (name) => (sent[name] === undefined ? [] : [sent[name]]),
    ...parts,
  }
}

test('a prefix matches whole segments only', () => {
  const route = buildRouter([{ match: match({ path: { type: 'prefix', value: '/api' } }), route: 'api' }])
  assert.equal(route(request({ path: '/api' })), 'api')
  assert.equal(route(request({ path: '/api/' })), 'api')
  assert.equal(route(request({ path: '/api/orders' })), 'api')
  assert.equal(route(request({ path: '/apis' })), undefined)
  assert.equal(route(request({ path: '/' })), undefined)
})

test('an exact path matches nothing below or beside it', () => {
  const route = buildRouter([{ match: match({ path: { type: 'exact', value: '/api' } }), route: 'api' }])
  assert.equal(route(request({ path: '/api' })), 'api')
  assert.equal(route(request({ path: '/api/' })), undefined)
})

test('a wildcard host matches one label or more, and not the bare domain', () => {
  const route = buildRouter([{ match: match({ hostnames: ['*.example.com'] }), route: 'wild' }])
  assert.equal(route(request({ host: 'a.example.com' })), 'wild')
  assert.equal(route(request({ host: 'a.b.example.com' })), 'wild')
  assert.equal(route(request({ host: 'example.com' })), undefined)
  assert.equal(route(request({ host: 'badexample.com' })), undefined)
})

test('a route whose header or query does not match lets the next one have the request', () => {
  const route = buildRouter([
    { match: match({ headers: [{ type: 'exact', name: 'x-version', value: '2' }] }), route: 'two' },
    { match: match({ query: [{ type: 'exact', name: 'beta', value: 'yes' }] }), route: 'beta' },
    { match: match({ method: 'POST' }), route: 'post' },
    { match: match({}), route: 'rest' },
  ])
  assert.equal(route(request({ sent: { 'x-version': '2' } })), 'two')
  assert.equal(route(request({ query: 'a=1&beta=yes' })), 'beta')
  assert.equal(route(request({ method: 'POST' })), 'post')
  assert.equal(route(request({})), 'rest')
})

test('names of the object prototype are ordinary path segments and hosts', () => {
  const route = buildRouter([{ match: match({ path: { type: 'prefix', value: '/__proto__' } }), route: 'p' }])
  assert.equal(route(request({ path: '/__proto__/x' })), 'p')
  assert.equal(route(request({ path: '/constructor', host: '__proto__' })), undefined)
})

const hosts = ['a.com', 'b.a.com', '*.a.com', '*.b.a.com']
const segments = ['x', 'y', 'xy']
const path = fc.array(fc.constantFrom(...segments), { maxLength: 3 }).map((parts) => `/${parts.join('/')}`)
const anyMatch = fc.record({
  hostnames: fc.subarray(hosts, { maxLength: 2 }),
  path: fc.record({ type: fc.constantFrom('exact' as const, 'prefix' as const), value: path }),
  method: fc.constantFrom(undefined, 'GET', 'POST'),
})

test('the index finds what a scan in order finds', () => {
  fc.assert(
    fc.property(
      fc.array(anyMatch, { maxLength: 12 }),
      fc.constantFrom('a.com', 'b.a.com', 'c.b.a.com', 'z.com'),
      path,
      fc.constantFrom('GET', 'POST'),
      (matches, host, requestPath, method) => {
        const routes = matches.map(({ method: wanted, ...rest }, i) => ({
          match: match({ ...rest, ...(wanted && { method: wanted }) }),
          route: i,
        }))
        const seen = request({ host, path: requestPath, method })
        const scanned = routes.find(({ match: { hostnames, path: wanted, method: verb } }) => {
          const hostFits =
            hostnames.length === 0 ||
            hostnames.some((name) => (name.startsWith('*.') ? host.endsWith(name.slice(1)) : host === name))
          const pathFits =
            wanted.type === 'exact'
              ? requestPath === wanted.value
              : wanted.value === '/' || requestPath === wanted.value || requestPath.startsWith(`${wanted.value}/`)
          return hostFits && pathFits && (verb === undefined || verb === method)
        })
        assert.equal(buildRouter(routes)(seen), scanned?.route)
      },
    ),
  )
})

test('a method of gRPC is matched whatever its service, and only where a path has two segments', () => {
  const route = buildRouter([
    { match: match({ path: { type: 'exact', value: '/shop.Orders/Watch' } }), route: 'exact' },
    { match: match({ path: { type: 'prefix', value: '/shop.Orders' } }), route: 'service' },
    { match: match({ path: { type: 'grpc-method', value: 'Watch' } }), route: 'method' },
    { match: match({}), route: 'every' },
  ])
  assert.equal(route(request({ path: '/shop.Orders/Watch' })), 'exact')
  assert.equal(route(request({ path: '/shop.Orders/List' })), 'service')
  assert.equal(route(request({ path: '/other.Things/Watch' })), 'method')
  for (const path of ['/Watch', '/a/b/Watch', '/a/Watch/', '/a/watch', '/a/List', '/a/', '/'])
    assert.equal(route(request({ path })), 'every', path)
})
