import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { before, type TestContext, test } from 'node:test'
import type { EgressRule, OutboundService, WorkloadConfig } from '../../../contract/workload-config.ts'
import { testId } from '../../identity/testing/test-identity.ts'
import { httpBackend, rawBackend } from '../testing/backend.ts'
import { dialPlain, get } from '../testing/client.ts'
import { until } from '../testing/until.ts'
import {
  createTestMesh,
  endpoint,
  inbound,
  LOOPBACK,
  meshUpstream,
  startPlane,
  type TestMesh,
  type TestPlane,
  workloadConfig,
} from '../testing/world.ts'

let mesh: TestMesh
before(async () => {
  mesh = await createTestMesh()
})

const CREDENTIAL = { username: 'shop/storefront', password: 'c0ffee' }
const AUTHORIZATION = `Proxy-Authorization: Basic ${Buffer.from('shop/storefront:c0ffee').toString('base64')}`

function service(name: string, more: Partial<OutboundService> = {}): OutboundService {
  return {
    service: `shop/${name}`,
    hosts: [name, `${name}.shop`],
    port: 80,
    protocol: 'http',
    upstream: `shop/${name}:80`,
    requestTimeoutMs: 60_000,
    ...more,
  }
}

/** A workload `orders` behind its sidecar, and the sidecar of `storefront`, which may call it. */
async function startPair(
  t: TestContext,
  appPort: number,
  outbound: Partial<WorkloadConfig['outbound']> = {},
): Promise<{ readonly caller: TestPlane; readonly callee: TestPlane; readonly proxyPort: number }> {
  const callee = await startPlane(t, {
    config: workloadConfig([inbound(8080, {}, { spiffeIds: [testId('storefront')] })]),
    placement: { inbound: [{ containerPort: 8080, bind: LOOPBACK, app: { host: '127.0.0.1', port: appPort } }] },
    identity: await mesh.identity('orders'),
  })
  const caller = await startPlane(t, {
    config: workloadConfig([], {
      workload: 'shop/storefront',
      upstreams: { 'shop/orders:80': meshUpstream('orders') },
      outbound: { services: [service('orders')], egress: [], ...outbound },
    }),
    placement: { proxy: { bind: LOOPBACK, credential: CREDENTIAL } },
    identity: await mesh.identity('storefront'),
    endpoints: { 'shop/orders:80': [endpoint(callee.port('8080'))] },
  })
  return { caller, callee, proxyPort: caller.port('proxy') }
}

function absolute(target: string, lines: readonly string[] = [AUTHORIZATION], host = new URL(target).host): string {
  return `GET ${target} HTTP/1.1\r\nHost: ${host}\r\n${lines.map((line) => `${line}\r\n`).join('')}\r\n`
}

function connect(authority: string, lines: readonly string[] = [AUTHORIZATION]): string {
  return `CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\n${lines.map((line) => `${line}\r\n`).join('')}\r\n`
}

test('T35: without the credential of this workload there is 407 and nothing else', async (t) => {
  const app = await httpBackend(t, (_request, response) => response.end())
  const { proxyPort } = await startPair(t, app.port)
  const wrong = Buffer.from('shop/storefront:c0ffef').toString('base64')
  for (const lines of [
    [],
    [`Proxy-Authorization: Basic ${wrong}`],
    ['Proxy-Authorization: Bearer c0ffee'],
    ['Proxy-Authorization: Basic'],
    [AUTHORIZATION.replace('Proxy-', '')],
  ]) {
    for (const request of [absolute('http://orders/', lines), connect('orders:80', lines)]) {
      const client = await dialPlain(proxyPort)
      const response = await client.request(request)
      assert.equal(response.status, 407)
      assert.equal(response.headers.get('proxy-authenticate'), 'Basic realm="hauberk"')
      assert.equal(JSON.parse(response.body).denial, 'proxy-credential')
      client.destroy()
    }
  }
  assert.equal(app.sockets.length, 0)
})

test('an absolute-form request goes to the Service it names, over mutual TLS, and what the app says of itself is dropped', async (t) => {
  const app = await rawBackend(t, (_text, socket) => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'))
  const { caller, callee, proxyPort } = await startPair(t, app.port)
  const client = await dialPlain(proxyPort)
  t.after(() => client.destroy())
  for (const target of ['http://orders/a?b', 'http://orders.shop:80/a?b']) {
    const response = await client.request(
      absolute(target, [
        AUTHORIZATION,
        'X-Forwarded-For: 9.9.9.9',
        'X-Request-Id: abc',
        'Proxy-Connection: keep-alive',
      ]),
    )
    assert.equal(response.status, 200)
  }
  assert.match(app.received(), /^GET \/a\?b HTTP\/1\.1\r\nhost: orders\r\n/)
  assert.match(app.received(), /x-request-id: abc\r\n/)
  assert.match(app.received(), /x-forwarded-for: 127\.0\.0\.1\r\n/)
  assert.doesNotMatch(app.received(), /proxy|9\.9\.9\.9|c0ffee/i)
  assert.equal(callee.requests[0]?.spiffeId, testId('storefront'))
  assert.equal(caller.requests[0]?.upstream, 'shop/orders:80')
  assert.equal(caller.requests[0]?.direction, 'outbound')
})

test('T10 T33: what is not declared is refused by name, port and protocol, and the proxy is no server', async (t) => {
  const app = await httpBackend(t, (_request, response) => response.end())
  const { proxyPort } = await startPair(t, app.port, {
    services: [
      service('orders'),
      service('orders-db', { port: 5432, protocol: 'tcp', upstream: 'shop/orders-db:5432' }),
    ],
  })
  for (const [request, status, denial] of [
    [absolute('http://payments/'), 403, 'outbound-unknown-host'],
    [absolute('http://orders:8080/'), 403, 'outbound-unknown-host'],
    [absolute(`http://127.0.0.1:${app.port}/`), 403, 'outbound-unknown-host'],
    [absolute('http://orders-db:5432/'), 403, 'outbound-not-http'],
    [absolute('https://orders/'), 400, 'outbound-not-proxied'],
    [get('/', [AUTHORIZATION], 'orders'), 400, 'outbound-not-proxied'],
    [connect('payments:80'), 403, 'outbound-unknown-host'],
    [connect('orders:443'), 403, 'outbound-unknown-host'],
    [connect(`127.0.0.1:${app.port}`), 403, 'outbound-unknown-host'],
    [connect('169.254.169.254:80'), 403, 'outbound-unknown-host'],
  ] as const) {
    const client = await dialPlain(proxyPort)
    const response = await client.request(request)
    assert.equal(response.status, status, request)
    assert.equal(JSON.parse(response.body).denial, denial, request)
    client.destroy()
  }
  assert.equal(app.sockets.length, 0)
})

test('T33: a Host that differs from the authority, and one inside a tunnel to another Service, are refused', async (t) => {
  const app = await httpBackend(t, (_request, response) => response.end('ok'))
  const { proxyPort } = await startPair(t, app.port, { services: [service('orders'), service('payments')] })
  const outside = await dialPlain(proxyPort)
  t.after(() => outside.destroy())
  assert.equal((await outside.request(absolute('http://orders/', [AUTHORIZATION], 'payments'))).status, 400)

  const inside = await dialPlain(proxyPort)
  t.after(() => inside.destroy())
  assert.equal((await inside.request(connect('orders:80'), { toHead: true })).status, 200)
  assert.equal((await inside.request(get('/', [], 'orders.shop'))).status, 200)
  const mismatch = await inside.request(get('/', [], 'payments'))
  assert.equal(mismatch.status, 421)
  assert.equal(JSON.parse(mismatch.body).denial, 'outbound-host-mismatch')
  assert.equal((await inside.request(get('/', [], 'orders:8080'))).status, 421)
  assert.equal((await inside.request(get('/', [], 'orders'))).status, 200)
})

test('inside a CONNECT plaintext is read as HTTP: pipelined behind the CONNECT, strictly, and CONNECT is no method there', async (t) => {
  const app = await httpBackend(t, (request, response) => response.end(request.url))
  const { caller, proxyPort } = await startPair(t, app.port)
  const client = await dialPlain(proxyPort)
  t.after(() => client.destroy())
  client.send(connect('orders:80') + get('/1', [], 'orders') + get('/2', [], 'orders'))
  assert.equal((await client.response({ toHead: true })).status, 200)
  assert.equal((await client.response()).body, '/1')
  assert.equal((await client.response()).body, '/2')
  assert.deepEqual(
    caller.requests.map(({ method, path, status }) => [method, path, status]),
    [
      ['CONNECT', '', 200],
      ['GET', '/1', 200],
      ['GET', '/2', 200],
    ],
  )
  assert.equal((await client.request(connect('orders:80'))).status, 405)
  await client.closed()

  const tls = await dialPlain(proxyPort)
  t.after(() => tls.destroy())
  assert.equal((await tls.request(connect('orders:80'), { toHead: true })).status, 200)
  assert.equal((await tls.request(Buffer.from([0x16, 3, 1, 0, 5, 1, 0, 0, 1, 3]).toString('latin1'))).status, 400)
})

test('fetch, http.get and WebSocket of an unchanged app all pass, by environment variables alone', async (t) => {
  const app = await httpBackend(t, (request, response) => response.end(`${request.method} ${request.url}`))
  const echo = await rawBackend(t, (text, socket) => {
    const key = /sec-websocket-key: (.*)\r\n/i.exec(text)?.[1]
    if (key === undefined) return
    const accept = createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64')
    socket.write(
      `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`,
    )
    socket.write(Buffer.from([0x81, 2, 0x68, 0x69]))
  })
  const { caller } = await startPair(t, app.port)
  const sockets = await startPair(t, echo.port)
  const script = `
    import http from 'node:http'
    const post = await fetch('http://orders/fetched', { method: 'POST', body: 'x'.repeat(100) })
    console.log(await post.text())
    console.log(await new Promise((resolve, reject) => http.get('http://orders.shop/got', (response) => {
      response.setEncoding('utf8').on('data', resolve)
    }).on('error', reject)))
    process.exit(0)
  `
  const socketScript = `
    const socket = new WebSocket('ws://orders/socket')
    socket.onmessage = ({ data }) => { console.log(data); process.exit(0) }
    socket.onerror = (event) => { console.log(event.message ?? 'error'); process.exit(1) }
  `
  assert.equal(await runApp(t, script, caller.port('proxy')), 'POST /fetched\nGET /got\n')
  assert.equal(await runApp(t, socketScript, sockets.caller.port('proxy')), 'hi\n')
  assert.deepEqual(
    caller.requests.map(({ method, path }) => `${method} ${path}`),
    ['CONNECT ', 'POST /fetched', 'GET /got'],
  )
})

test('egress: a tunnel goes only to what a rule names, and never to this machine by name or to a metadata address', async (t) => {
  const outside = await rawBackend(t, (text, socket) => socket.write(`echo ${text}`))
  const { caller, proxyPort } = await startPair(t, 1, {
    egress: [
      { name: 'box', cidr: '127.0.0.1/32', ports: [outside.port] },
      { name: 'all', cidr: '0.0.0.0/0', ports: [80] },
      { name: 'named', host: 'localtest.example', ports: [outside.port] },
      { name: 'looped', host: 'localhost', ports: [outside.port] },
    ],
  })
  const client = await dialPlain(proxyPort)
  t.after(() => client.destroy())
  assert.equal((await client.request(connect(`127.0.0.1:${outside.port}`), { toHead: true })).status, 200)
  client.send('ping')
  await client.text('echo ping')
  outside.sockets[0]!.destroy()
  client.destroy()

  for (const [authority, status, denial] of [
    ['169.254.169.254:80', 403, 'outbound-forbidden-address'],
    ['[::ffff:169.254.169.254]:80', 403, 'outbound-forbidden-address'],
    ['0.0.0.0:80', 403, 'outbound-forbidden-address'],
    [`localhost:${outside.port}`, 403, 'outbound-forbidden-address'],
    [`localtest.example:${outside.port + 1}`, 403, 'outbound-unknown-host'],
    ['169.254.169.254:443', 403, 'outbound-unknown-host'],
  ] as const) {
    const refused = await dialPlain(proxyPort)
    const response = await refused.request(connect(authority))
    assert.equal(JSON.parse(response.body).denial, denial, authority)
    assert.equal(response.status, status, authority)
    refused.destroy()
  }
  assert.equal(outside.sockets.length, 1)
  await until(() => caller.connections.length === 1, 'the tunnel is told of')
  assert.equal(caller.connections[0]?.upstream, `egress/box 127.0.0.1:${outside.port}`)
})

test('T33: no spelling of the address of a workload of the mesh is outside', async (t) => {
  const app = await rawBackend(t)
  const { callee, proxyPort } = await startPair(t, app.port, {
    egress: [{ name: 'all', cidr: '127.0.0.0/8', ports: Array.from({ length: 65_535 }, (_, port) => port + 1) }],
  })
  const port = callee.port('8080')
  for (const host of ['127.0.0.1', '[::ffff:127.0.0.1]', '[::ffff:7f00:1]', '[0:0:0:0:0:ffff:127.0.0.1]']) {
    const client = await dialPlain(proxyPort)
    t.after(() => client.destroy())
    client.send(connect(`${host}:${port}`))
    const response = await client.response({ toHead: true })
    assert.equal(response.status, 403, host)
  }
})

test('T33: a tunnel to what may no longer be called is cut, one to what still may is not', async (t) => {
  const outside = await rawBackend(t, (text, socket) => socket.write(`echo ${text}`))
  const box = { name: 'box', cidr: '127.0.0.1/32', ports: [outside.port] }
  const { caller, proxyPort } = await startPair(t, 1, { egress: [box] })
  const config = (egress: readonly EgressRule[]) =>
    workloadConfig([], {
      workload: 'shop/storefront',
      upstreams: { 'shop/orders:80': meshUpstream('orders') },
      outbound: { services: [service('orders')], egress: [...egress] },
    })
  const client = await dialPlain(proxyPort)
  t.after(() => client.destroy())
  assert.equal((await client.request(connect(`127.0.0.1:${outside.port}`), { toHead: true })).status, 200)
  await caller.swap(config([box, { name: 'more', cidr: '192.0.2.0/24', ports: [443] }]))
  client.send('ping')
  await client.text('echo ping')
  await caller.swap(config([]))
  await client.closed()
  await until(() => caller.connections.length === 1, 'the cut is told of')
  assert.equal(caller.connections[0]?.refusal?.denial, 'outbound-unknown-host')
})

test('egress in absolute form is forwarded as plain HTTP, on kept connections', async (t) => {
  const outside = await httpBackend(t, (request, response) => response.end(request.headers.host))
  const { proxyPort } = await startPair(t, 1, {
    egress: [{ name: 'box', cidr: '127.0.0.1/32', ports: [outside.port] }],
  })
  const client = await dialPlain(proxyPort)
  t.after(() => client.destroy())
  for (let i = 0; i < 3; i++) {
    const response = await client.request(absolute(`http://127.0.0.1:${outside.port}/`))
    assert.equal(response.body, `127.0.0.1:${outside.port}`)
  }
  assert.equal(outside.sockets.length, 1)
})

/** Runs an app as the local mesh does; resolves with what it printed. */
function runApp(t: TestContext, script: string, proxyPort: number): Promise<string> {
  const proxy = `http://${encodeURIComponent(CREDENTIAL.username)}:${CREDENTIAL.password}@127.0.0.1:${proxyPort}`
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    env: { NODE_USE_ENV_PROXY: '1', HTTP_PROXY: proxy, HTTPS_PROXY: proxy },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  t.after(() => child.kill('SIGKILL'))
  let printed = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    printed += text
  })
  return new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('close', () => resolve(printed))
  })
}
