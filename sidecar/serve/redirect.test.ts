import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { RouteAction, RouteConfig } from '../../contract/workload-config.ts'
import { NO_HEADERS } from './http1/header-lines.ts'
import { NO_BODY, type RequestHead } from './http1/message.ts'
import { redirectLocation } from './redirect.ts'
import { HttpRequestView } from './request-view.ts'

type Redirect = Omit<Extract<RouteAction, { kind: 'redirect' }>, 'kind' | 'status'>

function locationOf(
  action: Redirect,
  {
    scheme = 'http' as 'http' | 'https',
    port = undefined as number | undefined,
    query = '',
    prefix = '/',
    listener = 80,
    visible = new Map<number, number>(),
  } = {},
): string {
  const head: RequestHead = {
    kind: 'request',
    method: 'GET',
    target: '/a/b',
    form: 'origin',
    scheme: undefined,
    path: '/a/b',
    query,
    host: 'shop.example',
    port,
    authority: port === undefined ? 'shop.example' : `shop.example:${port}`,
    minor: 1,
    headers: NO_HEADERS,
    framing: NO_BODY,
    keepAlive: true,
    upgrade: undefined,
    expectContinue: false,
    connectionNames: [],
  }
  const config: RouteConfig = {
    id: 'route',
    match: { hostnames: [], path: { type: 'prefix', value: prefix }, headers: [], query: [] },
    filters: {},
    action: { kind: 'redirect', status: 308, ...action },
  }
  const view = new HttpRequestView(head, { ip: '127.0.0.1' }, listener, scheme, '127.0.0.1')
  return redirectLocation(config, view, head, { visiblePort: (configured) => visible.get(configured) ?? configured })
}

test('what the route does not say stays as the client sent it', () => {
  assert.equal(locationOf({ host: 'other.example' }, { port: 8080, query: 'x=1' }), 'http://other.example:8080/a/b?x=1')
  assert.equal(locationOf({ rewritePath: { kind: 'full', path: '/c' } }, { query: 'x' }), 'http://shop.example/c?x')
  assert.equal(locationOf({ rewritePath: { kind: 'prefix', path: '/c' } }, { prefix: '/a' }), 'http://shop.example/c/b')
})

test('another scheme brings its own port, as clients dial it', () => {
  assert.equal(locationOf({ scheme: 'https' }, { port: 8080 }), 'https://shop.example/a/b')
  assert.equal(locationOf({ scheme: 'https' }, { visible: new Map([[443, 8443]]) }), 'https://shop.example:8443/a/b')
  assert.equal(locationOf({ scheme: 'http' }, { scheme: 'https' }), 'http://shop.example/a/b')
})

test('a scheme that the route says brings its own port, be it the same one', () => {
  assert.equal(locationOf({ scheme: 'http' }, { port: 8080, listener: 8080 }), 'http://shop.example/a/b')
})

test('where neither route nor client name a port it is that of the listener', () => {
  assert.equal(locationOf({ host: 'other.example' }, { listener: 8080 }), 'http://other.example:8080/a/b')
  assert.equal(locationOf({}, { scheme: 'https', listener: 443 }), 'https://shop.example/a/b')
  assert.equal(
    locationOf({}, { scheme: 'https', listener: 443, visible: new Map([[443, 8443]]) }),
    'https://shop.example:8443/a/b',
  )
})

test('a port that the route names is translated too, and left out where the scheme implies it', () => {
  assert.equal(locationOf({ port: 8000 }), 'http://shop.example:8000/a/b')
  assert.equal(locationOf({ port: 443, scheme: 'https' }), 'https://shop.example/a/b')
  assert.equal(
    locationOf({ port: 443, scheme: 'https' }, { visible: new Map([[443, 1443]]) }),
    'https://shop.example:1443/a/b',
  )
})
