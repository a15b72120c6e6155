import assert from 'node:assert/strict'
import { connect, type Socket } from 'node:net'
import { before, test } from 'node:test'
import fc from '#fast-check'
import { rawBackend } from './testing/backend.ts'
import { parseResponse } from './testing/client.ts'
import { until } from './testing/until.ts'
import { createTestMesh, forwardTo, gateSlots, gateway, route, startGateway, type TestMesh } from './testing/world.ts'

let mesh: TestMesh
before(async () => {
  mesh = await createTestMesh()
})

const CLIENTS = 160
const AT_ONCE = 40

/** What a backend may make of a request, by the letter that the path ends with. */
const MOODS = {
  a: (id: string) => whole(body(id, 20)),
  b: (id: string) => whole(body(id, 100_000)),
  c: (id: string) => chunks(body(id, 50_000)),
  d: (id: string) => `HTTP/1.1 200 OK\r\n\r\n${body(id, 30_000)}`,
  e: (id: string) => whole(body(id, 90_000)).slice(0, -1_000),
  f: (id: string) => chunks(body(id, 30_000)).slice(0, -100),
  g: (id: string) => whole(body(id, 10)) + whole(body('smuggled', 10)),
  h: (id: string) => `HTTP/1.1 100 Continue\r\n\r\n${whole(body(id, 10))}`,
  i: () => 'HTTP/1.1 200 OK\r\nContent-Le',
  j: () => '',
  k: () => 'garbage\r\n\r\n',
} as const
type Mood = keyof typeof MOODS

function body(id: string, bytes: number): string {
  return `${id} `.repeat(Math.ceil(bytes / (id.length + 1))).slice(0, bytes)
}

function whole(text: string): string {
  return `HTTP/1.1 200 OK\r\nContent-Length: ${text.length}\r\n\r\n${text}`
}

function chunks(text: string): string {
  const coded = (text.match(/.{1,7000}/gs) ?? []).map((chunk) => `${chunk.length.toString(16)}\r\n${chunk}\r\n`)
  return `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${coded.join('')}0\r\n\r\n`
}

function generator(seed: number): (below: number) => number {
  let state = seed
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((state / 2 ** 32) * below)
  }
}

test('whatever clients and backends do to each other: no answer is mixed up or cut short unseen, each request is told of once, and nothing is left behind', async (t) => {
  const seed = fc.readConfigureGlobal()?.seed ?? Date.now() % 1_000_000
  t.diagnostic(`seed ${seed}`)
  const draw = generator(seed)
  const app = await rawBackend(t, (text, socket) => {
    // One path is one request, wherever in its octets this read ends.
    for (const [, id = '', mood] of text.matchAll(/ \/(\w+)\/([a-k]) HTTP/g)) {
      const answer = MOODS[mood as Mood](id)
      const ends = mood === 'd' || mood === 'e' || mood === 'f' || mood === 'i' || draw(10) === 0
      const respond = () => {
        if (socket.destroyed || socket.writableEnded) return
        if (draw(12) === 0) return void socket.resetAndDestroy()
        if (ends) socket.end(answer)
        else socket.write(answer)
      }
      if (draw(3) === 0) setTimeout(respond, draw(30))
      else respond()
    }
  })
  const plane = await startGateway(t, mesh, app.port, {
    listeners: [
      gateway({
        routes: [
          route({ ...forwardTo('shop/orders:80'), requestTimeoutMs: 200 }, { filters: gateSlots({ later: true }) }),
        ],
      }),
    ],
    limits: { bodyMs: 300, headMs: 300, idleMs: 300 },
  })
  const port = plane.port('http')

  async function runClient(index: number): Promise<void> {
    const socket: Socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true })
    let received = Buffer.alloc(0)
    let isOver = false
    let hasFailed = false
    // Also where it fails: nothing of it outlives the test.
    t.after(() => socket.destroy())
    socket.on('error', () => {
      hasFailed = true
    })
    socket.on('data', (chunk: Buffer) => {
      received = Buffer.concat([received, chunk])
    })
    socket.on('end', () => {
      isOver = true
    })
    socket.on('close', () => {
      isOver = true
    })
    const asked: { readonly id: string; readonly mood: Mood }[] = []
    let text = ''
    for (let i = 0; i <= draw(3); i++) {
      const ask = { id: `c${index}r${i}`, mood: 'abcdefghijk'.charAt(draw(11)) as Mood }
      asked.push(ask)
      const head = `/${ask.id}/${ask.mood} HTTP/1.1\r\nHost: a\r\n`
      const content = 'x'.repeat(draw(2) === 0 ? draw(100) : draw(60_000))
      const kind = draw(5)
      if (kind < 2) text += `GET ${head}\r\n`
      else if (kind === 2) text += `POST ${head}Content-Length: ${content.length}\r\n\r\n${content}`
      else if (kind === 3 && content.length > 0) {
        text += `PUT ${head}Transfer-Encoding: chunked\r\n\r\n${content.length.toString(16)}\r\n${content}\r\n0\r\n\r\n`
      } else text += `POST ${head}Content-Length: ${content.length}\r\nExpect: 100-continue\r\n\r\n${content}`
    }
    // Some leave in the middle, some say nothing more, some do not read.
    const cut = draw(4) === 0 ? draw(text.length) : text.length
    const leaves = draw(6) === 0
    if (draw(8) === 0) {
      socket.pause()
      setTimeout(() => socket.resume(), draw(200))
    }
    for (let at = 0; at < cut; ) {
      const size = 1 + draw(draw(2) === 0 ? 50 : 20_000)
      socket.write(text.slice(at, Math.min(cut, at + size)))
      at += size
      if (draw(2) === 0) await new Promise(setImmediate)
    }
    if (draw(3) === 0) socket.end()
    if (leaves) {
      await new Promise((resolve) => setTimeout(resolve, draw(50)))
      // A reset in the moment in which an end is on its way fails, and Node keeps the socket for ever.
      if (draw(2) === 0 && !socket.writableEnded) socket.resetAndDestroy()
      else socket.destroy()
      return
    }
    await until(() => isOver, `client ${index} is let go`)
    let rest = received
    for (const { id, mood } of asked) {
      let parsed = parseResponse(rest, false, !hasFailed)
      while (parsed?.response.status === 100) {
        rest = rest.subarray(parsed.length)
        parsed = parseResponse(rest, false, !hasFailed)
      }
      if (parsed === undefined) break
      rest = rest.subarray(parsed.length)
      const { status, body: got } = parsed.response
      if (status === 200) {
        const full = MOODS[mood](id)
        assert.ok(got !== '' && full.includes(got.slice(0, 10)), `${id}/${mood} got ${got.slice(0, 40)}`)
        assert.ok(!got.includes('smuggled'), id)
        assert.ok('abcdgh'.includes(mood), `${id}/${mood} is never whole`)
        const length = { a: 20, b: 100_000, c: 50_000, d: 30_000, g: 10, h: 10 }[mood as 'a']
        assert.equal(got, body(id, length), `${id}/${mood} is whole`)
      } else {
        assert.ok([400, 408, 502, 503, 504].includes(status), `${id}/${mood} got ${status}`)
      }
    }
    socket.destroy()
  }

  for (let from = 0; from < CLIENTS; from += AT_ONCE) {
    await Promise.all(Array.from({ length: AT_ONCE }, (_, i) => runClient(from + i)))
  }
  const { stats } = plane.plane
  await until(() => stats().connections === 0, 'every client is let go')
  assert.equal(stats().inFlight, 0)
  await until(() => stats().upstreamConnections === stats().upstreamIdle, 'every upstream is idle or gone')
  const ids = new Set(plane.requests.map(({ decisionId }) => decisionId))
  assert.equal(ids.size, plane.requests.length)
  assert.ok(plane.requests.length > CLIENTS / 2)
})
