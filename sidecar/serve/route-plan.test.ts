import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from '#fast-check'
import type { PathRewrite, RouteAction, RouteConfig } from '../../contract/workload-config.ts'
import type { CompiledRoute } from '../compile/pipeline.ts'
import { type HeaderLines, NO_HEADERS } from './http1/header-lines.ts'
import { RequestHeadParser } from './http1/request-head.ts'
import { headersToSet, planOf, rewritePath, withoutIdentity } from './route-plan.ts'

function routeWith(action: RouteAction, prefix = '/', more: Partial<RouteConfig> = {}): RouteConfig {
  return {
    id: 'route',
    match: { hostnames: [], path: { type: 'prefix', value: prefix }, headers: [], query: [] },
    filters: {},
    action,
    ...more,
  }
}

function compiled(config: RouteConfig): CompiledRoute {
  return { id: config.id, config, chain: { enforced: [] } }
}

function forward(rewrite?: PathRewrite): RouteAction {
  return {
    kind: 'forward',
    backends: [{ upstream: 'a', weight: 1 }],
    requestTimeoutMs: 0,
    ...(rewrite === undefined ? {} : { rewritePath: rewrite }),
  }
}

function receivedLines(...lines: readonly string[]): HeaderLines {
  const head = new RequestHeadParser().parse(Buffer.from(['GET / HTTP/1.1', 'host: a', ...lines, '', ''].join('\r\n')))
  assert.ok(head?.kind === 'request')
  return head.headers
}

test('a prefix is replaced as Gateway API says (HTTPPathModifier, ReplacePrefixMatch)', () => {
  for (const [path, prefix, replacement, rewritten] of [
    ['/foo/bar', '/foo', '/xyz', '/xyz/bar'],
    ['/foo/bar', '/foo', '/xyz/', '/xyz/bar'],
    ['/foo/bar', '/foo/', '/xyz', '/xyz/bar'],
    ['/foo/bar', '/foo/', '/xyz/', '/xyz/bar'],
    ['/foo', '/foo', '/xyz', '/xyz'],
    ['/foo/', '/foo', '/xyz', '/xyz/'],
    ['/foo/bar', '/foo', '', '/bar'],
    ['/foo/', '/foo', '', '/'],
    ['/foo', '/foo', '', '/'],
    ['/foo/', '/foo', '/', '/'],
    ['/foo', '/foo', '/', '/'],
    ['/foo/bar', '/', '/xyz', '/xyz/foo/bar'],
  ] as const) {
    const route = routeWith(forward({ kind: 'prefix', path: replacement }), prefix)
    assert.equal(rewritePath(path, route), rewritten, `${path} ${prefix} ${replacement}`)
  }
})

test('a full rewrite replaces the whole path, and without one the path stays', () => {
  assert.equal(rewritePath('/a/b', routeWith(forward({ kind: 'full', path: '/c' }))), '/c')
  assert.equal(rewritePath('/a/b', routeWith(forward())), '/a/b')
})

test('backends get exactly their weights in every full round, and never two shares in a row that could be apart', () => {
  const weights = fc.array(fc.nat(9), { minLength: 1, maxLength: 6 })
  fc.assert(
    fc.property(weights, (given) => {
      const backends = given.map((weight, i) => ({ upstream: `u${i}`, weight }))
      const total = given.reduce((sum, weight) => sum + weight, 0)
      const plan = planOf(compiled(routeWith({ kind: 'forward', backends, requestTimeoutMs: 0 })))
      if (total === 0) return plan.nextBackend() === ''
      const counts = new Map<string, number>()
      for (let i = 0; i < total; i++) {
        const name = plan.nextBackend()
        counts.set(name, (counts.get(name) ?? 0) + 1)
      }
      return given.every((weight, i) => (counts.get(`u${i}`) ?? 0) === weight)
    }),
  )
})

test('what policies say wins over the route, and what the mesh says over both', () => {
  const plan = planOf(
    compiled(
      routeWith(forward(), '/', {
        requestHeaders: {
          set: [
            ['x-a', 'route'],
            ['x-b', 'route'],
          ],
          add: [['x-c', 'added']],
          remove: [],
        },
      }),
    ),
  )
  const received = receivedLines('x-c: sent', 'x-b: sent')
  assert.deepEqual(headersToSet(received, plan.request, [['x-b', 'policy']], [['x-d', 'added by policy']]).toSorted(), [
    ['x-a', 'route'],
    ['x-b', 'policy'],
    ['x-c', 'added'],
    ['x-c', 'sent'],
    ['x-d', 'added by policy'],
  ])
})

test('T12: what a policy takes off does not come back with what a route adds', () => {
  const requestHeaders = { set: [], add: [['x-user', 'guest'] as [string, string]], remove: [] }
  const plan = planOf(compiled(routeWith(forward(), '/', { requestHeaders })))
  const received = receivedLines('x-user: root', 'x-other: 1')
  assert.deepEqual(headersToSet(received, plan.request, undefined, undefined, ['x-user']), [['x-user', 'guest']])
  assert.deepEqual(headersToSet(received, plan.request, undefined), [
    ['x-user', 'root'],
    ['x-user', 'guest'],
  ])
})

test('T12: neither a route nor a policy can speak for the mesh', () => {
  const forged: [string, string][] = [
    ['x-forwarded-client-cert', 'URI=spiffe://a/b'],
    ['x-forwarded-for', '1.1.1.1'],
    ['x-hauberk-anything', '1'],
  ]
  const edits = { set: forged, add: forged, remove: [] }
  const plan = planOf(compiled(routeWith(forward(), '/', { requestHeaders: edits })))
  assert.deepEqual(headersToSet(NO_HEADERS, plan.request, undefined, []), [])
  assert.deepEqual(withoutIdentity([...forged, ['x-own', '1']]), [['x-own', '1']])
})
