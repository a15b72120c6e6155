import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type RequestListener, request, type ServerResponse } from 'node:http'
import { createServer as createHttp2Server, type ServerHttp2Stream } from 'node:http2'
import { createServer as createHttpsServer } from 'node:https'
import { type AddressInfo, connect, createServer as createNetServer, type Server } from 'node:net'
import { describe, it, type TestContext } from 'node:test'
import type { AppProbe } from '../../contract/pod.ts'
import { createTestCa } from '../../model/x509/testing/test-ca.ts'
import { systemClock } from '../../runtime/clock.ts'
import { createHealth } from '../../runtime/health.ts'
import { silentLog } from '../../runtime/log.ts'
import { MAX_CONNECTIONS, type ProbeServer, startProbeServer } from './probe-server.ts'

const KEY = 'k'.repeat(22)

async function listening(t: TestContext, server: Server): Promise<number> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => server.close())
  return (server.address() as AddressInfo).port
}

/** An app on a port of its own, which answers each request as `listener` does. */
const app = (t: TestContext, listener: RequestListener) => listening(t, createServer(listener))

async function probing(t: TestContext, ...probes: readonly Partial<AppProbe>[]) {
  const health = createHealth()
  const seen = { drained: 0 }
  const server = await startProbeServer({
    port: 0,
    host: '127.0.0.1',
    probes: probes.map((probe) => ({ container: 'app', kind: 'readiness', timeoutSeconds: 1, ...probe })),
    probeKey: KEY,
    podIp: '127.0.0.1',
    health,
    onDrain: () => {
      seen.drained += 1
    },
    clock: systemClock,
    log: silentLog,
  })
  t.after(() => server.close())
  return { server, health, seen }
}

const httpGet = (port: number, change: Partial<NonNullable<AppProbe['httpGet']>> = {}) => ({
  httpGet: { path: '/healthy', port, scheme: 'HTTP' as const, httpHeaders: [], ...change },
})

interface Asked {
  readonly path?: string
  readonly method?: string
  readonly headers?: Readonly<Record<string, string>>
}

/** As the kubelet asks. The status, or `cut` where the connection ended without one. */
function ask(server: ProbeServer, { path = '/app-health/app/readiness', method = 'GET', headers }: Asked = {}) {
  return new Promise<{ readonly status: number | 'cut'; readonly text: string }>((resolve) => {
    const call = request({
      host: '127.0.0.1',
      port: server.port,
      path,
      method,
      agent: false,
      headers: headers ?? { 'x-hauberk-probe-key': KEY, 'user-agent': 'kube-probe/1.35' },
    })
    call.on('error', () => resolve({ status: 'cut', text: '' }))
    call.on('response', (response) => {
      let text = ''
      response.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk
      })
      response.on('end', () => resolve({ status: response.statusCode ?? 0, text: text.trim() }))
    })
    call.end()
  })
}

const statusOf = async (server: ProbeServer, asked?: Asked) => (await ask(server, asked)).status

describe('an HTTP probe', () => {
  it('reaches the app with the path and headers that its author wrote, and the kubelet’s name', async (t) => {
    const requests: IncomingMessage[] = []
    const port = await app(t, (request, response) => {
      requests.push(request)
      response.end()
    })
    const { server } = await probing(
      t,
      httpGet(port, { path: '/a%20b/../c?d=e#f', httpHeaders: [{ name: 'X-One', value: '1' }] }),
    )
    assert.equal(await statusOf(server), 200)
    const [seen] = requests
    assert.equal(seen?.method, 'GET')
    assert.equal(seen?.url, '/a%20b/../c?d=e')
    assert.deepEqual(seen?.rawHeaders, [
      ...['host', `127.0.0.1:${port}`, 'user-agent', 'kube-probe/1.35', 'accept', '*/*', 'X-One', '1'],
      ...['connection', 'close'],
    ])
  })

  it('has the author’s Host, User-Agent and Accept in place of the kubelet’s', async (t) => {
    const seen: string[][] = []
    const port = await app(t, (request, response) => {
      seen.push(request.rawHeaders)
      response.end()
    })
    const httpHeaders = [
      { name: 'Host', value: 'shop.example' },
      { name: 'User-Agent', value: 'mine' },
      { name: 'Accept', value: '' },
    ]
    const { server } = await probing(t, httpGet(port, { httpHeaders }))
    assert.equal(await statusOf(server), 200)
    assert.deepEqual(seen, [['host', 'shop.example', 'User-Agent', 'mine', 'connection', 'close']])
  })

  for (const [status, expected] of [
    [200, 200],
    [204, 200],
    [304, 200],
    [399, 200],
    [400, 400],
    [404, 404],
    [500, 500],
    [503, 503],
  ]) {
    it(`that is answered ${status} is answered ${expected}`, async (t) => {
      const port = await app(t, (_, response) => response.writeHead(status!).end())
      const { server } = await probing(t, httpGet(port))
      assert.equal(await statusOf(server), expected)
    })
  }

  it('over HTTPS takes any certificate', async (t) => {
    const ca = await createTestCa()
    const { privateKey, chain } = await ca.issue({ uris: [], dnsNames: ['elsewhere.example'] })
    const https = createHttpsServer({ key: privateKey, cert: chain }, (_, response) => response.end())
    const port = await listening(t, https)
    const { server } = await probing(t, httpGet(port, { scheme: 'HTTPS' }))
    assert.equal(await statusOf(server), 200)
  })

  it('follows redirects within the pod', async (t) => {
    const paths: string[] = []
    const port = await app(t, ({ url = '' }, response) => {
      paths.push(url)
      if (url === '/healthy') response.writeHead(302, { location: '/second?x=1' }).end()
      else response.writeHead(url === '/second?x=1' ? 500 : 200).end()
    })
    const { server } = await probing(t, httpGet(port))
    assert.equal(await statusOf(server), 500)
    assert.deepEqual(paths, ['/healthy', '/second?x=1'])
  })

  it('T10: does not follow one out of the pod, and is healthy as for the kubelet', async (t) => {
    let reached = false
    const elsewhere = createServer((_, response) => {
      reached = true
      response.writeHead(500).end()
    })
    elsewhere.listen(0, '127.0.0.2')
    await once(elsewhere, 'listening')
    t.after(() => elsewhere.close())
    const location = `http://127.0.0.2:${(elsewhere.address() as AddressInfo).port}/`
    const port = await app(t, (_, response) => response.writeHead(301, { location }).end())
    const { server } = await probing(t, httpGet(port))
    assert.equal(await statusOf(server), 200)
    assert.equal(reached, false)
  })

  it('ends redirects that have no end', async (t) => {
    let count = 0
    const port = await app(t, (_, response) => {
      count += 1
      response.writeHead(302, { location: '/healthy' }).end()
    })
    const { server } = await probing(t, httpGet(port))
    assert.equal(await statusOf(server), 503)
    assert.equal(count, 11)
  })

  it('reads no more of an endless answer than the kubelet', async (t) => {
    const port = await app(t, (_, response) => {
      const more = () => {
        while (!response.destroyed && response.write(Buffer.alloc(4_096)));
      }
      response.on('drain', more)
      more()
    })
    const { server } = await probing(t, httpGet(port))
    assert.equal(await statusOf(server), 200)
  })

  it('that is not answered in its time fails', async (t) => {
    const port = await app(t, () => {})
    const { server } = await probing(t, httpGet(port))
    assert.deepEqual(await ask(server), { status: 503, text: 'not within 1 s' })
  })

  it('of an app that does not listen fails', async (t) => {
    const closed = createServer()
    const port = await listening(t, closed)
    await new Promise((resolve) => closed.close(resolve))
    const { server } = await probing(t, httpGet(port))
    assert.deepEqual(await ask(server), { status: 503, text: 'ECONNREFUSED' })
  })
})

describe('a TCP probe', () => {
  it('passes where somebody accepts, and fails where nobody does', async (t) => {
    const accepting = createNetServer((socket) => socket.on('error', () => {}).resume())
    const port = await listening(t, accepting)
    const { server } = await probing(t, { tcpSocket: { port } })
    assert.equal(await statusOf(server), 200)
    await new Promise((resolve) => accepting.close(resolve))
    assert.equal(await statusOf(server), 503)
  })
})

describe('a gRPC probe', () => {
  const healthServer = async (t: TestContext, answer: (stream: ServerHttp2Stream, body: Buffer) => void) => {
    const server = createHttp2Server()
    const paths: string[] = []
    server.on('stream', async (stream, headers) => {
      paths.push(`${headers[':method']} ${headers[':path']} ${headers['content-type']}`)
      const chunks: Buffer[] = []
      stream.on('error', () => {})
      for await (const chunk of stream) chunks.push(chunk as Buffer)
      answer(stream, Buffer.concat(chunks))
    })
    server.on('session', (session) => t.after(() => session.destroy()))
    return { port: await listening(t, server as unknown as Server), paths }
  }
  const reply = (stream: ServerHttp2Stream, body: readonly number[], grpcStatus = '0') => {
    stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true })
    stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': grpcStatus }))
    stream.end(Buffer.from(body))
  }

  it('asks for the service by the health protocol, and passes while it serves', async (t) => {
    const bodies: Buffer[] = []
    const { port, paths } = await healthServer(t, (stream, body) => {
      bodies.push(body)
      reply(stream, [0, 0, 0, 0, 2, 8, 1])
    })
    const { server } = await probing(t, { grpc: { port, service: 'orders' } })
    assert.equal(await statusOf(server), 200)
    assert.deepEqual(paths, ['POST /grpc.health.v1.Health/Check application/grpc'])
    assert.deepEqual(bodies, [Buffer.from([0, 0, 0, 0, 8, 10, 6, ...Buffer.from('orders')])])
  })

  const answers: readonly (readonly [string, readonly number[], string])[] = [
    ['does not serve', [0, 0, 0, 0, 2, 8, 2], '0'],
    ['does not know', [0, 0, 0, 0, 0], '0'],
    ['does not know the service', [], '5'],
    ['has no health service', [], '12'],
    ['says nothing', [], '0'],
    ['compresses', [1, 0, 0, 0, 2, 8, 1], '0'],
    ['lies about the length', [0, 0, 0, 0, 9, 8, 1], '0'],
    ['sends no protobuf', [0, 0, 0, 0, 2, 255, 255], '0'],
  ]
  for (const [what, body, grpcStatus] of answers) {
    it(`fails when the app ${what}`, async (t) => {
      const { port } = await healthServer(t, (stream) => reply(stream, body, grpcStatus))
      const { server } = await probing(t, { grpc: { port, service: '' } })
      assert.equal(await statusOf(server), 503)
    })
  }

  it('of an app that speaks no HTTP/2 fails in time', async (t) => {
    const port = await listening(
      t,
      createNetServer((socket) => socket.on('error', () => {}).end('HTTP/1.1 400 Bad Request\r\n\r\n')),
    )
    const { server } = await probing(t, { grpc: { port, service: '' } })
    assert.equal(await statusOf(server), 503)
  })
})

describe('a lifecycle hook', () => {
  const hook = (port: number) => ({ kind: 'preStop' as const, ...httpGet(port, { path: '/stop' }) })
  const path = '/app-health/app/preStop'

  it('was run when the app answered, whatever it said', async (t) => {
    let stopped = 0
    const port = await app(t, (_, response) => {
      stopped += 1
      response.writeHead(500).end()
    })
    const { server } = await probing(t, hook(port))
    assert.equal(await statusOf(server, { path }), 200)
    assert.equal(stopped, 1)
  })

  it('was not run when nobody answered, and the kubelet is not told otherwise', async (t) => {
    const closed = createServer()
    const port = await listening(t, closed)
    await new Promise((resolve) => closed.close(resolve))
    const { server } = await probing(t, hook(port))
    assert.equal(await statusOf(server, { path }), 'cut')
  })

  it('T32: is not run for whoever does not have the key', async (t) => {
    let stopped = 0
    const port = await app(t, (_, response) => {
      stopped += 1
      response.end()
    })
    const { server } = await probing(t, hook(port))
    for (const headers of [{}, { 'x-hauberk-probe-key': '' }, { 'x-hauberk-probe-key': 'K'.repeat(22) }]) {
      assert.deepEqual(await ask(server, { path, headers }), { status: 404, text: 'not found' })
    }
    assert.equal(stopped, 0)
  })
})

describe('the probe port', () => {
  const answering = (response: ServerResponse) => response.end()

  it('T10 T32: serves exactly the paths of the probes, and is a way to nowhere else', async (t) => {
    const urls: (string | undefined)[] = []
    const port = await app(t, (request, response) => {
      urls.push(request.url)
      answering(response)
    })
    const { server } = await probing(t, httpGet(port))
    const others = [
      ...['/', '/healthy', '/app-health', '/app-health/app', '/app-health/app/liveness', '/app-health/other/readiness'],
      ...['/app-health/app/readiness/', '/app-health/app/readiness?port=22', '/app-health/app/../app/readiness'],
      ...['/app-health//app/readiness', '/app-health/app/readines%73', '/APP-HEALTH/app/readiness'],
      ...[`http://127.0.0.1:${port}/admin`, '/metrics', '/config'],
    ]
    for (const path of others) assert.equal(await statusOf(server, { path }), 404, path)
    for (const method of ['POST', 'PUT', 'OPTIONS', 'DELETE'])
      assert.equal(await statusOf(server, { method }), 404, method)
    assert.notEqual(await statusOf(server, { method: 'CONNECT', path: `127.0.0.1:${port}` }), 200)
    assert.deepEqual(urls, [])
    assert.equal(await statusOf(server), 200)
    assert.deepEqual(urls, ['/healthy'])
  })

  it('tells whether the sidecar itself is ready and live, without a key', async (t) => {
    const { server, health } = await probing(t)
    const ready = health.condition('identity', 'ready')
    const headers = {}
    assert.deepEqual(await ask(server, { path: '/readyz', headers }), { status: 503, text: 'identity: not yet' })
    assert.equal(await statusOf(server, { path: '/livez', headers }), 200)
    ready.pass()
    assert.deepEqual(await ask(server, { path: '/readyz', headers }), { status: 200, text: 'ok' })
  })

  it('F19: takes the kubelet’s word that the pod is being deleted, once, and nobody else’s', async (t) => {
    const { server, seen } = await probing(t)
    assert.equal(await statusOf(server, { path: '/drain', headers: {} }), 404)
    assert.equal(seen.drained, 0)
    assert.equal(await statusOf(server, { path: '/drain' }), 200)
    assert.equal(await statusOf(server, { path: '/drain' }), 200)
    assert.equal(seen.drained, 1)
  })

  it('T20: answers the kubelet while strangers hold more connections than there may be', async (t) => {
    const port = await app(t, (_, response) => answering(response))
    const { server } = await probing(t, httpGet(port))
    const strangers = Array.from({ length: MAX_CONNECTIONS + 20 }, () => connect(server.port, '127.0.0.1'))
    t.after(() => {
      for (const socket of strangers) socket.destroy()
    })
    let cut = 0
    for (const socket of strangers) {
      socket.on('error', () => {})
      socket.on('close', () => {
        cut += 1
      })
      socket.resume()
    }
    await Promise.all(strangers.map((socket) => once(socket, 'connect')))
    assert.equal(await statusOf(server), 200)
    assert.ok(cut >= 20, `${cut} were cut`)
    await Promise.all(strangers.map((socket) => (socket.destroyed ? undefined : once(socket, 'close'))))
  })
})
