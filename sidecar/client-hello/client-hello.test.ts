import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { before, test } from 'node:test'
import { connect } from 'node:tls'
import fc from '#fast-check'
import { ClientHelloReader, type HelloRead, MAX_HELLO_BYTES, readClientHello } from './client-hello.ts'
import { type Extension, helloMessage, inRecords, joined, serverNames, vector } from './testing/hello.ts'

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

let real: Buffer
before(async () => {
  real = await helloFor('Eu.Partner.example')
})

const NAMED: HelloRead = { kind: 'hello', serverName: 'eu.partner.example' as never }
const NAMELESS: HelloRead = { kind: 'hello', serverName: undefined }
const INCOMPLETE: HelloRead = { kind: 'incomplete' }

function refused(reason: string): HelloRead {
  return { kind: 'refused', reason } as HelloRead
}

function named(...extensions: readonly Extension[]): HelloRead {
  return readClientHello(inRecords(helloMessage({ extensions })))
}

/** Extension types that mean nothing, for clients to see who chokes on them (RFC 8701). */
const GREASE = Array.from({ length: 16 }, (_, i) => i * 0x1010 + 0x0a0a)

test('T14: the name that a client asks for is read in lower case', () => {
  assert.deepEqual(readClientHello(real), NAMED)
  assert.deepEqual(named(serverNames('EU.partner.EXAMPLE')), NAMED)
})

test('a hello without a name names nobody, with and without extensions', async () => {
  assert.deepEqual(readClientHello(await helloFor('')), NAMELESS)
  assert.deepEqual(named(), NAMELESS)
  assert.deepEqual(readClientHello(inRecords(helloMessage({}))), NAMELESS)
})

test('a hello over many records says the same', () => {
  for (const size of [2, 3, 4, 5, 100, 511]) {
    assert.deepEqual(readClientHello(inRecords(real.subarray(5), size)), NAMED, `records of ${size}`)
  }
})

test('of a hello that has not come whole nothing is said before it has, and what follows changes nothing', () => {
  for (const bytes of [real, Buffer.from(inRecords(real.subarray(5), 50))]) {
    const reader = new ClientHelloReader()
    for (let at = 0; at < bytes.length - 1; at++) {
      assert.deepEqual(reader.read(bytes.subarray(at, at + 1)), INCOMPLETE, `${at} bytes`)
    }
    assert.deepEqual(reader.read(bytes.subarray(bytes.length - 1)), NAMED)
    assert.deepEqual(reader.read(Buffer.from('more')), NAMED)
  }
})

test('extensions that nobody knows are passed over, and so is an encrypted hello inside of this one', () => {
  const encrypted: Extension = [0xfe0d, new Uint8Array(200).fill(1)]
  const grease = GREASE.map((type, i): Extension => [type, new Uint8Array(i)])
  assert.deepEqual(named(...grease, serverNames('eu.partner.example'), encrypted, ...grease), NAMED)
})

test('T14 T33: a hello that names two hosts is refused, in one list or in two', () => {
  const twice = serverNames('eu.partner.example', 'other.example')
  assert.deepEqual(named(twice), refused('two-names'))
  assert.deepEqual(named(serverNames('eu.partner.example', 'eu.partner.example')), refused('two-names'))
  assert.deepEqual(named(serverNames('eu.partner.example'), serverNames('other.example')), refused('two-names'))
  assert.deepEqual(named(serverNames('eu.partner.example'), [0, new Uint8Array(0)]), refused('two-names'))
})

test('T14: what is not the name of a host is refused, not put right', () => {
  for (const name of [
    'eu.partner.example\0.other.example',
    'eu.partner.example\0',
    '\0',
    'eu.partner.example.',
    '.partner.example',
    'eu..example',
    '192.0.2.1',
    '2001:db8::1',
    '[2001:db8::1]',
    '*.partner.example',
    'eu.partner.example:443',
    'eu partner.example',
    'eu.partner.example ',
    'eu_partner.example',
    '\u212aelvin.example',
    `${'a'.repeat(64)}.example`,
    `${'a.'.repeat(127)}aa`,
    'a'.repeat(60_000 / 4),
    '',
  ]) {
    assert.deepEqual(named(serverNames(name)), refused('malformed-name'), JSON.stringify(name))
  }
})

test('what is no hello is refused as soon as that is known', () => {
  const cases: readonly (readonly [Uint8Array, string])[] = [
    [Buffer.from('GET / HTTP/1.1\r\n'), 'not-tls'],
    [Buffer.from([22, 2]), 'not-tls'],
    // SSL 2.0
    [Buffer.from([0x80, 0x2e, 1]), 'not-tls'],
    [Buffer.from([22, 3, 1, 0, 0]), 'malformed'],
    [Buffer.from([22, 3, 1, 0, 4, 2]), 'not-a-client-hello'],
    [Buffer.from([22, 3, 1, 0, 1, 1, 23]), 'malformed'],
    [Buffer.from([22, 3, 1, 0, 1, 1, 22, 2]), 'malformed'],
    [Buffer.from([22, 3, 1, 64, 0, 1, 0, 64, 0]), 'too-long'],
    [Buffer.from([22, 3, 1, 64, 0, 1, 255, 255, 255]), 'too-long'],
  ]
  for (const [bytes, reason] of cases) {
    assert.deepEqual(readClientHello(bytes), refused(reason), Buffer.from(bytes).toString('hex'))
  }
})

test('T20: a hello that grows without end is refused at its bound, however it is cut', () => {
  const message = helloMessage({ extensions: [[0x0a0a, new Uint8Array(12_000)]] })
  // Records of one byte are five bytes of headers each.
  const reader = new ClientHelloReader()
  let seen = 0
  let read: HelloRead = INCOMPLETE
  for (const byte of inRecords(message, 1)) {
    read = reader.read(Uint8Array.of(byte))
    seen += 1
    if (read.kind !== 'incomplete') break
  }
  assert.deepEqual(read, refused('too-long'))
  assert.equal(seen, MAX_HELLO_BYTES + 1)
  const largest = helloMessage({
    extensions: [[0x0a0a, new Uint8Array(16_000)], serverNames('eu.partner.example')],
  })
  assert.deepEqual(readClientHello(inRecords(largest)), NAMED)
})

test('lengths that do not add up are refused', () => {
  const cut = (message: Uint8Array, change: (bytes: Uint8Array) => void) => {
    const bytes = Uint8Array.from(message)
    change(bytes)
    return readClientHello(inRecords(bytes))
  }
  const message = helloMessage({ extensions: [serverNames('eu.partner.example')] })
  const sessionAt = 4 + 2 + 32
  const suitesAt = sessionAt + 33
  const methodsAt = suitesAt + 4
  const listAt = methodsAt + 2
  for (const [at, value] of [
    [sessionAt, 33],
    [sessionAt, 255],
    [suitesAt + 1, 1],
    [suitesAt + 1, 0],
    [methodsAt, 0],
    [listAt + 1, 0],
    [listAt + 1, 255],
    // of the extension, of the list of names, of the name
    [listAt + 5, 0],
    [listAt + 5, 255],
    [listAt + 7, 0],
    [listAt + 7, 255],
    [listAt + 10, 255],
    // another type of name
    [listAt + 8, 1],
  ] as const) {
    const found = cut(message, (bytes) => {
      bytes[at] = value
    })
    assert.deepEqual(found, refused('malformed'), `${at}: ${value}`)
  }
  assert.deepEqual(named([0, new Uint8Array(0)]), refused('malformed'))
  assert.deepEqual(named([0, vector(2, new Uint8Array(0))]), refused('malformed'))
})

const label = fc.stringMatching(/^[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?$/)
const hostname = fc.array(label, { minLength: 1, maxLength: 5 }).map((labels) => `${labels.join('.')}.example`)
const extension = fc
  .tuple(fc.integer({ min: 1, max: 0xffff }), fc.uint8Array({ maxLength: 64 }))
  .map(([type, data]): Extension => [type, data])

test('whatever else a hello says and however it is cut into records and segments, its name is the same', () => {
  fc.assert(
    fc.property(
      hostname,
      fc.array(extension, { maxLength: 8 }),
      fc.array(extension, { maxLength: 8 }),
      fc.uint8Array({ maxLength: 32 }),
      fc.integer({ min: 2, max: 700 }),
      fc.integer({ min: 1, max: 700 }),
      (name, left, right, sessionId, recordBytes, segmentBytes) => {
        const message = helloMessage({ sessionId, extensions: [...left, serverNames(name), ...right] })
        const bytes = inRecords(message, recordBytes)
        const reader = new ClientHelloReader()
        let read: HelloRead = INCOMPLETE
        for (let at = 0; at < bytes.length; at += segmentBytes) {
          assert.deepEqual(read, INCOMPLETE)
          read = reader.read(bytes.subarray(at, at + segmentBytes))
        }
        assert.deepEqual(read, { kind: 'hello', serverName: name })
      },
    ),
  )
})

test('no bytes make it throw, and what it says of them does not depend on how they are cut', () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 400 }),
      fc.array(fc.tuple(fc.nat(), fc.nat({ max: 255 })), { minLength: 1, maxLength: 4 }),
      fc.integer({ min: 1, max: 64 }),
      (noise, changes, segmentBytes) => {
        const changed = Uint8Array.from(real)
        for (const [at, value] of changes) changed[at % changed.length] = value
        const headed = joined(Uint8Array.of(22, 3, 1, 1, 144, 1, 0, 1, 140), noise)
        for (const bytes of [noise, headed, changed]) {
          const whole = readClientHello(bytes)
          const reader = new ClientHelloReader()
          let read: HelloRead = INCOMPLETE
          for (let at = 0; at < bytes.length; at += segmentBytes)
            read = reader.read(bytes.subarray(at, at + segmentBytes))
          assert.deepEqual(read, whole)
          if (whole.kind === 'hello')
            assert.ok(whole.serverName === undefined || /^[a-z0-9.-]+$/.test(whole.serverName))
        }
      },
    ),
    { numRuns: 2_000 },
  )
})
