import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type Http2Server } from 'node:http2'
import { type AddressInfo, connect } from 'node:net'
import { test } from 'node:test'
import fc from '#fast-check'
import { HeaderLines, NO_HEADERS } from '../http1/header-lines.ts'
import { NO_BODY } from '../http1/message.ts'
import { RequestHeadParser } from '../http1/request-head.ts'
import { FieldDecoder } from './field-decoder.ts'
import { boundOf, FieldEncoder } from './field-encoder.ts'
import { HEADERS, PREFACE, SETTINGS } from './frame.ts'
import type { Http2Request } from './handler.ts'
import { frame } from './testing/frames.ts'

/** Field lines as they come from an HTTP/1.1 client. */
function lines(...pairs: readonly (readonly [name: string, value: string])[]): HeaderLines {
  const text = pairs.map(([name, value]) => `${name}: ${value}\r\n`).join('')
  const head = new RequestHeadParser().parse(Buffer.from(`GET / HTTP/1.1\r\nHost: a\r\n${text}\r\n`, 'latin1'))
  assert.ok(head?.kind === 'request', JSON.stringify(head))
  return head.headers
}

function request(headers: HeaderLines, more: Partial<Http2Request> = {}): Http2Request {
  return { method: 'GET', target: '/a', host: 'shop.example', scheme: 'http', headers, framing: NO_BODY, ...more }
}

function encode(encoder: FieldEncoder, message: Http2Request): Buffer {
  const out = Buffer.alloc(boundOf(message))
  const end = encoder.writeRequest(out, 0, message)
  assert.ok(typeof end === 'number')
  assert.ok(end <= out.length)
  return out.subarray(0, end)
}

const LIMITS = { maxHeadBytes: 16_384, maxHeaders: 100 }

function decode(decoder: FieldDecoder, bytes: Buffer): readonly (readonly [string, string])[] {
  assert.equal(decoder.decode(bytes, 0, bytes.length, 'request'), 'ok')
  assert.equal(decoder.malformed, undefined)
  return [...decoder.lines!]
}

test('what is encoded again and again takes an octet a field from the third time on', () => {
  const encoder = new FieldEncoder()
  const decoder = new FieldDecoder(LIMITS)
  const headers = lines(['User-Agent', 'curl/8'], ['Accept', '*/*'], ['X-Tenant', 'north'])
  const sizes = Array.from({ length: 4 }, () => {
    const bytes = encode(encoder, request(headers))
    assert.deepEqual(decode(decoder, bytes), [
      ['user-agent', 'curl/8'],
      ['accept', '*/*'],
      ['x-tenant', 'north'],
    ])
    assert.equal(decoder.authority, 'shop.example')
    assert.equal(decoder.path, '/a')
    return bytes.length
  })
  assert.deepEqual(sizes.slice(2), [7, 7])
})

test('what comes once takes no entry of the table', () => {
  const encoder = new FieldEncoder()
  for (let index = 0; index < 500; index++)
    encode(encoder, request(lines(['X-Id', `id-${index}`]), { target: `/${index}` }))
  // The host is all that came again.
  assert.equal(encoder.tableEntries, 1)
})

test('credentials and cookies are never indexed, nor what the sender asked not to be', () => {
  const encoder = new FieldEncoder()
  const secret = lines(['Authorization', 'Bearer abc'], ['Cookie', 'sid=1'], ['X-Api-Key', 'k'])
  for (let round = 0; round < 4; round++) {
    const bytes = encode(encoder, request(secret))
    for (const text of ['Bearer abc', 'sid=1', 'k']) assert.ok(bytes.includes(text), text)
    // 0001 in front, and a name by index: authorization is 23, cookie 32.
    assert.ok(bytes.includes(Buffer.from([0x1f, 23 - 15])))
    assert.ok(bytes.includes(Buffer.from([0x1f, 32 - 15])))
    assert.ok(bytes.includes(Buffer.concat([Buffer.from([0x10, 9]), Buffer.from('x-api-key')])))
  }
  const { block, origin, marks } = lines(['X-Asked', 'v'], ['X-Other', 'w'])
  const asked = new HeaderLines(block, origin, marks, [1])
  for (let round = 0; round < 4; round++) encode(encoder, request(asked))
  const bytes = encode(encoder, request(asked))
  assert.ok(bytes.includes(Buffer.concat([Buffer.from([0x10, 7]), Buffer.from('x-asked')])))
  assert.ok(!bytes.includes('x-other'))
})

test('sizes of the table that the peer asks for are kept and told, the smallest of them too', () => {
  const encoder = new FieldEncoder()
  const decoder = new FieldDecoder(LIMITS)
  const headers = lines(['X-Tenant', 'north'])
  for (let round = 0; round < 3; round++) decode(decoder, encode(encoder, request(headers)))
  encoder.resize(0)
  encoder.resize(100)
  const bytes = encode(encoder, request(headers))
  assert.deepEqual([...bytes.subarray(0, 3)], [0x20, 0x3f, 100 - 31])
  assert.deepEqual(decode(decoder, bytes), [['x-tenant', 'north']])
  assert.equal(decoder.tableEntries, 2)
  encoder.resize(1_000_000)
  assert.deepEqual([...encode(encoder, request(headers)).subarray(0, 3)], [0x3f, 0xe1, 0x1f])
  assert.equal(encode(encoder, request(headers))[0], 0x82)
})

test('edits and framing come out as in HTTP/1.1, hop-by-hop fields do not', () => {
  const decoder = new FieldDecoder(LIMITS)
  const headers = lines(['Connection', 'x-gone'], ['X-Gone', '1'], ['X-Kept', '2'], ['TE', 'gzip'], ['X-Set', 'old'])
  const message = request(headers, {
    method: 'PUT',
    connectionNames: ['x-gone'],
    framing: { kind: 'length', bytes: 7 },
    trailers: true,
    edits: { set: [['x-set', 'new']], requestId: 'id' },
  })
  assert.deepEqual(decode(decoder, encode(new FieldEncoder(), message)), [
    ['content-length', '7'],
    ['x-request-id', 'id'],
    ['x-set', 'new'],
    ['x-kept', '2'],
    ['te', 'trailers'],
  ])
})

test('T15: what would split is not written, and the table is what it was', () => {
  const encoder = new FieldEncoder()
  const out = Buffer.alloc(1_000)
  for (const bad of [
    { edits: { set: [['x', 'a\r\nb: c']] as const } },
    { edits: { set: [['x y', 'a']] as const } },
    { edits: { set: [['transfer-encoding', 'chunked']] as const } },
    { edits: { requestId: 'a\n' } },
    { target: '/a b' },
    { host: 'a\r\n' },
    { method: 'G T' },
  ]) {
    const end = encoder.writeRequest(out, 0, request(NO_HEADERS, bad))
    assert.ok(typeof end !== 'number' && end.reason === 'unwritable-head', JSON.stringify(bad))
  }
  const ended = encoder.writeResponse(out, 0, { status: 101, headers: NO_HEADERS, framing: NO_BODY })
  assert.ok(typeof ended !== 'number')
})

test('whatever is encoded, in whatever order, is decoded to what it was', () => {
  const name = fc.constantFrom('accept', 'x-a', 'x-b', 'user-agent', 'cookie', 'x-long-name-of-a-header', 'x_y')
  const value = fc.oneof(
    fc.constantFrom('a', 'b', '', 'gzip, deflate', 'x'.repeat(400), 'y'.repeat(700)),
    fc.string({ unit: fc.constantFrom(...'abcZ09;=/é'), maxLength: 30 }),
  )
  const field = fc.tuple(name, value)
  const step = fc.oneof(
    { weight: 9, arbitrary: fc.array(field, { maxLength: 8 }) },
    { weight: 1, arbitrary: fc.constantFrom(0, 40, 200, 4_096, 10_000) },
  )
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const encoder = new FieldEncoder()
      const decoder = new FieldDecoder({ ...LIMITS, maxHeaders: 1_000 })
      for (const one of steps) {
        if (typeof one === 'number') {
          encoder.resize(one)
          continue
        }
        const fields = one.filter(
          ([name]) => name !== 'cookie' || one.filter(([other]) => other === 'cookie').length === 1,
        )
        const decoded = decode(decoder, encode(encoder, request(lines(...fields))))
        const sort = (pairs: readonly (readonly [string, string])[]) => pairs.map((pair) => pair.join('=')).sort()
        assert.deepEqual(sort(decoded), sort(fields))
        assert.equal(decoder.tableEntries, encoder.tableEntries)
      }
    }),
    { numRuns: 300 },
  )
})

test('node:http2 reads what is encoded as it was meant', async () => {
  const server: Http2Server = createServer()
  const received: string[][] = []
  server.on('stream', (stream, headers) => {
    received.push(Object.entries(headers).map(([name, value]) => `${name}: ${value}`))
    stream.respond({ ':status': 204 }, { endStream: true })
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1')
  try {
    const encoder = new FieldEncoder()
    socket.write(Buffer.concat([PREFACE, frame(SETTINGS, 0, 0)]))
    const sent: string[][] = []
    for (let index = 0; index < 200; index++) {
      const pairs: [string, string][] = [
        ['User-Agent', 'curl/8'],
        ['X-Round', `${index % 7}`],
        ['X-Long', 'l'.repeat((index * 37) % 600)],
        ['Authorization', 'Bearer abc'],
      ]
      const bytes = encode(encoder, request(lines(...pairs), { target: `/${index % 5}` }))
      socket.write(frame(HEADERS, 0x5, index * 2 + 1, bytes))
      sent.push([
        ':method: GET',
        ':scheme: http',
        ':authority: shop.example',
        `:path: /${index % 5}`,
        ...pairs.map(([name, value]) => `${name.toLowerCase()}: ${value}`),
      ])
      if (index % 50 === 49) await once(socket, 'data')
    }
    while (received.length < sent.length) await once(socket, 'data')
    assert.deepEqual(received, sent)
  } finally {
    socket.destroy()
    server.close()
  }
})

test('the same heads again and again, among others, whatever becomes of the table, are read as what they are', () => {
  const remove = [['x-tenant'], undefined] as const
  const heads = [
    lines(['User-Agent', 'curl/8'], ['X-Tenant', 'north'], ['Authorization', 'Bearer s3cret']),
    lines(['User-Agent', 'curl/8'], ['X-Tenant', 'south']),
    lines(['X-Long', 'x'.repeat(600)], ['X-Tenant', 'north']),
    lines(['X-Wide', 'y'.repeat(480)], ['Accept', '*/*']),
  ]
  const step = fc.record({
    head: fc.nat(heads.length - 1),
    remove: fc.constantFrom(...remove),
    times: fc.integer({ min: 1, max: 4 }),
    resize: fc.option(fc.constantFrom(0, 64, 600, 4_096), { freq: 6, nil: undefined }),
    requestId: fc.option(fc.constantFrom('a', 'b', 'c'), { nil: undefined }),
  })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const encoder = new FieldEncoder()
      const decoder = new FieldDecoder(LIMITS)
      for (const { head, remove, times, resize, requestId } of steps) {
        if (resize !== undefined) encoder.resize(resize)
        const headers = heads[head]!
        const edits = { ...(remove && { remove }), ...(requestId !== undefined && { requestId }) }
        const expected = [...headers].filter(([name]) => remove === undefined || name !== 'x-tenant')
        for (let time = 0; time < times; time++) {
          const read = decode(decoder, encode(encoder, request(headers, { edits })))
          assert.deepEqual(
            read.filter(([name]) => name !== 'x-request-id'),
            expected.filter(([name]) => name !== 'host'),
          )
        }
      }
    }),
  )
})
