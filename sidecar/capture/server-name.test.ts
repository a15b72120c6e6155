import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { before, test } from 'node:test'
import { connect } from 'node:tls'
import fc from 'fast-check'
import { MAX_HELLO_BYTES, readServerName } from './server-name.ts'

/** What a real client sends first. */
async function helloFor(servername: string): Promise<Buffer> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const client = connect({ host: '127.0.0.1', port: (server.address() as AddressInfo).port, servername })
  client.on('error', () => {})
  const [accepted] = await once(server, 'connection')
  const [hello] = (await once(accepted, 'data')) as [Buffer]
  client.destroy()
  accepted.destroy()
  server.close()
  return hello
}

let hello: Buffer
before(async () => {
  hello = await helloFor('Eu.Partner.example')
})

/** The same handshake message in records of `size` bytes each. */
function inRecords(record: Buffer, size: number): Buffer {
  const body = record.subarray(5)
  const records: Buffer[] = []
  for (let at = 0; at < body.length; at += size) {
    const part = body.subarray(at, at + size)
    records.push(Buffer.from([22, 3, 1, part.length >> 8, part.length & 255]), part)
  }
  return Buffer.concat(records)
}

test('the name that a client asks for is read, as it was written', () => {
  assert.deepEqual(readServerName(hello), { host: 'Eu.Partner.example' })
})

test('a hello without a name names nothing', async () => {
  assert.equal(readServerName(await helloFor('')), 'nothing')
})

test('a hello over many records says the same', () => {
  for (const size of [1, 3, 4, 5, 100, 511]) {
    assert.deepEqual(readServerName(inRecords(hello, size)), { host: 'Eu.Partner.example' }, `records of ${size}`)
  }
})

test('of a hello that has not come whole, nothing is said before it has', () => {
  for (let length = 0; length < hello.length; length++) {
    assert.equal(readServerName(hello.subarray(0, length)), 'incomplete', `${length} bytes`)
  }
  const many = inRecords(hello, 50)
  for (let length = 0; length < many.length; length++) {
    assert.equal(readServerName(many.subarray(0, length)), 'incomplete', `${length} bytes in records`)
  }
})

test('what follows the hello changes nothing', () => {
  assert.deepEqual(readServerName(Buffer.concat([hello, Buffer.from('more')])), { host: 'Eu.Partner.example' })
})

test('T33: a hello that names two hosts names nothing', () => {
  const name = Buffer.from('Eu.Partner.example')
  const at = hello.indexOf(name)
  const extension = hello.subarray(at - 9, at + name.length)
  assert.equal(extension.readUInt16BE(0), 0)
  const twice = Buffer.concat([hello.subarray(0, at - 9), extension, extension, hello.subarray(at + name.length)])
  // The record, the message and the list of extensions are longer by that.
  const grow = (offset: number) => twice.writeUInt16BE(twice.readUInt16BE(offset) + extension.length, offset)
  grow(3)
  grow(7)
  grow(listAt(hello))
  assert.equal(readServerName(twice), 'nothing')
})

/** Where the length of the list of extensions stands. */
function listAt(bytes: Buffer): number {
  let at = 5 + 4 + 2 + 32
  at += 1 + bytes.readUInt8(at)
  at += 2 + bytes.readUInt16BE(at)
  return at + 1 + bytes.readUInt8(at)
}

test('what is no hello, and what is too large for one, names nothing', () => {
  assert.equal(readServerName(Buffer.from('GET / HTTP/1.1\r\n')), 'nothing')
  assert.equal(readServerName(Buffer.from([22, 3, 1, 0, 0])), 'nothing')
  assert.equal(readServerName(Buffer.from([22, 3, 1, 0, 4, 2, 0, 0, 0])), 'nothing')
  const size = MAX_HELLO_BYTES + 1
  assert.equal(readServerName(Buffer.from([22, 3, 1, 64, 0, 1, size >> 16, (size >> 8) & 255, size & 255])), 'nothing')
})

test('no bytes make it throw, or say more than a name', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 400 }), fc.nat(), fc.nat({ max: 255 }), (noise, at, value) => {
      readServerName(Buffer.from(noise))
      readServerName(Buffer.concat([Buffer.from([22, 3, 1, 1, 144, 1, 0, 1, 140]), noise]))
      const changed = Buffer.from(hello)
      changed[at % changed.length] = value
      const spoken = readServerName(changed)
      assert.ok(typeof spoken === 'string' || spoken.host.length > 0)
    }),
    { numRuns: 2_000 },
  )
})
