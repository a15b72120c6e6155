import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect as connectHttp2, constants } from 'node:http2'
import { before, test } from 'node:test'
import type { GatewayListener, ListenerCertificate } from '../../contract/workload-config.ts'
import { testId } from '../identity/testing/test-identity.ts'
import { freePort, httpBackend, rawBackend } from './testing/backend.ts'
import { dialPlain, dialTls, get } from './testing/client.ts'
import { until } from './testing/until.ts'
import {
  createTestMesh,
  endpoint,
  forwardTo,
  gateSlots,
  gateway,
  inbound,
  LOOPBACK,
  meshUpstream,
  plaintextUpstream,
  route,
  startBehindGateway,
  startGateway,
  startPlane,
  type TestMesh,
  workloadConfig,
} from './testing/world.ts'

let mesh: TestMesh
before(async () => {
  mesh = await createTestMesh()
})

async function certificateFor(hostname: string): Promise<Extract<ListenerCertificate, { source: 'secret' }>> {
  const { chain, privateKey } = await mesh.ca.issue({ uris: [], dnsNames: [hostname] })
  return { source: 'secret', name: hostname, certificate: chain, privateKey }
}

async function https(name: string, hostname: string, more: Partial<GatewayListener> = {}): Promise<GatewayListener> {
  return gateway({
    name,
    port: 443,
    protocol: 'https',
    hostname,
    certificates: [await certificateFor(hostname)],
    ...more,
  })
}

const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'

test('a request passes from the gateway to a workload, and each side knows the other by its certificate', async (t) => {
  const app = await httpBackend(t, (request, response) => response.end(request.headers['x-forwarded-client-cert']))
  const workload = await startPlane(t, {
    config: workloadConfig([inbound(8080, {}, { spiffeIds: [testId('gateway')] })]),
    placement: { inbound: [{ containerPort: 8080, bind: LOOPBACK, app: { host: '127.0.0.1', port: app.port } }] },
    identity: await mesh.identity('orders'),
  })
  const plane = await startGateway(t, mesh, workload.port('8080'), {
    config: { upstreams: { 'shop/orders:80': meshUpstream('orders') } },
  })
  const client = await dialPlain(plane.port('http'))
  t.after(() => client.destroy())
  for (let i = 0; i < 3; i++) {
    const { status, body } = await client.request(get('/'))
    assert.equal(status, 200)
    assert.match(
      body,
      /^By=spiffe:\/\/cluster\.local\/ns\/shop\/sa\/orders;Hash=[0-9a-f]{64};URI=spiffe:\/\/cluster\.local\/ns\/shop\/sa\/gateway$/,
    )
  }
  assert.equal(plane.plane.stats().upstreamConnections, 1)
  assert.equal(workload.requests[2]?.requestId, plane.requests[2]?.requestId)
  assert.notEqual(workload.requests[2]?.decisionId, plane.requests[2]?.decisionId)
})

test('an upstream that proves another identity than the one expected gets nothing', async (t) => {
  const app = await httpBackend(t, (_request, response) => response.end())
  const workload = await startPlane(t, {
    config: workloadConfig([inbound(8080)]),
    placement: { inbound: [{ containerPort: 8080, bind: LOOPBACK, app: { host: '127.0.0.1', port: app.port } }] },
    identity: await mesh.identity('orders'),
  })
  const plane = await startGateway(t, mesh, workload.port('8080'), {
    config: { upstreams: { 'shop/orders:80': meshUpstream('payments') } },
  })
  const client = await dialPlain(plane.port('http'))
  t.after(() => client.destroy())
  const response = await client.request(get('/'))
  assert.equal(response.status, 502)
  assert.equal(JSON.parse(response.body).denial, 'upstream-connect')
  assert.equal(app.sockets.length, 0)
})

test('T12: identity and forwarding headers are stripped in every spelling and rebuilt', async (t) => {
  const seen: (string | undefined)[] = []
  const app = await rawBackend(t, (_text, socket) => socket.write(OK))
  const plane = await startGateway(t, mesh, app.port, {
    listeners: [
      gateway({
        routes: [
          route(forwardTo('shop/orders:80'), {
            filters: gateSlots({
              seen: (header) => seen.push(header('x-forwarded-for'), header('x-forwarded-client-cert')),
            }),
          }),
        ],
      }),
    ],
  })
  const client = await dialPlain(plane.port('http'))
  t.after(() => client.destroy())
  const response = await client.request(
    get('/', [
      'X-Forwarded-For: 6.6.6.6',
      'x-forwarded-FOR: 7.7.7.7',
      'X-Forwarded-Client-Cert: URI=spiffe://cluster.local/ns/shop/sa/admin',
      'X-Forwarded-Host: evil',
      'X-Forwarded-Proto: https',
      'X-Forwarded-Prefix: /evil',
      'Forwarded: for=6.6.6.6',
      'X-Real-IP: 6.6.6.6',
      'X-Request-Id: 66',
      'X-Hauberk-Anything: 1',
      'X-Kept: yes',
      'Connection: x-kept-not',
      'X-Kept-Not: gone',
    ]),
  )
  assert.equal(response.status, 200)
  const lines = app
    .received()
    .split('\r\n')
    .filter((line) => line !== '')
    .sort()
  const requestId = plane.requests[0]?.requestId
  assert.deepEqual(lines, [
    'GET / HTTP/1.1',
    'X-Kept: yes',
    'host: orders.shop',
    'x-forwarded-for: 127.0.0.1',
    'x-forwarded-host: orders.shop',
    'x-forwarded-proto: http',
    `x-request-id: ${requestId}`,
  ])
  assert.deepEqual(seen, [undefined, undefined])
})

test('T12: a spelling with an underscore, and a Connection that names what we add, are 400', async (t) => {
  const app = await rawBackend(t)
  const plane = await startGateway(t, mesh, app.port)
  for (const line of [
    'X_Forwarded_For: 6.6.6.6',
    'x-forwarded_client-cert: a',
    'Connection: x-forwarded-client-cert',
  ]) {
    const client = await dialPlain(plane.port('http'))
    const response = await client.request(get('/', [line]))
    assert.equal(response.status, 400, line)
    await client.closed()
    client.destroy()
  }
  assert.equal(app.received(), '')
})

test('T12: what the peer in the mesh says of the client is believed, what it lets through is not', async (t) => {
  const app = await rawBackend(t, (_text, socket) => socket.write(OK))
  const shop = await https('https', 'shop.example')
  const plane = await startBehindGateway(t, mesh, app.port, { listeners: [shop] })
  const client = await dialTls({
    host: '127.0.0.1',
    port: plane.port('https'),
    ca: mesh.ca.root,
    servername: 'shop.example',
  })
  t.after(() => client.destroy())
  const response = await client.request(get('/', ['X-Forwarded-For: 9.9.9.9', 'X-Request-Id: forged'], 'shop.example'))
  assert.equal(response.status, 200)
  assert.match(app.received(), /x-forwarded-for: 127\.0\.0\.1\r\n/)
  assert.match(app.received(), /x-forwarded-proto: https\r\n/)
  assert.match(app.received(), /x-forwarded-host: shop\.example\r\n/)
  assert.doesNotMatch(app.received(), /9\.9\.9\.9|forged/)
})

test('T13: only the configured hops of X-Forwarded-For count, from the right', async (t) => {
  const ips: string[] = []
  const app = await rawBackend(t, (_text, socket) => socket.write(OK))
  for (const [hops, lines, expected] of [
    [0, ['X-Forwarded-For: 1.1.1.1'], '127.0.0.1'],
    [1, ['X-Forwarded-For: 1.1.1.1, 2.2.2.2'], '2.2.2.2'],
    [2, ['X-Forwarded-For: 1.1.1.1, 2.2.2.2, 3.3.3.3'], '2.2.2.2'],
    [2, ['X-Forwarded-For: 1.1.1.1, 2.2.2.2', 'X-Forwarded-For: 3.3.3.3'], '2.2.2.2'],
    [2, ['X-Forwarded-For: 3.3.3.3'], '127.0.0.1'],
    [1, ['X-Forwarded-For: 1.1.1.1, unknown'], '127.0.0.1'],
    [1, ['X-Forwarded-For: 2001:db8::1'], '2001:db8::1'],
    [1, [], '127.0.0.1'],
  ] as const) {
    const listener = gateway({
      routes: [route(forwardTo('shop/orders:80'), { filters: gateSlots({ seen: (_header, ip) => ips.push(ip) }) })],
    })
    const plane = await startGateway(t, mesh, app.port, { listeners: [listener], config: { trustedHops: hops } })
    const client = await dialPlain(plane.port('http'))
    assert.equal((await client.request(get('/', lines))).status, 200)
    assert.equal(ips.pop(), expected, `${hops} ${lines}`)
    assert.equal(plane.requests[0]?.clientIp, expected)
    client.destroy()
  }
})

test('T13: only the configured hops of X-Forwarded-Proto count, over all its lines; one that all replace is the last word', async (t) => {
  const app = await rawBackend(t, (_text, socket) => socket.write(OK))
  for (const [hops, lines, expected] of [
    [0, ['X-Forwarded-Proto: https'], 'http'],
    [1, ['X-Forwarded-Proto: https'], 'https'],
    [1, ['X-Forwarded-Proto: https', 'X-Forwarded-Proto: http'], 'http'],
    [1, ['X-Forwarded-Proto: http', 'X-Forwarded-Proto: https'], 'https'],
    [1, ['X-Forwarded-Proto: https, http'], 'http'],
    [2, ['X-Forwarded-Proto: http', 'X-Forwarded-Proto: https, http'], 'https'],
    [2, ['X-Forwarded-Proto: https, http, http'], 'http'],
    [2, ['X-Forwarded-Proto: https'], 'https'],
    [3, ['X-Forwarded-Proto: https, https'], 'http'],
    [1, ['X-Forwarded-Proto: javascript'], 'http'],
    [1, ['X-Forwarded-Proto: '], 'http'],
    [1, [], 'http'],
  ] as const) {
    const plane = await startGateway(t, mesh, app.port, { config: { trustedHops: hops } })
    const client = await dialPlain(plane.port('http'))
    const addresses = `X-Forwarded-For: ${Array.from({ length: Math.max(hops, 1) }, () => '1.1.1.1').join(', ')}`
    assert.equal((await client.request(get('/', [addresses, ...lines]))).status, 200)
    const told = app
      .received()
      .match(/x-forwarded-proto: (\w+)\r\n/g)
      ?.at(-1)
    assert.equal(told, `x-forwarded-proto: ${expected}\r\n`, `${hops} ${lines}`)
    client.destroy()
  }
})

test('T12: a header that some servers take for the method, the host or the target is not passed on, nor seen by a policy', async (t) => {
  const seen: (string | undefined)[] = []
  const app = await rawBackend(t, (_text, socket) => socket.write(OK))
  const plane = await startGateway(t, mesh, app.port, {
    listeners: [
      gateway({
        routes: [
          route(forwardTo('shop/orders:80'), {
            filters: gateSlots({ seen: (header) => seen.push(header('x-http-method-override')) }),
          }),
        ],
      }),
    ],
  })
  const client = await dialPlain(plane.port('http'))
  t.after(() => client.destroy())
  const overrides = ['X-HTTP-Method-Override', 'x-http-method', 'X-Method-Override', 'X-Original-Method', 'X-Host']
  const targets = ['X-Original-URL', 'x-rewrite-url', 'X-Original-Uri', 'X-Override-Url', 'X-Original-Host']
  const lines = [...overrides, ...targets, 'X-Http-Host-Override'].map((name) => `${name}: evil`)
  assert.equal((await client.request(get('/', lines))).status, 200)
  assert.doesNotMatch(app.received(), /evil/)
  assert.deepEqual(seen, [undefined])
  for (const line of ['X_HTTP_Method_Override: DELETE', 'Connection: x-method-override']) {
    const other = await dialPlain(plane.port('http'))
    assert.equal((await other.request(get('/', [line]))).status, 400, line)
    other.destroy()
  }
})

test('T14: a host has one spelling, and a request for another than the certificate was shown for is misdirected', async (t) => {
  const app = await rawBackend(t, (_text, socket) => socket.write(OK))
  const listeners = [await https('shop', 'shop.example'), await https('admin', 'admin.example')]
  const bind = { host: '127.0.0.1', port: await freePort() }
  const plane = await startGateway(t, mesh, app.port, {
    listeners,
    placement: { gateway: listeners.map(({ name }) => ({ listener: name, bind })) },
  })
  const dial = () => dialTls({ host: '127.0.0.1', port: bind.port, ca: mesh.ca.root, servername: 'shop.example' })
  for (const [host, status] of [
    ['shop.example', 200],
    ['SHOP.example', 200],
    ['shop.example.', 200],
    [`shop.example:${bind.port}`, 200],
    ['admin.example', 421],
    ['other.example', 421],
    ['user@shop.example', 400],
    ['shop.example,admin.example', 400],
    ['shop.example/x', 400],
    ['', 400],
  ] as const) {
    const client = await dial()
    const response = await client.request(get('/', [], host))
    assert.equal(response.status, status, host)
    client.destroy()
  }
  const client = await dial()
  t.after(() => client.destroy())
  const twice = await client.request(get('/', ['Host: admin.example'], 'shop.example'))
  assert.equal(twice.status, 400)
  const listenersTold = plane.requests.filter(({ status }) => status === 200).map(({ listener }) => listener)
  assert.deepEqual(new Set(listenersTold), new Set(['shop']))
})

test('HTTP/2 over a cipher suite of TLS 1.2 that it forbids is refused (RFC 9113, 9.2.2), and HTTP/1.1 is not', async (t) => {
  const app = await rawBackend(t, (_text, socket) => socket.write(OK))
  const plane = await startGateway(t, mesh, app.port, { listeners: [await https('shop', 'shop.example')] })
  const options = (ciphers: string) => ({
    ...{ port: plane.port('shop'), ca: mesh.ca.root, servername: 'shop.example', maxVersion: 'TLSv1.2', ciphers },
  })
  const [bad, good] = ['ECDHE-ECDSA-AES128-SHA256', 'ECDHE-ECDSA-AES128-GCM-SHA256']
  const client = await dialTls({ ...options(bad), host: '127.0.0.1', maxVersion: 'TLSv1.2' })
  t.after(() => client.destroy())
  assert.equal((await client.request(get('/', [], 'shop.example'))).status, 200)

  const open = (ciphers: string) => {
    const session = connectHttp2('https://127.0.0.1', { ...options(ciphers), maxVersion: 'TLSv1.2' })
    session.on('error', () => {})
    t.after(() => session.destroy())
    return session
  }
  const refused = open(bad)
  const [code] = (await once(refused, 'goaway')) as [number]
  assert.equal(code, constants.NGHTTP2_INADEQUATE_SECURITY)
  await until(() => plane.connections.some(({ refusal }) => refusal?.denial === 'http2-protocol'), 'it is told of')
  const asked = open(good).request({ ':path': '/', ':authority': 'shop.example' })
  const [headers] = (await once(asked, 'response')) as [{ readonly ':status': number }]
  assert.equal(headers[':status'], 200)
  asked.close()
})

test('each name gets its own certificate, and a renewed one without closing anything', async (t) => {
  const app = await rawBackend(t, (_text, socket) => socket.write(OK))
  const bind = { host: '127.0.0.1', port: await freePort() }
  const issued = new Map<string, { readonly privateKey: string; readonly chain: string }>()
  const changed = new Set<() => void>()
  const listeners = [
    gateway({
      name: 'a',
      port: 443,
      protocol: 'https',
      hostname: 'a.example',
      certificates: [{ source: 'mesh', hostname: 'a.example' }],
    }),
    await https('b', '*.b.example', { certificates: [await certificateFor('x.b.example')] }),
  ]
  await startGateway(t, mesh, app.port, {
    listeners,
    placement: { gateway: listeners.map(({ name }) => ({ listener: name, bind })) },
    options: {
      certificates: {
        get: (hostname) => {
          const found = issued.get(hostname)
          return found && { ...found, hostname, notAfterMs: 0, receivedAtMs: 0, root: '' }
        },
        onChange: (listener) => {
          changed.add(listener as () => void)
          return () => changed.delete(listener as () => void)
        },
      },
    },
  })
  const dial = (servername: string) => dialTls({ host: '127.0.0.1', port: bind.port, ca: mesh.ca.root, servername })
  const b = await dial('x.b.example')
  t.after(() => b.destroy())
  await assert.rejects(dial('a.example'))
  for (let i = 0; i < 2; i++) {
    issued.set('a.example', await mesh.ca.issue({ uris: [], dnsNames: ['a.example'] }))
    for (const listener of changed) listener()
    const a = await dial('a.example')
    assert.equal((await a.request(get('/', [], 'a.example'))).status, 200)
    a.destroy()
  }
  assert.equal((await b.request(get('/', [], 'x.b.example'))).status, 200)
})

test('a Secret that holds no certificate, or the key of another, takes no other listener with it', async (t) => {
  const good = await certificateFor('good.example')
  const other = await certificateFor('other.example')
  const broken = (name: string, privateKey: string) =>
    https(name, `${name}.example`, {
      certificates: [{ source: 'secret', name: 'shop/broken', certificate: other.certificate, privateKey }],
    })
  const nonsense = await https('nonsense', 'nonsense.example', {
    certificates: [{ source: 'secret', name: 'shop/nonsense', certificate: 'nonsense', privateKey: 'nonsense' }],
  })
  const app = await httpBackend(t, (_request, response) => response.end('ok'))
  const fine = await https('good', 'good.example', { certificates: [good] })
  const listeners = [nonsense, await broken('other', good.privateKey), fine]
  const plane = await startGateway(t, mesh, app.port, { listeners })
  const ask = async (name: string) => {
    const servername = `${name}.example`
    const options = { host: '127.0.0.1', port: plane.port(name), servername, rejectUnauthorized: false }
    const client = await dialTls(options)
    t.after(() => client.destroy())
    return (await client.request(get('/', [], servername))).status
  }
  assert.equal(await ask('good'), 200)
  await assert.rejects(ask('nonsense'))
  await assert.rejects(ask('other'))

  const mended = await broken('other', other.privateKey)
  await plane.swap(
    workloadConfig([nonsense, mended, fine], {
      role: 'gateway',
      upstreams: { 'shop/orders:80': plaintextUpstream() },
    }),
  )
  assert.equal(await ask('other'), 200)
  assert.equal(await ask('good'), 200)
})

test('a redirect names the port that clients dial', async (t) => {
  const listeners = [
    gateway({ routes: [route({ kind: 'redirect', status: 308, scheme: 'https' })] }),
    await https('https', 'shop.example'),
  ]
  const plane = await startGateway(t, mesh, 1, {
    listeners,
    placement: {
      gateway: [
        { listener: 'http', bind: LOOPBACK, visiblePort: 8080 },
        { listener: 'https', bind: LOOPBACK, visiblePort: 8443 },
      ],
    },
  })
  const client = await dialPlain(plane.port('http'))
  t.after(() => client.destroy())
  const response = await client.request(get('/a/b?c=d', [], 'shop.example:8080'))
  assert.equal(response.status, 308)
  assert.equal(response.headers.get('location'), 'https://shop.example:8443/a/b?c=d')
  assert.equal(plane.requests[0]?.outcome, 'answered')
})

test('a route rewrites path and host and edits headers', async (t) => {
  const app = await rawBackend(t, (_text, socket) =>
    socket.write('HTTP/1.1 200 OK\r\nContent-Length: 0\r\nServer: app\r\nX-Old: 1\r\nVary: a\r\n\r\n'),
  )
  const plane = await startGateway(t, mesh, app.port, {
    listeners: [
      gateway({
        routes: [
          route(
            {
              ...forwardTo('shop/orders:80'),
              rewritePath: { kind: 'prefix', path: '/v2' },
              rewriteHost: 'inner.example',
            },
            {
              match: { hostnames: [], path: { type: 'prefix', value: '/api' }, headers: [], query: [] },
              filters: gateSlots({ setResponseHeaders: [['strict-transport-security', 'max-age=1']] }),
              requestHeaders: { set: [['x-set', '1']], add: [['accept', 'b']], remove: ['x-gone'] },
              responseHeaders: { set: [['server', 'gw']], add: [['vary', 'b']], remove: ['x-old'] },
            },
          ),
        ],
      }),
    ],
  })
  const client = await dialPlain(plane.port('http'))
  t.after(() => client.destroy())
  const response = await client.request(get('/api/orders?x=1', ['X-Gone: 1', 'X_Gone: 2', 'X-Set: 0', 'Accept: a']))
  assert.equal(response.status, 200)
  assert.match(app.received(), /^GET \/v2\/orders\?x=1 HTTP\/1\.1\r\nhost: inner\.example\r\n/)
  assert.doesNotMatch(app.received(), /gone/i)
  assert.match(app.received(), /x-set: 1\r\n/)
  assert.deepEqual(
    [...app.received().matchAll(/^accept: (.*)\r$/gim)].map(([, value]) => value),
    ['a', 'b'],
  )
  assert.equal(response.headers.get('server'), 'gw')
  assert.equal(response.headers.get('x-old'), undefined)
  assert.equal(response.headers.get('strict-transport-security'), 'max-age=1')
  assert.deepEqual(
    [...response.head.matchAll(/^vary: (.*)$/gim)].map(([, value]) => value),
    ['a', 'b'],
  )
  assert.equal((await client.request(get('/api'))).status, 200)
  assert.match(app.received(), /GET \/v2 HTTP/)
})

test('backends share the requests by weight, and the share of one that does not exist is 500', async (t) => {
  const a = await rawBackend(t, (_text, socket) => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na'))
  const b = await rawBackend(t, (_text, socket) => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nb'))
  const backends = [
    { upstream: 'a', weight: 2 },
    { upstream: 'b', weight: 1 },
    { upstream: '', weight: 1 },
    { upstream: 'b', weight: 0 },
  ]
  const plane = await startGateway(t, mesh, 1, {
    listeners: [gateway({ routes: [route({ kind: 'forward', backends, requestTimeoutMs: 1_000 })] })],
    config: { upstreams: { a: plaintextUpstream(), b: plaintextUpstream() } },
    endpoints: { a: [endpoint(a.port)], b: [endpoint(b.port)] },
  })
  const client = await dialPlain(plane.port('http'))
  t.after(() => client.destroy())
  const seen: Record<string, number> = {}
  for (let i = 0; i < 40; i++) {
    const { status, body } = await client.request(get('/'))
    const key = status === 200 ? body : String(status)
    seen[key] = (seen[key] ?? 0) + 1
  }
  assert.deepEqual(seen, { a: 20, b: 10, '500': 10 })
})

test('no listener for the host is 404 in plaintext, and no endpoint is 503', async (t) => {
  const plane = await startGateway(t, mesh, 1, {
    listeners: [gateway({ hostname: '*.shop.example' })],
    endpoints: {},
  })
  const client = await dialPlain(plane.port('http'))
  t.after(() => client.destroy())
  const other = await client.request(get('/', [], 'shop.example'))
  assert.equal(other.status, 404)
  const none = await client.request(get('/', [], 'a.shop.example'))
  assert.equal(none.status, 503)
  assert.equal(JSON.parse(none.body).denial, 'no-endpoints')
  assert.equal(none.headers.get('retry-after'), '1')
})
