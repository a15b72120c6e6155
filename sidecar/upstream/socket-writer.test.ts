import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { type TestContext, test } from 'node:test'
import { SocketWriter } from './socket-writer.ts'

/** A socket whose other end reads nothing until it is told to. */
async function pair(t: TestContext): Promise<{ readonly socket: Socket; readonly other: Socket }> {
  const server = createServer({ pauseOnConnect: true })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const accepted = once(server, 'connection')
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1')
  await once(socket, 'connect')
  const [other] = (await accepted) as [Socket]
  t.after(() => {
    socket.destroy()
    other.destroy()
    server.close()
  })
  return { socket, other }
}

test('what a socket could not send stays as it was, whatever others write meanwhile', async (t) => {
  const stuck = await pair(t)
  const free = await pair(t)
  free.other.resume()
  const writer = new SocketWriter(stuck.socket)
  const expected: Buffer[] = []
  while (stuck.socket.writableLength < 1_000_000) {
    const slice = randomBytes(expected.length % 2 === 0 ? 16_000 : 60_000)
    expected.push(Buffer.from(slice))
    if (stuck.socket.writableLength === 0) writer.writeLent([slice])
    else writer.writeLent([slice.subarray(0, 5_000), slice.subarray(5_000)])
    slice.fill(0)
  }
  const others = new SocketWriter(free.socket)
  for (const bytes of [16_000, 60_000, 16_000, 60_000]) others.writeLent([Buffer.alloc(bytes)])
  stuck.socket.end()
  const received: Buffer[] = []
  for await (const chunk of stuck.other) received.push(chunk as Buffer)
  assert.ok(Buffer.concat(received).equals(Buffer.concat(expected)))
})

test('memory is used again when the kernel has taken what was in it', async (t) => {
  const { socket, other } = await pair(t)
  other.resume()
  const writer = new SocketWriter(socket)
  const first = writer.take(16_000)
  writer.write(first)
  assert.equal(socket.writableLength, 0)
  assert.equal(writer.take(16_000).buffer, first.buffer)
})

test('what a turn gathered is lent, whether the socket can send it or not', async (t) => {
  const { socket, other } = await pair(t)
  const writer = new SocketWriter(socket, { holdsSmall: true })
  const expected: Buffer[] = []
  while (socket.writableLength < 1_000_000) {
    const turn = randomBytes([200, 16_000, 60_000, 200_000][expected.length % 4]!)
    expected.push(Buffer.from(turn))
    writer.writeTurn(turn)
    turn.fill(0)
  }
  socket.end()
  const received: Buffer[] = []
  for await (const chunk of other) received.push(chunk as Buffer)
  assert.ok(Buffer.concat(received).equals(Buffer.concat(expected)))
})
