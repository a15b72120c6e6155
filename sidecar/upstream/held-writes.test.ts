import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { type TestContext, test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { holdWrites, MAX_HELD } from './held-writes.ts'

/** Connected sockets, and what came out at their other ends. */
async function connections(t: TestContext, count: number): Promise<{ sockets: Socket[]; received: () => string }> {
  let text = ''
  const server = createServer((socket) => {
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1')
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const sockets: Socket[] = []
  t.after(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  for (let i = 0; i < count; i++) {
    const socket = connect((server.address() as AddressInfo).port, '127.0.0.1')
    await once(socket, 'connect')
    sockets.push(socket)
  }
  return { sockets, received: () => text }
}

function write(socket: Socket, text: string): void {
  holdWrites(socket)
  socket.write(text)
}

test('what is written in one turn waits for its end, in order, and goes out then', async (t) => {
  const { sockets, received } = await connections(t, 1)
  const [socket] = sockets as [Socket]
  for (const text of ['a', 'b', 'c']) write(socket, text)
  assert.equal(socket.writableLength, 3)
  await turn()
  assert.equal(socket.writableCorked, 0)
  const deadline = Date.now() + 30_000
  while (received() !== 'abc' && Date.now() < deadline) await turn()
  assert.equal(received(), 'abc')
})

test('no more than so many wait for each other', async (t) => {
  const { sockets } = await connections(t, MAX_HELD + 1)
  for (const socket of sockets) write(socket, 'a')
  assert.deepEqual(
    sockets.map(({ writableCorked }) => writableCorked),
    [...new Array(MAX_HELD).fill(0), 1],
  )
  await turn()
  for (const socket of sockets) assert.equal(socket.writableCorked, 0)
})

test('a socket that ends or is destroyed meanwhile is let be', async (t) => {
  const { sockets, received } = await connections(t, 2)
  const [ending, gone] = sockets as [Socket, Socket]
  write(ending, 'all')
  ending.end()
  write(gone, 'nothing')
  gone.destroy()
  await once(ending, 'finish')
  const deadline = Date.now() + 30_000
  while (received() !== 'all' && Date.now() < deadline) await turn()
  assert.equal(received(), 'all')
})
