import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from '#fast-check'
import type { HeaderPair } from '../../../model/verdict.ts'
import { NO_HEADERS } from './header-lines.ts'
import type { RequestHead, ResponseHead } from './message.ts'
import { UNWRITABLE } from './problem.ts'
import { RequestHeadParser } from './request-head.ts'
import { ResponseHeadParser } from './response-head.ts'
import { clientOracle, serverOracle } from './testing/llhttp.ts'
import { requestOctets } from './testing/messages.ts'
import { octets, readRequests } from './testing/transcript.ts'
import {
  checkLines,
  compileDrop,
  framingTowards,
  type HeaderEdits,
  isFieldValue,
  type RequestToWrite,
  WritableNames,
  writeRequestHead,
  writeResponseHead,
} from './write-head.ts'

const NONE = { kind: 'none' } as const
const CHUNKED = { kind: 'chunked' } as const

function request(...lines: readonly string[]): RequestHead {
  const head = new RequestHeadParser().parse(
    octets(['GET /a?b HTTP/1.1', 'Host: Shop.Example', ...lines, '', ''].join('\r\n')),
  )
  assert.ok(head?.kind === 'request', JSON.stringify(head))
  return head
}

function response(...lines: readonly string[]): ResponseHead {
  const head = new ResponseHeadParser().parse(octets(['HTTP/1.1 200 OK', ...lines, '', ''].join('\r\n')))
  assert.ok(head?.kind === 'response', JSON.stringify(head))
  return head
}

function written(head: RequestHead, edits: HeaderEdits = {}, more: Partial<RequestToWrite> = {}): readonly string[] {
  const { method, host, headers, connectionNames, framing, upgrade } = head
  const bytes = writeRequestHead({
    method,
    target: '/a?b',
    host,
    headers,
    connectionNames,
    framing,
    upgrade,
    edits,
    ...more,
  })
  assert.ok(bytes instanceof Buffer, JSON.stringify(bytes))
  const text = bytes.toString('latin1')
  assert.ok(text.endsWith('\r\n\r\n'))
  return text.slice(0, -4).split('\r\n')
}

test('a request goes on with its lines as they came, and with our Host and framing', () => {
  assert.deepEqual(written(request('X-One: 1', 'x-two: \xe9', 'Content-Length: 3')), [
    'GET /a?b HTTP/1.1',
    'host: shop.example',
    'content-length: 3',
    'X-One: 1',
    'x-two: \xe9',
  ])
})

test('white space around values is not passed on', () => {
  assert.deepEqual(written(request('a:1', 'b:  2', 'c:\t3', 'd: 4 \t', 'e: ', 'f:')).slice(2), [
    'a: 1',
    'b: 2',
    'c: 3',
    'd: 4',
    'e: ',
    'f: ',
  ])
})

test('a line that is not written as we would write it is written anew', () => {
  for (const line of ['x:1', 'x:  1', 'x:\t1', 'x: 1 ', 'x: 1\t'])
    assert.deepEqual(written(request(line)).slice(2), ['x: 1'])
})

test('hop-by-hop fields stay here (RFC 9110, 7.6.1)', () => {
  const lines = written(
    request(
      'Connection: close, X-Gone, keep-alive',
      'X-Gone: 1',
      'x_gone: 2',
      'Keep-Alive: timeout=5',
      'Proxy-Connection: keep-alive',
      'Proxy-Authorization: Basic x',
      'TE: trailers',
      'Trailer: x',
      'Upgrade: h2c',
      'HTTP2-Settings: x',
      'X-Stays: 1',
    ),
  )
  assert.deepEqual(lines.slice(2), ['X-Stays: 1'])
})

test('T12: lines are left out in every spelling, by name and by prefix', () => {
  const drop = compileDrop({ names: ['Authorization', 'x-dept'], prefixes: ['x-forwarded-'] })
  const head = request(
    'authorization: a',
    'X-DEPT: b',
    'x_my-own: c',
    'X-Forwarded-Anything: d',
    'x-forwarded: e',
    'x-other: f',
  )
  assert.deepEqual(written(head, { drop }).slice(2), ['x_my-own: c', 'x-forwarded: e', 'x-other: f'])
  assert.deepEqual(written(head, { drop, remove: ['x-my-own', 'x-other'] }).slice(2), ['x-forwarded: e'])
})

test('T12: what is set replaces every copy, in every spelling, and Connection cannot take it away', () => {
  const head = request(
    'X-My-Id: forged',
    'x_my_id: forged',
    'x-my-id: forged',
    'Connection: x-my-id, x-other',
    'x-other: 1',
  )
  assert.deepEqual(
    written(head, {
      set: [
        ['x-my-id', 'ours'],
        ['x-other', 'ours'],
      ],
    }).slice(2),
    ['x-my-id: ours', 'x-other: ours'],
  )
})

test('several values of one name can be set', () => {
  const set: readonly HeaderPair[] = [
    ['x-a', '1'],
    ['x-a', '2'],
  ]
  assert.deepEqual(written(request('x-a: 0'), { set }).slice(2), ['x-a: 1', 'x-a: 2'])
})

test('there is one framing field, and it is ours', () => {
  const chunked = request('Transfer-Encoding: chunked')
  assert.deepEqual(written(chunked).slice(2), ['transfer-encoding: chunked'])
  assert.deepEqual(written(chunked, {}, { framing: { kind: 'length', bytes: 0 } }).slice(2), ['content-length: 0'])
  assert.deepEqual(written(request('Content-Length: 5'), {}, { framing: CHUNKED }).slice(2), [
    'transfer-encoding: chunked',
  ])
  assert.deepEqual(written(request()).slice(2), [])
})

test('T19: an upgrade is written anew and for WebSocket alone', () => {
  const head = request('Connection: Upgrade', 'Upgrade: h2c, websocket', 'Sec-WebSocket-Key: x')
  assert.deepEqual(written(head).slice(2), ['connection: upgrade', 'upgrade: websocket', 'Sec-WebSocket-Key: x'])
  assert.deepEqual(written(head, {}, { upgrade: undefined }).slice(2), ['Sec-WebSocket-Key: x'])
})

test('head and first body go out in one Buffer', () => {
  const message = { method: 'POST', target: '/', host: 'a', headers: NO_HEADERS }
  const slices = [octets('he'), octets('llo')]
  const text = (framing: RequestToWrite['framing'], done: boolean) =>
    String(writeRequestHead({ ...message, framing }, { slices, done }))
      .split('\r\n\r\n')
      .slice(1)
      .join('\r\n\r\n')
  assert.equal(text({ kind: 'length', bytes: 5 }, true), 'hello')
  assert.equal(text({ kind: 'length', bytes: 9 }, false), 'hello')
  assert.equal(text(CHUNKED, false), '5\r\nhello\r\n')
  assert.equal(text(CHUNKED, true), '5\r\nhello\r\n0\r\n\r\n')
})

test('T15: what would split, or frame two ways, is not written', () => {
  const message: RequestToWrite = { method: 'GET', target: '/', host: 'a', headers: NO_HEADERS, framing: NONE }
  const isRefused = (more: Partial<RequestToWrite>) =>
    assert.equal(writeRequestHead({ ...message, ...more }), UNWRITABLE)
  for (const value of ['a\r\nb: c', 'a\nb', 'a\rb', 'a\0b', 'a\x7fb', '\u010d\u010a', '\u{1f600}'])
    isRefused({ edits: { set: [['x', value]] } })
  for (const name of ['', 'a b', 'a:', 'a\r\n', '\u0161']) isRefused({ edits: { set: [[name, 'x']] } })
  for (const name of ['content-length', 'Transfer-Encoding', 'transfer_encoding', 'host', 'connection', 'upgrade']) {
    isRefused({ edits: { set: [[name, 'x']] } })
  }
  for (const target of ['', '/ HTTP/1.1\r\nx: y', '/a b', '/\u010a', '/\xe9']) isRefused({ target })
  for (const host of ['', 'a\r\nx: y', 'a b', '\u010a']) isRefused({ host })
  for (const method of ['', 'GET /', 'G\r\n']) isRefused({ method })
  isRefused({ framing: { kind: 'until-close' } })
  const body = [octets('ab')]
  assert.equal(writeRequestHead(message, { slices: body, done: true }), UNWRITABLE, 'a body where there is none')
  assert.equal(
    writeRequestHead({ ...message, framing: { kind: 'length', bytes: 1 } }, { slices: body, done: false }),
    UNWRITABLE,
  )
  assert.equal(
    writeRequestHead({ ...message, framing: { kind: 'length', bytes: 3 } }, { slices: body, done: true }),
    UNWRITABLE,
  )
})

test('a field value is latin1 without control characters', () => {
  assert.equal(isFieldValue('a\tb \xff'), true)
  assert.equal(isFieldValue(''), true)
  for (const text of ['\r', '\n', '\0', '\x1b', '\x7f', '\u0100']) assert.equal(isFieldValue(text), false)
})

test('a response is written with our status line, its lines and our framing', () => {
  const { headers, connectionNames } = response(
    'Server: x',
    'Connection: close, x-gone',
    'X-Gone: 1',
    'Keep-Alive: timeout=5',
    'Set-Cookie: a=b',
    'Set-Cookie: c=d',
  )
  const text = (more: object) =>
    String(writeResponseHead({ status: 404, headers, connectionNames, framing: CHUNKED, ...more })).split('\r\n')
  assert.deepEqual(text({}), [
    'HTTP/1.1 404 Not Found',
    'transfer-encoding: chunked',
    'Server: x',
    'Set-Cookie: a=b',
    'Set-Cookie: c=d',
    '',
    '',
  ])
  assert.deepEqual(text({ close: true, edits: { set: [['set-cookie', 'e=f']] } }), [
    'HTTP/1.1 404 Not Found',
    'transfer-encoding: chunked',
    'connection: close',
    'set-cookie: e=f',
    'Server: x',
    '',
    '',
  ])
  assert.deepEqual(text({ framing: { kind: 'until-close' }, headers: NO_HEADERS }), [
    'HTTP/1.1 404 Not Found',
    'connection: close',
    '',
    '',
  ])
  assert.equal(text({ status: 299 })[0], 'HTTP/1.1 299 ')
})

test('a response that has no body says so or says nothing', () => {
  const write = (more: object) => writeResponseHead({ status: 200, headers: NO_HEADERS, framing: NONE, ...more })
  const text = (more: object) => String(write(more))
  assert.equal(text({ declaredLength: 5 }), 'HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n')
  assert.equal(text({ status: 204, framing: { kind: 'length', bytes: 0 } }), 'HTTP/1.1 204 No Content\r\n\r\n')
  assert.equal(
    text({ status: 101, upgrade: 'websocket' }),
    'HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n',
  )
  for (const more of [
    { status: 204, framing: CHUNKED },
    { status: 100, framing: { kind: 'length', bytes: 1 } },
    { status: 99 },
    { status: 600 },
    { status: 200.5 },
  ]) {
    assert.equal(write(more), UNWRITABLE)
  }
})

test('a client of HTTP/1.0 gets no chunks, one of HTTP/1.1 sees where a body was cut', () => {
  assert.equal(framingTowards(0, CHUNKED).kind, 'until-close')
  assert.equal(framingTowards(1, { kind: 'until-close' }).kind, 'chunked')
  assert.equal(framingTowards(0, { kind: 'length', bytes: 1 }).kind, 'length')
  assert.equal(framingTowards(0, NONE).kind, 'none')
})

test('T15: a request that was read and written again is one message with the same lines, to us and to llhttp', async () => {
  await fc.assert(
    fc.asyncProperty(requestOctets, async (bytes) => {
      const [message] = readRequests([bytes]).messages
      const head = new RequestHeadParser().parse(bytes)
      if (message === undefined || head?.kind !== 'request' || !message.complete) return
      const target = head.path + (head.query === '' ? '' : `?${head.query}`)
      const { method, host, headers, connectionNames, framing } = head
      const slices = message.body === '' ? [] : [octets(message.body)]
      const again = writeRequestHead(
        { method, target, host, headers, connectionNames, framing },
        { slices, done: true },
      )
      assert.ok(again instanceof Buffer, JSON.stringify(again))

      const ours = readRequests([again])
      assert.equal(ours.messages.length, 1)
      assert.equal(ours.consumed, again.length)
      assert.equal(ours.messages[0]?.body, message.body)
      assert.equal(ours.messages[0]?.head.target, target)
      const passed = message.headers.filter(([name]) => !OURS.has(name) && !connectionNames.includes(name))
      assert.deepEqual(
        ours.messages[0]?.headers.filter(([name]) => !OURS.has(name)),
        passed,
      )

      const { messages, error } = await serverOracle(again)
      assert.equal(error, undefined)
      assert.deepEqual(
        messages.map((theirs) => [theirs.startLine, theirs.body]),
        [[`${method} ${target} 1.1`, message.body]],
      )
    }),
    { numRuns: 300 },
  )
})

const OURS = new Set(['host', 'content-length', 'transfer-encoding', 'connection'])

test('T15: values that arrive in pieces of any octets are written whole or not at all', async () => {
  await fc.assert(
    fc.asyncProperty(fc.string({ unit: 'binary', maxLength: 20 }), async (value) => {
      const bytes = writeResponseHead({
        status: 200,
        headers: NO_HEADERS,
        framing: { kind: 'length', bytes: 0 },
        edits: { set: [['x-v', value]] },
      })
      if (!(bytes instanceof Buffer)) return
      const { messages, error } = await clientOracle(bytes)
      assert.equal(error, undefined)
      assert.deepEqual(messages[0]?.headers, [
        ['content-length', '0'],
        ['x-v', value.replace(/^[ \t]+|[ \t]+$/g, '')],
      ])
    }),
    { numRuns: 300 },
  )
})

test('names that were set are remembered up to a bound', () => {
  const names = new WritableNames()
  for (let index = 0; index < WritableNames.MAX_REMEMBERED + 10; index++)
    assert.notEqual(names.hashOf(`x-${index}`), undefined)
  assert.equal(names.remembered, WritableNames.MAX_REMEMBERED)
  assert.equal(names.hashOf('x y'), undefined)
  assert.equal(names.hashOf('content-length'), undefined)
})

test('T12: lines that were checked before replace what was received, and nothing else can be such a line', () => {
  const drop = compileDrop({ names: ['x-a', 'x-request-id'] })
  const lines = checkLines([['x-a', 'ours']], drop)
  assert.ok(lines)
  const { headers } = request('X-A: theirs', 'X-Request-Id: theirs', 'X-B: 1')
  const message = { method: 'GET', target: '/', host: 'a', headers, framing: NONE }
  const written = writeRequestHead({ ...message, edits: { drop, lines, requestId: '1' } })
  assert.ok(Buffer.isBuffer(written))
  assert.equal(
    written.toString('latin1'),
    'GET / HTTP/1.1\r\nhost: a\r\nx-request-id: 1\r\nx-a: ours\r\nX-B: 1\r\n\r\n',
  )

  assert.equal(checkLines([['x-b', 'not dropped']], drop), undefined)
  assert.equal(checkLines([['x-a', 'a\r\nx-evil: 1']], drop), undefined)
  assert.equal(checkLines([['content-length', '1']], compileDrop({ names: ['content-length'] })), undefined)
  assert.equal(writeRequestHead({ ...message, edits: { drop, requestId: 'a\nb' } }), UNWRITABLE)
})

test('texts of any length are written octet by octet the same', () => {
  const write = (value: string) =>
    writeRequestHead({
      ...{ method: 'GET', target: '/', host: 'a', headers: NO_HEADERS, framing: NONE },
      edits: { set: [['x-a', value]] },
    })
  for (const length of [0, 1, 63, 64, 65, 1_000]) {
    const value = '\xe9'.repeat(length)
    const written = write(value)
    assert.ok(Buffer.isBuffer(written))
    assert.equal(written.toString('latin1'), `GET / HTTP/1.1\r\nhost: a\r\nx-a: ${value}\r\n\r\n`)
  }
})
