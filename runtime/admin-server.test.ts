import assert from 'node:assert/strict'
import { request } from 'node:http'
import { connect } from 'node:net'
import { afterEach, test } from 'node:test'
import { type AdminRoute, type AdminServer, startAdminServer } from './admin-server.ts'
import { createHealth } from './health.ts'
import { silentLog } from './log.ts'
import { createMetrics } from './metrics.ts'

const TOKEN = 'a-token-of-the-tests-0123456789'
const open: AdminServer[] = []
afterEach(async () => {
  for (const server of open.splice(0)) await server.close()
})

async function started(routes: readonly AdminRoute[] = []) {
  const health = createHealth()
  const metrics = createMetrics()
  const server = await startAdminServer({ port: 0, token: TOKEN, health, metrics, routes, log: silentLog })
  open.push(server)
  return { server, health, metrics }
}

interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>
  readonly text: string
}

function ask(
  server: AdminServer,
  path: string,
  headers: Record<string, string> = {},
  { method = 'GET', body = '' } = {},
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const outgoing = request(
      { host: '127.0.0.1', port: server.port, path, method, headers, agent: false },
      (response) => {
        let text = ''
        response.setEncoding('utf8')
        response.on('data', (chunk: string) => {
          text += chunk
        })
        response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, text }))
      },
    )
    outgoing.on('error', reject)
    outgoing.end(body)
  })
}

const authorization = `Bearer ${TOKEN}`
const config: AdminRoute = {
  method: 'GET',
  path: '/config',
  handle: ({ query }) => ({ body: `{"q":"${query.get('q')}"}` }),
}

test('metrics and health need no token', async () => {
  const { server, health, metrics } = await started()
  const condition = health.condition('config', 'ready')
  metrics.counter({ name: 'c_total', help: 'C.' })
  const answer = await ask(server, '/metrics')
  assert.equal(answer.status, 200)
  assert.match(String(answer.headers['content-type']), /^text\/plain; version=0\.0\.4/)
  assert.match(answer.text, /c_total 0/)
  assert.equal((await ask(server, '/healthz')).status, 200)
  const unready = await ask(server, '/readyz')
  assert.equal(unready.status, 503)
  assert.match(unready.text, /"name":"config".*"reason":"not yet"/)
  condition.pass()
  assert.equal((await ask(server, '/readyz')).status, 200)
})

test('T32: every other path needs the token, known or not', async () => {
  const { server } = await started([config])
  for (const headers of [
    {},
    { authorization: 'Bearer wrong' },
    { authorization: TOKEN },
    { authorization: 'Basic eDp5' },
  ]) {
    const answer = await ask(server, '/config', headers)
    assert.equal(answer.status, 401)
    assert.equal(answer.headers['www-authenticate'], 'Bearer')
    assert.equal((await ask(server, '/unknown', headers)).status, 401)
    assert.equal((await ask(server, '/metrics', headers, { method: 'POST' })).status, 401)
  }
  const answer = await ask(server, '/config?q=1', { authorization })
  assert.equal(answer.status, 200)
  assert.equal(answer.text, '{"q":"1"}')
  assert.equal((await ask(server, '/unknown', { authorization })).status, 404)
  assert.equal((await ask(server, '/config', { authorization }, { method: 'POST' })).status, 405)
})

test('T32: a host name that is not loopback is refused, also for metrics (DNS rebinding)', async () => {
  const { server } = await started([config])
  for (const host of [
    'evil.example',
    `evil.example:${server.port}`,
    '127.0.0.1.evil.example',
    '10.0.0.1',
    'localhost:1:2',
  ]) {
    assert.equal((await ask(server, '/metrics', { host })).status, 421, host)
    assert.equal((await ask(server, '/config', { host, authorization })).status, 421, host)
  }
  for (const host of ['localhost', `LOCALHOST:${server.port}`, '[::1]:80', '127.0.0.1']) {
    assert.equal((await ask(server, '/metrics', { host })).status, 200, host)
  }
})

test('T32: a page of another origin is refused, and no answer may be framed, sniffed or cached', async () => {
  const { server } = await started([config])
  for (const origin of ['https://evil.example', 'null', 'http://localhost.evil.example']) {
    assert.equal((await ask(server, '/config', { authorization, origin })).status, 403, origin)
  }
  const { headers } = await ask(server, '/config', { authorization, origin: `http://localhost:${server.port}` })
  assert.match(String(headers['content-security-policy']), /default-src 'none'; frame-ancestors 'none'/)
  assert.equal(headers['x-content-type-options'], 'nosniff')
  assert.equal(headers['cache-control'], 'no-store')
})

test('a body is read up to its cap', async () => {
  const { server } = await started([
    { method: 'POST', path: '/length', handle: async (request) => ({ body: String((await request.body()).length) }) },
  ])
  const post = (length: number) =>
    ask(server, '/length', { authorization }, { method: 'POST', body: 'x'.repeat(length) }).catch(() => undefined)
  assert.equal((await post(1_048_576))?.text, '1048576')
  const refused = await post(1_048_577)
  if (refused) assert.equal(refused.status, 413)
})

test('a route that fails is a 500 without details, and the server goes on', async () => {
  const { server } = await started([
    config,
    {
      method: 'GET',
      path: '/broken',
      handle() {
        throw new Error('the secret reason')
      },
    },
  ])
  const answer = await ask(server, '/broken', { authorization })
  assert.equal(answer.status, 500)
  assert.equal(answer.text.includes('secret'), false)
  assert.equal((await ask(server, '/config', { authorization })).status, 200)
})

test('an endless stream comes piece by piece and ends when the client leaves', async () => {
  let ended: (() => void) | undefined
  const over = new Promise<void>((resolve) => {
    ended = resolve
  })
  const { server } = await started([
    {
      method: 'GET',
      path: '/stream',
      handle: ({ signal }) => ({
        contentType: 'application/x-ndjson',
        body: (async function* () {
          yield '{"n":1}\n'
          await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
          ended?.()
        })(),
      }),
    },
  ])
  await new Promise<void>((resolve, reject) => {
    const outgoing = request(
      { host: '127.0.0.1', port: server.port, path: '/stream', headers: { authorization }, agent: false },
      (response) => {
        response.once('data', (chunk: Buffer) => {
          assert.equal(chunk.toString(), '{"n":1}\n')
          response.destroy()
          resolve()
        })
      },
    )
    outgoing.on('error', reject)
    outgoing.end()
  })
  await over
})

test('closing cuts what is open and frees the port', async () => {
  const { server } = await started()
  const socket = connect(server.port, '127.0.0.1')
  await new Promise((resolve) => socket.once('connect', resolve))
  const cut = new Promise((resolve) => socket.once('close', resolve))
  socket.on('error', () => {})
  await server.close()
  await cut
  const again = await startAdminServer({
    port: server.port,
    token: TOKEN,
    health: createHealth(),
    metrics: createMetrics(),
    log: silentLog,
  })
  open.push(again)
  assert.equal(again.port, server.port)
})

test('a taken port is an error that says so', async () => {
  const { server } = await started()
  const options = { port: server.port, token: TOKEN, health: createHealth(), metrics: createMetrics(), log: silentLog }
  await assert.rejects(startAdminServer(options), { code: 'EADDRINUSE' })
})

test('T32: an address that is not loopback and a short token are refused', () => {
  const options = { port: 0, token: TOKEN, health: createHealth(), metrics: createMetrics(), log: silentLog }
  assert.throws(() => startAdminServer({ ...options, host: '0.0.0.0' as '127.0.0.1' }), /0\.0\.0\.0/)
  assert.throws(() => startAdminServer({ ...options, token: 'short' }), /too short/)
})
