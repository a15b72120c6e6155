import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from '#fast-check'
import { MAX_STARTUP_BYTES, type Opening, OpeningReader, type Startup } from './opening-reader.ts'
import { writeStartup } from './write-startup.ts'

const V3_0 = 0x3_0000
const V3_2 = 0x3_0002
const SSL_REQUEST = message(80877103, Buffer.alloc(0))
const GSSENC_REQUEST = message(80877104, Buffer.alloc(0))

function message(code: number, body: Buffer): Buffer {
  const head = Buffer.alloc(8)
  head.writeUInt32BE(8 + body.length, 0)
  head.writeUInt32BE(code, 4)
  return Buffer.concat([head, body])
}

/** Each string with a zero at its end; a startup ends with an empty one. */
function startup(version: number, ...strings: readonly string[]): Buffer {
  return message(version, Buffer.from(strings.map((each) => `${each}\0`).join(''), 'utf8'))
}

function read(bytes: Buffer): Opening | undefined {
  return new OpeningReader().push(bytes)
}

function reasonOf(bytes: Buffer): string {
  const opening = read(bytes)
  return opening?.kind === 'refused' ? opening.reason : (opening?.kind ?? 'incomplete')
}

test('a startup says who and where, and the database is the one of the user where it says none', () => {
  for (const version of [V3_0, V3_2]) {
    const opening = read(startup(version, 'user', 'orders', 'application_name', 'packer', ''))
    assert.deepEqual(opening, {
      kind: 'startup',
      version,
      user: 'orders',
      database: 'orders',
      isReplication: false,
      parameters: [['application_name', Buffer.from('packer')]],
    })
  }
  const empty = read(startup(V3_0, 'database', '', 'user', 'orders', '')) as Startup
  assert.equal(empty.database, 'orders')
})

test('replication is whatever is not a plain no', () => {
  const isReplication = (value: string) =>
    (read(startup(V3_0, 'user', 'a', 'replication', value, '')) as Startup).isReplication
  for (const value of ['true', 'database', '1', 'on', 'yes', '', 't', 'data', 'fal'])
    assert.ok(isReplication(value), value)
  for (const value of ['false', 'off', 'no', '0', 'FALSE']) assert.ok(!isReplication(value), value)
})

test('what could be understood in two ways is refused', () => {
  const cases: Readonly<Record<string, Buffer>> = {
    'two users': startup(V3_0, 'user', 'a', 'user', 'b', ''),
    'two databases': startup(V3_0, 'user', 'a', 'database', 'b', 'database', 'c', ''),
    'no user': startup(V3_0, 'database', 'a', ''),
    'an empty user': startup(V3_0, 'user', '', ''),
    'no end': startup(V3_0, 'user', 'a'),
    'a name without a value': startup(V3_0, 'user', 'a', 'database'),
    'bytes after the end': Buffer.concat([startup(V3_0, 'user', 'a', '', 'x')]),
    'a name that is not in ASCII': startup(V3_0, 'user', 'a', 'usér', 'b', ''),
    'a user that is no text': message(V3_0, Buffer.from('user\0\xff\xfe\0\0', 'latin1')),
    nothing: message(V3_0, Buffer.alloc(0)),
  }
  for (const [name, bytes] of Object.entries(cases)) assert.equal(reasonOf(bytes), 'malformed', name)
})

test('lengths have bounds, and what is too long is refused by its head', () => {
  const head = (length: number) => {
    const bytes = Buffer.alloc(4)
    bytes.writeUInt32BE(length, 0)
    return bytes
  }
  for (const length of [0, 4, 7, MAX_STARTUP_BYTES + 1, 0xffff_ffff]) assert.equal(reasonOf(head(length)), 'length')
  for (const length of [8, MAX_STARTUP_BYTES]) assert.equal(reasonOf(head(length)), 'incomplete')
  const most = startup(V3_0, 'user', 'a', 'options', 'x'.repeat(MAX_STARTUP_BYTES - 8 - 7 - 8 - 1 - 1), '')
  assert.equal(most.length, MAX_STARTUP_BYTES)
  assert.equal(reasonOf(most), 'startup')
  assert.equal(reasonOf(message(80877103, Buffer.alloc(1))), 'length')
  for (const bytes of [7, 261]) assert.equal(reasonOf(message(80877102, Buffer.alloc(bytes))), 'length')
  for (const bytes of [8, 260]) assert.equal(reasonOf(message(80877102, Buffer.alloc(bytes))), 'cancel')
})

test('other versions, TLS from the first byte, and other protocols are refused', () => {
  for (const version of [0x2_0000, 0x3_0001, 0x3_0003, 0x4_0000, 0]) {
    assert.equal(reasonOf(startup(version, 'user', 'a', '')), 'version')
  }
  assert.equal(reasonOf(Buffer.from([0x16, 3, 1, 2])), 'tls')
  assert.equal(reasonOf(Buffer.from('GET / HTTP/1.1\r\n')), 'length')
})

test('encryption is asked for once each, and the startup that follows in the same bytes is read', () => {
  const reader = new OpeningReader()
  const rest = Buffer.from('more')
  assert.deepEqual(reader.push(Buffer.concat([GSSENC_REQUEST, SSL_REQUEST, startup(V3_0, 'user', 'a', ''), rest])), {
    kind: 'encryption',
    by: 'gss',
  })
  assert.deepEqual(reader.next(), { kind: 'encryption', by: 'tls' })
  assert.equal(reader.next()?.kind, 'startup')
  assert.deepEqual(reader.rest(), rest)

  const again = new OpeningReader()
  assert.equal(again.push(SSL_REQUEST)?.kind, 'encryption')
  assert.deepEqual(again.push(SSL_REQUEST), { kind: 'refused', reason: 'repeated' })
})

test('what is written is read as it was meant, whatever the client said', () => {
  const name = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 40 }).filter((text) => !text.includes('\0'))
  const parameter = fc.tuple(
    fc.stringMatching(/^[a-z_.]{1,12}$/).filter((each) => !['user', 'database', 'replication'].includes(each)),
    fc.uint8Array({ maxLength: 30 }).map((bytes) => Buffer.from(bytes.filter((byte) => byte !== 0))),
  )
  const parameters = fc.uniqueArray(parameter, { selector: ([key]) => key, maxLength: 8 })
  fc.assert(
    fc.property(name, name, parameters, fc.constantFrom(V3_0, V3_2), (user, database, list, version) => {
      const said: Startup = {
        kind: 'startup',
        version,
        user: 'x',
        database: 'y',
        isReplication: true,
        parameters: list,
      }
      const opening = read(writeStartup(said, { user, database }))
      assert.deepEqual(opening, { ...said, user, database, isReplication: false })
    }),
  )
})

test('whatever comes, however it is cut, is read alike, within bounds, and never throws', () => {
  const whole = fc.oneof(
    fc.uint8Array({ maxLength: 200 }),
    fc
      .tuple(fc.constantFrom(V3_0, V3_2, 80877102, 80877103, 80877104), fc.uint8Array({ maxLength: 80 }))
      .map(([code, body]) => message(code, Buffer.from(body))),
    fc
      .array(fc.constantFrom('user', 'database', 'replication', 'orders', '', 'x'), { maxLength: 9 })
      .map((strings) => startup(V3_0, ...strings)),
  )
  const readAll = (reader: OpeningReader, first: Opening | undefined) => {
    const seen: Opening[] = []
    for (let opening = first; opening !== undefined; opening = reader.next()) {
      seen.push(opening)
      if (opening.kind !== 'encryption') break
    }
    return seen
  }
  fc.assert(
    fc.property(fc.array(whole, { maxLength: 3 }), fc.integer({ min: 1, max: 40 }), (parts, size) => {
      const bytes = Buffer.concat(parts)
      const atOnce = new OpeningReader()
      const expected = readAll(atOnce, atOnce.push(bytes))
      const reader = new OpeningReader()
      const seen: Opening[] = []
      for (let at = 0; at < bytes.length; at += size) {
        seen.push(...readAll(reader, reader.push(bytes.subarray(at, at + size))))
        const last = seen.at(-1)
        if (last !== undefined && last.kind !== 'encryption') break
      }
      assert.deepEqual(seen, expected)
    }),
  )
})
