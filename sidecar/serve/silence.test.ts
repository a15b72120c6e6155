import assert from 'node:assert/strict'
import { createServer, type Server, type Socket } from 'node:net'
import { before, type TestContext, test } from 'node:test'
import type { RetryReason } from '../upstream/upstream-events.ts'
import { NO_UPSTREAM_EVENTS } from '../upstream/upstream-events.ts'
import { httpBackend, listen } from './testing/backend.ts'
import { dialPlain, get } from './testing/client.ts'
import { until } from './testing/until.ts'
import { createTestMesh, endpoint, forwardTo, gateway, route, startGateway, type TestMesh } from './testing/world.ts'

let mesh: TestMesh
before(async () => {
  mesh = await createTestMesh()
})

const ORDERS = 'shop/orders:80'
const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nbefore'

/** Answers until it is told to be silent; its connections stay open, and new ones are refused from then on. */
async function goingSilent(t: TestContext) {
  const sockets: Socket[] = []
  let isSilent = false
  let unanswered = 0
  const server: Server = createServer((socket) => {
    sockets.push(socket)
    socket.on('error', () => {})
    socket.on('data', () => {
      if (isSilent) unanswered += 1
      else socket.write(OK)
    })
  })
  const port = await listen(t, server, sockets)
  return {
    port,
    unanswered: () => unanswered,
    silence() {
      isSilent = true
      server.close()
    },
  }
}

/** A gateway that asks the first of its endpoints first. */
async function start(t: TestContext, port: number, requestTimeoutMs = 20_000) {
  const retried: RetryReason[] = []
  const upstreamEvents = {
    ...NO_UPSTREAM_EVENTS,
    retried: (_: string, because: RetryReason) => void retried.push(because),
  }
  const plane = await startGateway(t, mesh, port, {
    listeners: [gateway({ routes: [route({ ...forwardTo(ORDERS), requestTimeoutMs })] })],
    limits: { silenceMs: 100 },
    options: { upstreamEvents, random: () => 0 },
  })
  const ask = async (text = get('/')) => {
    const client = await dialPlain(plane.port('http'))
    t.after(() => client.destroy())
    return client.request(text)
  }
  return { plane, ask, retried }
}

test('F15: a request that may be repeated is not lost with an endpoint that has gone without a word', async (t) => {
  const gone = await goingSilent(t)
  const alive = await httpBackend(t, (_, response) => response.end('alive'))
  const { plane, ask, retried } = await start(t, gone.port)
  // Some connections to it are kept.
  await Promise.all(Array.from({ length: 4 }, () => ask()))
  gone.silence()
  plane.setEndpoints({ [ORDERS]: [endpoint(gone.port), endpoint(alive.port)] })
  const answers = await Promise.all(Array.from({ length: 6 }, () => ask()))
  assert.deepEqual(new Set(answers.map(({ status, body }) => `${status} ${body}`)), new Set(['200 alive']))
  assert.ok(gone.unanswered() > 0 && retried.includes('unreachable'), retried.join())
  // Nobody meets the same silence again.
  const unanswered = gone.unanswered()
  for (let i = 0; i < 10; i++) assert.equal((await ask()).body, 'alive')
  assert.equal(gone.unanswered(), unanswered)
})

test('F15: one that may not be repeated is left to its timeout', async (t) => {
  const gone = await goingSilent(t)
  const seen: string[] = []
  const alive = await httpBackend(t, (request, response) => {
    seen.push(request.method ?? '')
    response.end('alive')
  })
  const { plane, ask } = await start(t, gone.port, 1_000)
  await ask()
  gone.silence()
  plane.setEndpoints({ [ORDERS]: [endpoint(gone.port), endpoint(alive.port)] })
  const client = await dialPlain(plane.port('http'))
  t.after(() => client.destroy())
  client.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n')
  await until(() => gone.unanswered() === 1, 'it is asked')
  assert.equal((await client.response({ deadlineMs: 30_000 })).status, 504)
  assert.deepEqual(seen, [])
})

test('F13: an endpoint that is only slow is asked once, and waited for', async (t) => {
  let asked = 0
  const connections: Socket[] = []
  const slow = createServer((socket) => {
    connections.push(socket)
    socket.on('error', () => {})
    socket.on('data', () => {
      asked += 1
      // The connection that shows that it is there comes while it is silent.
      if (connections.length > 1) socket.write(OK)
      else void until(() => connections.length > 1, 'it is looked for').then(() => socket.write(OK))
    })
  })
  const port = await listen(t, slow, connections)
  const alive = await httpBackend(t, (_, response) => response.end('alive'))
  const { plane, ask, retried } = await start(t, port)
  plane.setEndpoints({ [ORDERS]: [endpoint(port), endpoint(alive.port)] })
  assert.equal((await ask()).body, 'before')
  assert.deepEqual([asked, retried], [1, []])
  assert.equal(connections.length, 2)
})
