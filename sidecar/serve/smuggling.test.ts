import assert from 'node:assert/strict'
import type { Socket } from 'node:net'
import { before, test } from 'node:test'
import { requestShapes, responseShapes, SMUGGLED_PATH } from './http1/testing/corpus.ts'
import { octets, readRequests, readResponse } from './http1/testing/transcript.ts'
import { httpBackend, rawBackend } from './testing/backend.ts'
import { dialPlain, get, parseResponse } from './testing/client.ts'
import { until } from './testing/until.ts'
import { createTestMesh, startGateway, type TestMesh } from './testing/world.ts'

let mesh: TestMesh
before(async () => {
  mesh = await createTestMesh()
})

/** How many messages are tried at once. */
const AT_ONCE = 16

async function inBatches<T>(all: readonly T[], run: (one: T, index: number) => Promise<void>): Promise<void> {
  for (let from = 0; from < all.length; from += AT_ONCE) {
    await Promise.all(all.slice(from, from + AT_ONCE).map((one, i) => run(one, from + i)))
  }
}

test('T15: a backend of Node sees of every smuggling shape exactly the requests that were judged, and no other', async (t) => {
  const seen = new Map<string, string[]>()
  const app = await httpBackend(t, (request, response) => {
    const id = String(request.headers['x-shape'] ?? 'none')
    let body = 0
    request.on('data', (chunk: Buffer) => {
      body += chunk.length
    })
    request.on('end', () => {
      seen.set(id, [...(seen.get(id) ?? []), `${request.method} ${request.url} ${body}`])
      response.end('ok')
    })
  })
  const plane = await startGateway(t, mesh, app.port)
  const shapes = requestShapes()
  await inBatches(shapes, async ({ name, text }, index) => {
    const tagged = text.replaceAll(/(\r\nHost: [^\r\n]*\r\n)/g, `$1X-Shape: s${index}\r\n`)
    const { messages, problem } = readRequests([octets(tagged)])
    const complete = messages.filter((message) => message.complete)
    const client = await dialPlain(plane.port('http'))
    client.send(octets(tagged))
    client.socket.end()
    await until(() => client.isClosed || client.hasEnded, `${name}: the connection ends`)
    client.destroy()
    const expected = complete
      .filter(({ headers }) => headers.some(([field]) => field === 'x-shape'))
      .map(({ head, body }) => `${head.method} ${head.path}${head.query === '' ? '' : `?${head.query}`} ${body.length}`)
    const got = seen.get(`s${index}`) ?? []
    // One that was taken may have been cut off for what followed; none may come that was not taken.
    assert.deepEqual(got, problem === undefined ? expected : expected.slice(0, got.length), name)
  })
  const answered = plane.requests.filter(({ outcome, upstream }) => outcome === 'allowed' && upstream !== '')
  const total = [...seen.values()].flat()
  assert.ok(total.length > 50, `${total.length} requests arrived`)
  assert.equal(total.length, answered.length, 'as many as were judged and let through')
  assert.equal(
    total.filter((line) => line.includes(SMUGGLED_PATH)).length,
    answered.filter(({ path }) => path === SMUGGLED_PATH).length,
  )
})

test('T15: whatever a hostile backend answers, the next request is answered by what was meant for it, and nothing splits', async (t) => {
  const shapes = responseShapes()
  const app = await rawBackend(t, (text, socket) => {
    for (const [, path = ''] of text.matchAll(/GET \/(\S+) HTTP/g)) {
      const shape = /^shape-(\d+)$/.exec(path)?.[1]
      if (shape === undefined) socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${path.length}\r\n\r\n${path}`)
      else socket.end(octets(shapes[Number(shape)]!.text))
    }
  })
  const plane = await startGateway(t, mesh, app.port)
  let taken = 0
  await inBatches(shapes, async ({ name, text }, index) => {
    const client = await dialPlain(plane.port('http'))
    client.send(get(`/shape-${index}`) + get(`/after-${index}`))
    client.socket.end()
    await until(() => client.isClosed || client.hasEnded, `${name}: the connection ends`)
    client.destroy()
    const { messages } = readResponse([octets(text)])
    const final = messages.find(({ head }) => !head.interim)
    let rest = client.received
    let first = parseResponse(rest, false, client.error === undefined)
    while (first !== undefined && first.response.status < 200) {
      rest = rest.subarray(first.length)
      first = parseResponse(rest, false, client.error === undefined)
    }
    if (final === undefined) {
      assert.equal(first?.response.status, 502, `${name}: ${client.received.toString('latin1')}`)
    } else if (final.complete) {
      taken += 1
      assert.equal(first?.response.status, final.head.status, name)
      assert.equal(first?.response.body, final.body, name)
    }
    if (first === undefined) return
    rest = rest.subarray(first.length)
    const second = parseResponse(rest, false, client.error === undefined)
    if (second === undefined) return assert.equal(rest.length, 0, `${name}: ${rest.toString('latin1')}`)
    assert.equal(second.response.body, `after-${index}`, name)
    assert.equal(rest.length, second.length, name)
  })
  assert.ok(taken > 50, `${taken} answers were taken`)
})

test('T15: chunks that come late behind a 304 which tells of them are never the answer to the next request', async (t) => {
  const owing = new Set<Socket>()
  const app = await rawBackend(t, (text, socket) => {
    if (text.startsWith('GET /next')) {
      const body = owing.has(socket) ? 'poisoned' : 'good'
      return void socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n${body}`)
    }
    owing.add(socket)
    socket.write('HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n')
  })
  const plane = await startGateway(t, mesh, app.port)
  const client = await dialPlain(plane.port('http'))
  t.after(() => client.destroy())
  client.send(get('/cached') + get('/next'))
  assert.equal((await client.response()).status, 304)
  assert.equal((await client.response()).body, 'good')
})
