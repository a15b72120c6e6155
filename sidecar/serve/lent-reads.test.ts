import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { type TestContext, test } from 'node:test'
import { keepReads, lendReads } from './lent-reads.ts'
import { httpBackend } from './testing/backend.ts'
import { dialPlain } from './testing/client.ts'
import { until } from './testing/until.ts'
import { createTestMesh, startGateway } from './testing/world.ts'

/** Both ends of a connection. */
async function pair(t: TestContext): Promise<{ readonly near: Socket; readonly far: Socket }> {
  const server = createServer({ allowHalfOpen: true }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  assert.ok(typeof address === 'object' && address !== null)
  const far = connect({ host: '127.0.0.1', port: address.port })
  const [near] = (await once(server, 'connection')) as [Socket]
  t.after(() => {
    near.destroy()
    far.destroy()
    server.close()
  })
  return { near, far }
}

test('this Node reads into a buffer that is lent, also for sockets that were accepted', async (t) => {
  const { near, far } = await pair(t)
  const buffer = Buffer.alloc(64)
  const read: string[] = []
  const data: string[] = []
  let hasEnded = false
  near.unshift(Buffer.from('before'))
  assert.equal(
    lendReads(near, buffer, (length, lent) => {
      assert.equal(lent, buffer)
      read.push(lent.toString('latin1', 0, length))
    }),
    true,
  )
  near.on('data', (chunk: Buffer) => data.push(chunk.toString('latin1')))
  near.on('end', () => {
    hasEnded = true
  })
  near.resume()
  far.write('one')
  await until(() => read.length === 1, 'the first read')
  assert.deepEqual([data, read], [['before'], ['one']])
  near.pause()
  far.write('two')
  await new Promise((resolve) => setImmediate(() => setImmediate(resolve)))
  assert.deepEqual(read, ['one'])
  near.resume()
  await until(() => read.length === 2, 'what came while it was paused')
  keepReads(near)
  far.write('three')
  await until(() => data.length === 2, 'what comes as data again')
  assert.deepEqual(
    [data, read],
    [
      ['before', 'three'],
      ['one', 'two'],
    ],
  )
  far.end()
  await until(() => hasEnded, 'the end')
})

test('what waits unread of one client is not written over by what others send', async (t) => {
  const held: (() => void)[] = []
  const app = await httpBackend(t, (request, response) => {
    // Nothing is read before all have sent: the bodies wait in the proxy.
    held.push(() => {
      const chunks: Buffer[] = []
      request.on('data', (chunk: Buffer) => chunks.push(chunk))
      request.on('end', () => response.end(`${request.url} ${Buffer.concat(chunks).toString('latin1')}`))
    })
  })
  const plane = await startGateway(t, await createTestMesh(), app.port)
  const port = plane.port('http')
  const clients = await Promise.all(['a', 'b', 'c', 'd'].map(async (name) => ({ name, at: await dialPlain(port) })))
  t.after(() => {
    for (const { at } of clients) at.socket.destroy()
  })
  const bodyOf = (name: string) => name.repeat(9_000)
  for (const { name, at } of clients) {
    const body = bodyOf(name)
    at.send(`POST /${name}1 HTTP/1.1\r\nHost: orders.shop\r\nContent-Length: ${body.length}\r\n\r\n`)
    for (const part of [body.slice(0, 4_000), body.slice(4_000)]) at.send(part)
    // What is pipelined waits until the first is answered.
    at.send(`POST /${name}2 HTTP/1.1\r\nHost: orders.shop\r\nTransfer-Encoding: chunked\r\n\r\n`)
    at.send(`2328\r\n${body}\r\n0\r\n\r\n`)
  }
  for (const round of ['1', '2']) {
    await until(() => held.length === clients.length, 'a request of each')
    for (const go of held.splice(0)) go()
    for (const { name, at } of clients) {
      const { status, body } = await at.response()
      assert.equal(status, 200)
      assert.ok(body === `/${name}${round} ${bodyOf(name)}`, `the body of ${name}${round}`)
    }
  }
})
