import assert from 'node:assert/strict'
import { once } from 'node:events'
import { request as httpRequest, type IncomingMessage, type ServerResponse } from 'node:http'
import { before, type TestContext, test } from 'node:test'
import type { Limits } from './limits.ts'
import { httpBackend } from './testing/backend.ts'
import { dialPlain, get } from './testing/client.ts'
import { until } from './testing/until.ts'
import { createTestMesh, startBehindGateway, type TestMesh } from './testing/world.ts'

let mesh: TestMesh
before(async () => {
  mesh = await createTestMesh()
})

/** An application behind its sidecar and a gateway. */
async function startMeshed(
  t: TestContext,
  handler: (request: IncomingMessage, response: ServerResponse) => void,
  limits: Partial<Limits> = {},
) {
  const app = await httpBackend(t, handler)
  return startBehindGateway(t, mesh, app.port, { limits })
}

async function ask(t: TestContext, port: number, path: string): Promise<IncomingMessage> {
  const request = httpRequest({
    port,
    host: '127.0.0.1',
    path,
    headers: { host: 'orders.shop', accept: 'text/event-stream' },
  })
  t.after(() => request.destroy())
  request.on('error', () => {})
  request.end()
  const [response] = (await once(request, 'response')) as [IncomingMessage]
  return response
}

test('server-sent events arrive one by one, each before the next is sent', async (t) => {
  let events: ServerResponse | undefined
  const plane = await startMeshed(t, (_, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' })
    response.flushHeaders()
    events = response
  })
  const response = await ask(t, plane.port('http'), '/events')
  assert.equal(response.headers['content-type'], 'text/event-stream')
  let seen = ''
  response.on('data', (chunk: Buffer) => {
    seen += chunk
  })
  for (let i = 0; i < 20; i++) {
    events!.write(`id: ${i}\ndata: event ${i}\n\n`)
    await until(() => seen.endsWith(`data: event ${i}\n\n`), `event ${i} arrives`)
  }
  const ended = once(response, 'end')
  events!.end()
  await ended
})

for (const leave of ['end', 'resetAndDestroy'] as const) {
  test(`T20: a client that leaves a stream of events is seen by the application, by ${leave}`, async (t) => {
    let hasLeft = false
    const plane = await startMeshed(
      t,
      (_, response) => {
        response.writeHead(200, { 'content-type': 'text/event-stream' })
        response.write('data: hello\n\n')
        response.on('close', () => {
          hasLeft = true
        })
      },
      { halfClosedMs: 200 },
    )
    const response = await ask(t, plane.port('http'), '/events')
    await once(response, 'data')
    response.socket[leave]()
    await until(() => hasLeft, 'the application is told')
    await until(() => plane.plane.stats().inFlight === 0, 'nothing is left')
  })
}

test('a client that has ended its side is answered as long as the answer goes on', async (t) => {
  const chunks = 40
  const plane = await startMeshed(
    t,
    (_, response) => {
      let sent = 0
      const timer = setInterval(() => {
        response.write(`${sent}.`)
        if (++sent < chunks) return
        clearInterval(timer)
        response.end()
      }, 100)
    },
    { halfClosedMs: 3_000 },
  )
  const client = await dialPlain(plane.port('http'))
  t.after(() => client.destroy())
  client.socket.end(get('/'))
  const { body } = await client.response()
  assert.equal(body, Array.from({ length: chunks }, (_, i) => `${i}.`).join(''))
})

test('a long poll is answered when there is something to say, and holds nobody else up', async (t) => {
  const waiting: ServerResponse[] = []
  const plane = await startMeshed(t, (request, response) => {
    if (request.url === '/poll') waiting.push(response)
    else response.end('at once')
  })
  const polls = Array.from({ length: 20 }, () => ask(t, plane.port('http'), '/poll'))
  await until(() => waiting.length === 20, 'all of them wait')
  const other = await ask(t, plane.port('http'), '/other')
  assert.equal((await other.toArray()).join(''), 'at once')
  for (const response of waiting) response.end('news')
  for (const response of await Promise.all(polls)) assert.equal((await response.toArray()).join(''), 'news')
})
