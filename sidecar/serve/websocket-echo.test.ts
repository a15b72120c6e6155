import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { before, describe, it, type TestContext } from 'node:test'
import { type ClientOptions, type RawData, type ServerOptions, WebSocket, WebSocketServer } from 'ws'
import { createTestMesh, startBehindGateway, type TestMesh } from './testing/world.ts'

let mesh: TestMesh
before(async () => {
  mesh = await createTestMesh()
})

/** An application that echoes, behind its sidecar and a gateway: everything passes two proxies and mutual TLS. */
async function startEcho(
  t: TestContext,
  options: ServerOptions = {},
): Promise<{ readonly url: string; readonly app: WebSocketServer }> {
  const app = new WebSocketServer({ port: 0, host: '127.0.0.1', ...options })
  await once(app, 'listening')
  t.after(() => {
    for (const client of app.clients) client.terminate()
    app.close()
  })
  app.on('connection', (socket) => {
    socket.on('error', () => {})
    socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }))
  })
  const plane = await startBehindGateway(t, mesh, (app.address() as AddressInfo).port)
  return { url: `ws://127.0.0.1:${plane.port('http')}/echo`, app }
}

async function open(
  t: TestContext,
  url: string,
  options: ClientOptions = {},
  protocols: readonly string[] = [],
): Promise<WebSocket> {
  const socket = new WebSocket(url, [...protocols], { perMessageDeflate: false, ...options })
  t.after(() => socket.terminate())
  await once(socket, 'open')
  return socket
}

async function echo(socket: WebSocket, message: string | Buffer): Promise<void> {
  const answered = once(socket, 'message') as Promise<[RawData, boolean]>
  socket.send(message)
  const [data, isBinary] = await answered
  assert.equal(isBinary, typeof message !== 'string')
  assert.ok(Buffer.from(message).equals(data as Buffer), `${message.length} octets come back as they went`)
}

/** The cases of the Autobahn test suite, by its numbers, as far as they concern who passes frames on and does not read them. */
describe('WebSocket through two sidecars', () => {
  it('1: messages of every length that frames write differently come back whole', async (t) => {
    const socket = await open(t, (await startEcho(t)).url)
    for (const length of [0, 1, 125, 126, 127, 128, 65_535, 65_536, 131_072]) {
      await echo(socket, 'x'.repeat(length))
      await echo(socket, randomBytes(length))
    }
  })

  it('2: pings are answered with what they hold, also between the fragments of a message', async (t) => {
    const socket = await open(t, (await startEcho(t)).url)
    for (const held of [Buffer.alloc(0), Buffer.from('hello'), randomBytes(125)]) {
      const pong = once(socket, 'pong')
      socket.ping(held)
      assert.deepEqual(await pong, [held])
    }
    const [pong, message] = [once(socket, 'pong'), once(socket, 'message')]
    socket.send('a', { fin: false })
    socket.ping('between')
    socket.send('b', { fin: true })
    assert.equal(String((await pong)[0]), 'between')
    assert.equal(String((await message)[0]), 'ab')
  })

  it('5: a message in many fragments comes back as one', async (t) => {
    const socket = await open(t, (await startEcho(t)).url)
    const message = once(socket, 'message')
    for (let i = 0; i < 200; i++) socket.send(`${i},`, { fin: i === 199 })
    assert.equal(String((await message)[0]), Array.from({ length: 200 }, (_, i) => `${i},`).join(''))
  })

  it('6: text is what it was, and what is no UTF-8 is for the application to refuse', async (t) => {
    const { url } = await startEcho(t)
    await echo(await open(t, url), 'κόσμε \u{1F600} \u0000 \u{10FFFF}')
    const socket = await open(t, url)
    const closed = once(socket, 'close')
    socket.send(Buffer.from([0xce, 0xba, 0xff]), { binary: false })
    assert.equal((await closed)[0], 1007)
  })

  it('7: either side closes with a code and a reason, and the other is told', async (t) => {
    const { url, app } = await startEcho(t)
    for (const [code, reason] of [
      [1000, ''],
      [1001, 'going away'],
      [3999, 'r'.repeat(123)],
      [4999, 'ours'],
    ] as const) {
      const accepted = once(app, 'connection') as Promise<[WebSocket]>
      const socket = await open(t, url)
      const [theirs] = await accepted
      const told = once(theirs, 'close')
      socket.close(code, reason)
      const [seenCode, seenReason] = (await told) as [number, Buffer]
      assert.deepEqual([seenCode, String(seenReason)], [code, reason])
    }
    const accepted = once(app, 'connection') as Promise<[WebSocket]>
    const socket = await open(t, url)
    const told = once(socket, 'close')
    ;(await accepted)[0].close(4000, 'enough')
    const [code, reason] = (await told) as [number, Buffer]
    assert.deepEqual([code, String(reason)], [4000, 'enough'])
  })

  it('9: large messages, and many small ones at once, come back in order', async (t) => {
    const socket = await open(t, (await startEcho(t)).url)
    for (const length of [1_048_576, 4_194_304]) await echo(socket, randomBytes(length))
    const seen: string[] = []
    const all = new Promise<void>((resolve) => {
      socket.on('message', (data) => {
        if (seen.push(String(data)) === 2_000) resolve()
      })
    })
    for (let i = 0; i < 2_000; i++) socket.send(String(i))
    await all
    assert.deepEqual(
      seen,
      Array.from({ length: 2_000 }, (_, i) => String(i)),
    )
  })

  it('12: compression is agreed on from end to end', async (t) => {
    const { url } = await startEcho(t, { perMessageDeflate: true })
    const socket = await open(t, url, { perMessageDeflate: true })
    assert.match(socket.extensions, /permessage-deflate/)
    await echo(socket, 'compress me '.repeat(10_000))
  })

  it('the subprotocol is the one that the application chose', async (t) => {
    const { url } = await startEcho(t, { handleProtocols: (offered) => [...offered].at(-1) ?? false })
    assert.equal((await open(t, url, {}, ['chat.v1', 'chat.v2'])).protocol, 'chat.v2')
  })
})
