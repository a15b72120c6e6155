import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, createServer, type IncomingHttpHeaders } from 'node:http2'
import { type AddressInfo, connect as connectTcp } from 'node:net'
import { test } from 'node:test'
import fc from '#fast-check'
import { systemClock } from '../../../runtime/clock.ts'
import { NO_HEADERS } from '../http1/header-lines.ts'
import { NO_BODY } from '../http1/message.ts'
import { ERROR_CODE } from './error-code.ts'
import {
  ACK,
  CONTINUATION,
  DATA,
  END_HEADERS,
  END_STREAM,
  GOAWAY,
  HEADERS,
  INITIAL_WINDOW_SIZE,
  MAX_CONCURRENT_STREAMS,
  PADDED,
  PING,
  PREFACE,
  RST_STREAM,
  SETTINGS,
  WINDOW_UPDATE,
} from './frame.ts'
import type { Http2Request } from './handler.ts'
import { OUTSIDE_LIMITS } from './limits.ts'
import { Http2Session } from './session.ts'
import { codedSection, frame, GET, POST, section, settings, uint32 } from './testing/frames.ts'
import { SessionOnPaper, Transcript } from './testing/session-on-paper.ts'
import { startSessionServer } from './testing/session-server.ts'

const REQUEST: Http2Request = {
  method: 'GET',
  target: '/',
  host: 'shop.example',
  scheme: 'http',
  headers: NO_HEADERS,
  framing: NO_BODY,
}

const OK = { status: 200, headers: NO_HEADERS, framing: { kind: 'chunked' } } as const

function codes(paper: SessionOnPaper): readonly (readonly [type: number, code: number])[] {
  return paper
    .sent()
    .filter(({ type }) => type === RST_STREAM || type === GOAWAY)
    .map(({ type, payload }) => [type, payload.readUInt32BE(type === GOAWAY ? 4 : 0)])
}

test('a request comes out as the head that HTTP/1.1 has, with its body and trailers', () => {
  const paper = new SessionOnPaper('server').begin()
  const block = codedSection(
    [':method', 'POST'],
    [':scheme', 'https'],
    [':path', '/Users/%7e1//x?a=%2F'],
    [':authority', 'Shop.Example.:8443'],
    ['x-a', '1'],
    ['te', 'trailers'],
    ['content-length', '5'],
  )
  paper.receive(frame(HEADERS, END_HEADERS, 1, block))
  paper.receive(frame(DATA, 0, 1, Buffer.from('he')), frame(DATA, PADDED, 1, Buffer.from('\x02llo\0\0', 'latin1')))
  paper.receive(frame(HEADERS, END_HEADERS | END_STREAM, 1, section(['x-sum', 'abc'])))
  const { head, hasEnded, user } = paper.requests[0]!
  assert.ok(head.kind === 'request')
  const { headers, ...rest } = head
  assert.deepEqual(rest, {
    kind: 'request',
    method: 'POST',
    target: '/Users/%7e1//x?a=%2F',
    form: 'origin',
    scheme: undefined,
    path: '/Users/~1/x',
    query: 'a=%2F',
    host: 'shop.example',
    port: 8443,
    authority: 'shop.example:8443',
    minor: 1,
    framing: { kind: 'length', bytes: 5 },
    keepAlive: true,
    upgrade: undefined,
    expectContinue: false,
    connectionNames: [],
  })
  assert.deepEqual(
    [...headers],
    [
      ['x-a', '1'],
      ['te', 'trailers'],
      ['content-length', '5'],
    ],
  )
  assert.equal(hasEnded, false)
  assert.equal(user.body, 'hello')
  assert.deepEqual(user.events, ['trailers x-sum=abc', 'end'])
})

test('the octets of the last request mean what the table says now, whatever they meant before', () => {
  const paper = new SessionOnPaper('server').begin()
  const newest = Buffer.from([0xbe])
  const again = Buffer.concat([section(...GET), newest])
  const whole = END_HEADERS | END_STREAM
  paper.receive(frame(HEADERS, whole, 1, Buffer.concat([section(...GET), codedSection(['x-a', '1'])])))
  paper.receive(frame(HEADERS, whole, 3, again), frame(HEADERS, whole, 5, again))
  paper.receive(frame(HEADERS, whole, 7, Buffer.concat([section(...GET), codedSection(['x-a', '2'])])))
  paper.receive(frame(HEADERS, whole, 9, again), frame(HEADERS, END_HEADERS, 11, again))
  const heads = paper.requests.map(({ head }) => (head.kind === 'request' ? head : undefined))
  assert.deepEqual(
    heads.map((head) => head?.headers.get('x-a')),
    ['1', '1', '1', '2', '2', '2'],
  )
  assert.deepEqual(
    heads.map((head) => head?.framing.kind),
    ['none', 'none', 'none', 'none', 'none', 'chunked'],
  )
})

test('a repeated answer and its repeated trailers mean what the request makes of them', () => {
  const paper = new SessionOnPaper('client').begin()
  const head = section([':status', '200'], ['content-length', '2'])
  const trailers = section(['grpc-status', '0'])
  const users = ['GET', 'GET', 'HEAD'].map((method) => {
    const user = new Transcript()
    paper.session.open(user)!.sendRequest({ ...REQUEST, method }, true)
    return user
  })
  for (const id of [1, 3]) {
    paper.receive(
      frame(HEADERS, END_HEADERS, id, head),
      frame(DATA, 0, id, Buffer.from('ok')),
      frame(HEADERS, END_HEADERS | END_STREAM, id, trailers),
    )
  }
  paper.receive(frame(HEADERS, END_HEADERS | END_STREAM, 5, head))
  assert.deepEqual(
    users.map(({ events }) => events),
    [['head 200', 'trailers grpc-status=0', 'end'], ['head 200', 'trailers grpc-status=0', 'end'], ['head 200 end']],
  )
  assert.deepEqual(
    users.map(({ heads: [first] }) => first!.framing.kind),
    ['length', 'length', 'none'],
  )
})

test('T15: requests that HTTP/2 forbids are reset before anybody sees them, and the connection goes on', () => {
  const without = (name: string) => GET.filter(([known]) => known !== name)
  const cases: readonly (readonly [readonly (readonly [string, string])[], string])[] = [
    [without(':method'), 'missing-pseudo-field'],
    [without(':scheme'), 'missing-pseudo-field'],
    [without(':path'), 'missing-pseudo-field'],
    [[...without(':path'), [':path', '']], 'bad-pseudo-field'],
    [[...GET, [':path', '/b']], 'bad-pseudo-field'],
    [[...GET, ['content-length', '3']], 'content-length-mismatch'],
    [
      [
        [':method', 'CONNECT'],
        [':path', '/'],
        [':authority', 'a:1'],
      ],
      'bad-pseudo-field',
    ],
    [[...GET, [':protocol', 'websocket']], 'bad-pseudo-field'],
    [[...GET, ['x', 'a\nb']], 'bad-field-value'],
  ]
  const paper = new SessionOnPaper('server').begin()
  for (const [index, [fields, reason]] of cases.entries()) {
    paper.receive(frame(HEADERS, END_HEADERS | END_STREAM, index * 2 + 1, section(...fields)))
    assert.deepEqual(codes(paper), [[RST_STREAM, ERROR_CODE.PROTOCOL_ERROR]], reason)
    assert.equal(paper.malformed.at(-1), reason)
  }
  assert.equal(paper.requests.length, 0)
  paper.receive(frame(HEADERS, END_HEADERS | END_STREAM, 101, section(...GET)))
  assert.equal(paper.requests.length, 1)
})

test('T14, T15, T17: requests that HTTP/1.1 would have refused are refused with the same words', () => {
  const get = (path: string, ...more: readonly (readonly [string, string])[]) => [
    ...GET.map(([name, value]): readonly [string, string] => [name, name === ':path' ? path : value]),
    ...more,
  ]
  const cases: readonly (readonly [readonly (readonly [string, string])[], string, number])[] = [
    [get('/', ['host', 'other.example']), 'host-differs-from-target', 400],
    [get('/').filter(([name]) => name !== ':authority'), 'missing-host', 400],
    [[...get('/').filter(([name]) => name !== ':authority'), [':authority', 'user@shop.example']], 'bad-host', 400],
    [get('/a%2fb'), 'ambiguous-path', 400],
    [get('/a#b'), 'target-with-fragment', 400],
    [get('http://shop.example/'), 'bad-target', 400],
    [get('*'), 'asterisk-needs-options', 400],
    [get('/', ['x_forwarded_for', '1']), 'underscore-header', 400],
    [get('/', ['authorization', 'a'], ['authorization', 'b']), 'duplicate-authorization', 400],
    [get(`/${'a'.repeat(9_000)}`), 'target-too-long', 414],
    [get('/', ['x', 'a'.repeat(16_500)]), 'head-too-long', 431],
    [
      [
        [':method', 'CONNECT'],
        [':authority', 'a:1'],
      ],
      'connect-not-allowed',
      405,
    ],
    [[[':method', 'BREW'], ...GET.slice(1)], 'unknown-method', 501],
  ]
  const paper = new SessionOnPaper('server').begin()
  for (const [index, [fields, reason, status]] of cases.entries()) {
    const block = section(...fields)
    const id = index * 2 + 1
    paper.receive(
      frame(HEADERS, END_STREAM, id, block.subarray(0, 16_384)),
      frame(CONTINUATION, END_HEADERS, id, block.subarray(16_384)),
    )
    const { head } = paper.requests.at(-1)!
    assert.ok(head.kind === 'problem', reason)
    assert.deepEqual([head.reason, head.status], [reason, status])
  }
})

test('T15: a body that is longer or shorter than its Content-Length never ends', () => {
  for (const [sent, flags] of [
    ['he', END_STREAM],
    ['hello!', 0],
    ['hello!', END_STREAM],
  ] as const) {
    const paper = new SessionOnPaper('server').begin()
    paper.receive(frame(HEADERS, END_HEADERS, 1, section(...POST, ['content-length', '5'])))
    paper.receive(frame(DATA, flags, 1, Buffer.from(sent)))
    assert.deepEqual(paper.requests[0]!.user.events, ['reset 1'])
    assert.ok(paper.requests[0]!.user.body.length < 5)
    assert.deepEqual(codes(paper), [[RST_STREAM, ERROR_CODE.PROTOCOL_ERROR]])
  }
})

test('extended CONNECT is the GET that begins a WebSocket, and a tunnel', () => {
  const paper = new SessionOnPaper('server').begin()
  const fields: [string, string][] = [
    [':method', 'CONNECT'],
    [':protocol', 'websocket'],
    ...(GET.slice(1) as [string, string][]),
  ]
  paper.receive(frame(HEADERS, END_HEADERS, 1, section(...fields, ['sec-websocket-version', '13'])))
  const { head, stream, user } = paper.requests[0]!
  assert.ok(head.kind === 'request')
  assert.deepEqual([head.method, head.upgrade, head.framing.kind], ['GET', 'websocket', 'none'])
  assert.equal(stream.isTunnel, true)
  stream.sendResponse(OK, false)
  paper.receive(frame(DATA, 0, 1, Buffer.from('frame')))
  assert.equal(user.body, 'frame')
})

test('a window update of nothing is an error, also where the answer was faster than the frame', () => {
  const open = new SessionOnPaper('server').begin()
  open.receive(frame(HEADERS, END_HEADERS, 1, section(...POST)))
  open.receive(frame(WINDOW_UPDATE, 0, 1, uint32(0)))
  assert.deepEqual(codes(open), [[RST_STREAM, ERROR_CODE.PROTOCOL_ERROR]])

  const closed = new SessionOnPaper('server').begin()
  closed.receive(frame(HEADERS, END_HEADERS | END_STREAM, 1, section(...GET)))
  closed.requests[0]!.stream.sendResponse(OK, true)
  closed.receive(frame(WINDOW_UPDATE, 0, 1, uint32(9)))
  assert.deepEqual(codes(closed), [])
  closed.receive(frame(WINDOW_UPDATE, 0, 1, uint32(0)))
  assert.deepEqual(codes(closed), [[GOAWAY, ERROR_CODE.PROTOCOL_ERROR]])
})

test('windows hold back what the peer does not take, and let it go in turns', () => {
  const paper = new SessionOnPaper('server').begin()
  paper.receive(frame(SETTINGS, 0, 0, settings([INITIAL_WINDOW_SIZE, 10])))
  for (const id of [1, 3]) paper.receive(frame(HEADERS, END_HEADERS | END_STREAM, id, section(...GET)))
  paper.sent()
  const [first, second] = paper.requests.map(({ stream }) => stream)
  first!.sendResponse(OK, false)
  assert.equal(first!.sendData([Buffer.from('0123456'), Buffer.from('789abcdef')], false), false)
  assert.equal(first!.sendData([Buffer.from('ghi')], true), false)
  second!.sendResponse(OK, false)
  assert.equal(second!.sendData([Buffer.from('short')], true), true)
  const data = () => paper.sent().filter(({ type }) => type === DATA)
  assert.deepEqual(
    data().map(({ id, flags, payload }) => [id, flags, payload.toString()]),
    [
      [1, 0, '0123456789'],
      [3, END_STREAM, 'short'],
    ],
  )
  paper.receive(frame(WINDOW_UPDATE, 0, 1, uint32(4)))
  assert.deepEqual(
    data().map(({ payload }) => payload.toString()),
    ['abcd'],
  )
  // A smaller initial window takes back what was given (RFC 9113, 6.9.2).
  paper.receive(frame(SETTINGS, 0, 0, settings([INITIAL_WINDOW_SIZE, 0])))
  paper.receive(frame(WINDOW_UPDATE, 0, 1, uint32(10)))
  assert.deepEqual(data(), [])
  paper.receive(frame(WINDOW_UPDATE, 0, 1, uint32(100)))
  assert.deepEqual(
    data().map(({ flags, payload }) => [flags, payload.toString()]),
    [[END_STREAM, 'efghi']],
  )
  assert.equal(paper.session.streams, 0)
})

test('a peer gets as much more to send as was used up, and no more', () => {
  const limits = { ...OUTSIDE_LIMITS, streamWindowBytes: 1_000, connectionWindowBytes: 65_535 }
  const paper = new SessionOnPaper('server', limits, ({ stream }) => {
    stream.user = { ...silent, onData() {} }
  }).begin()
  paper.receive(frame(HEADERS, END_HEADERS, 1, section(...POST)))
  const { stream } = paper.requests[0]!
  paper.receive(frame(DATA, 0, 1, Buffer.alloc(1_000)))
  paper.sent()
  stream.consumed(400)
  assert.deepEqual(paper.sent(), [])
  stream.consumed(200)
  assert.deepEqual(
    paper.sent().map(({ type, id, payload }) => [type, id, payload.readUInt32BE()]),
    [[WINDOW_UPDATE, 1, 600]],
  )
  paper.receive(frame(DATA, 0, 1, Buffer.alloc(600)))
  assert.deepEqual(codes(paper), [])
  paper.receive(frame(DATA, 0, 1, Buffer.alloc(1)))
  assert.deepEqual(codes(paper), [[RST_STREAM, ERROR_CODE.FLOW_CONTROL_ERROR]])
})

test('bytes of streams that are over come back to the connection', () => {
  const limits = { ...OUTSIDE_LIMITS, connectionWindowBytes: 65_535 }
  const paper = new SessionOnPaper('server', limits, ({ stream }) => {
    stream.user = { ...silent, onData() {} }
  }).begin()
  for (let index = 0; index < 20; index++) {
    const id = index * 2 + 1
    paper.receive(frame(HEADERS, END_HEADERS, id, section(...POST)), frame(DATA, 0, id, Buffer.alloc(16_000)))
    paper.requests.at(-1)!.stream.reset(ERROR_CODE.NO_ERROR)
    // Behind the reset, as it may be under way.
    paper.receive(frame(DATA, END_STREAM, id, Buffer.alloc(16_000)))
  }
  assert.equal(paper.end, undefined)
})

test('everything that one turn makes leaves in one write', () => {
  const paper = new SessionOnPaper('server', OUTSIDE_LIMITS, ({ stream }) => {
    stream.sendResponse(OK, false)
    stream.sendData([Buffer.from('hello')], true)
  }).begin()
  paper.writes = 0
  for (let index = 0; index < 10; index++) {
    paper.receive(frame(HEADERS, END_HEADERS | END_STREAM, index * 2 + 1, section(...GET)))
  }
  assert.equal(paper.sent().length, 20)
  assert.equal(paper.writes, 1)
})

test('a head larger than a frame goes out in several', () => {
  const paper = new SessionOnPaper('client').begin()
  const stream = paper.session.open(new Transcript())!
  stream.sendRequest({ ...REQUEST, edits: { set: [['x-long', 'a'.repeat(40_000)]] } }, true)
  const frames = paper.sent()
  assert.deepEqual(
    frames.map(({ type, flags, payload }) => [type, flags, payload.length > 0]),
    [
      [HEADERS, END_STREAM, true],
      [CONTINUATION, 0, true],
      [CONTINUATION, END_HEADERS, true],
    ],
  )
})

test('a graceful end refuses no stream that was on its way, and waits for the last one', () => {
  const paper = new SessionOnPaper('server').begin()
  paper.receive(frame(HEADERS, END_HEADERS | END_STREAM, 1, section(...GET)))
  paper.session.goaway()
  const [first, ping] = paper.sent()
  assert.deepEqual([first!.type, first!.payload.readUInt32BE(0)], [GOAWAY, 0x7fff_ffff])
  paper.receive(frame(HEADERS, END_HEADERS | END_STREAM, 3, section(...GET)))
  assert.equal(paper.requests.length, 2)
  paper.receive(frame(PING, ACK, 0, ping!.payload))
  const [second] = paper.sent()
  assert.deepEqual([second!.type, second!.payload.readUInt32BE(0)], [GOAWAY, 3])
  paper.receive(frame(HEADERS, END_HEADERS, 5, section(...POST)), frame(DATA, END_STREAM, 5, Buffer.from('late')))
  assert.equal(paper.requests.length, 2)
  for (const { stream } of paper.requests) stream.sendResponse({ ...OK, status: 204, framing: NO_BODY }, true)
  assert.equal(paper.end?.kind, 'drained')
})

test('a client opens as many streams as the server takes, and is told when there is room', () => {
  const paper = new SessionOnPaper('client')
  paper.receive(frame(SETTINGS, 0, 0, settings([MAX_CONCURRENT_STREAMS, 2])))
  const user = new Transcript()
  const first = paper.session.open(user)!
  first.sendRequest(REQUEST, true)
  paper.session.open(new Transcript())!.sendRequest(REQUEST, true)
  assert.equal(paper.session.open(new Transcript()), undefined)
  paper.receive(frame(HEADERS, END_HEADERS | END_STREAM, 1, section([':status', '204'])))
  assert.deepEqual(user.events, ['head 204 end'])
  assert.equal(paper.session.room, 1)
})

test('streams of a client have ids in the order in which their requests go, and one without a request leaves no trace', () => {
  const paper = new SessionOnPaper('client').begin()
  const [first, second, third] = [1, 2, 3].map(() => paper.session.open(new Transcript())!)
  assert.equal(paper.session.streams, 3)
  second!.sendRequest(REQUEST, true)
  // As after a request that could not be written.
  assert.ok(third!.sendRequest({ ...REQUEST, target: '/ /' }, true) !== undefined)
  third!.reset(ERROR_CODE.CANCEL)
  first!.sendRequest(REQUEST, true)
  assert.deepEqual(
    paper.sent().map(({ type, id }) => [type, id]),
    [
      [HEADERS, 1],
      [HEADERS, 3],
    ],
  )
  assert.deepEqual([second!.id, first!.id, paper.session.streams], [1, 3, 2])
  const waiting = new Transcript()
  paper.session.open(waiting)
  paper.receive(frame(GOAWAY, 0, 0, Buffer.concat([uint32(3), uint32(0)])))
  assert.deepEqual(waiting.events, ['reset 7 refused'])
})

test('a client knows which requests a server that leaves has not looked at', () => {
  const paper = new SessionOnPaper('client').begin()
  const users = [new Transcript(), new Transcript(), new Transcript()]
  for (const user of users) paper.session.open(user)!.sendRequest(REQUEST, true)
  paper.receive(frame(RST_STREAM, 0, 3, uint32(ERROR_CODE.REFUSED_STREAM)))
  paper.receive(frame(GOAWAY, 0, 0, Buffer.concat([uint32(1), uint32(0)])))
  assert.deepEqual(
    users.map(({ events }) => events),
    [[], ['reset 7 refused'], ['reset 7 refused']],
  )
  assert.equal(paper.session.room, 0)
  assert.deepEqual(paper.told, ['goaway 1 0'])
  paper.receive(frame(HEADERS, END_HEADERS | END_STREAM, 1, section([':status', '200'])))
  assert.deepEqual(users[0]!.events, ['head 200 end'])
  assert.equal(paper.end?.kind, 'drained')
})

test('F14: responses that HTTP/2 forbids are no responses', () => {
  const cases: readonly (readonly [name: string, ...frames: Buffer[]])[] = [
    ['without a status', frame(HEADERS, END_HEADERS, 1, section(['x', 'y']))],
    ['a status of another length', frame(HEADERS, END_HEADERS, 1, section([':status', '99']))],
    ['switching protocols', frame(HEADERS, END_HEADERS, 1, section([':status', '101']))],
    ['an interim end', frame(HEADERS, END_HEADERS | END_STREAM, 1, section([':status', '103']))],
    ['data first', frame(DATA, 0, 1, Buffer.from('x'))],
    [
      'too short',
      frame(HEADERS, END_HEADERS, 1, section([':status', '200'], ['content-length', '5'])),
      frame(DATA, END_STREAM, 1, Buffer.from('x')),
    ],
    [
      'too long',
      frame(HEADERS, END_HEADERS, 1, section([':status', '200'], ['content-length', '1'])),
      frame(DATA, 0, 1, Buffer.from('xy')),
    ],
    [
      'a body with 204',
      frame(HEADERS, END_HEADERS, 1, section([':status', '204'])),
      frame(DATA, 0, 1, Buffer.from('x')),
    ],
    [
      'trailers without an end',
      frame(HEADERS, END_HEADERS, 1, section([':status', '200'])),
      frame(HEADERS, END_HEADERS, 1, section(['a', 'b'])),
    ],
    [
      'a status in trailers',
      frame(HEADERS, END_HEADERS, 1, section([':status', '200'])),
      frame(HEADERS, END_HEADERS | END_STREAM, 1, section([':status', '200'])),
    ],
    [
      'a second answer',
      frame(HEADERS, END_HEADERS | END_STREAM, 1, section([':status', '200'])),
      frame(DATA, 0, 1, Buffer.from('x')),
    ],
  ]
  for (const [name, ...frames] of cases) {
    const paper = new SessionOnPaper('client').begin()
    const user = new Transcript()
    const stream = paper.session.open(user)!
    // Without an end of ours, so that the stream is there still.
    stream.sendRequest({ ...REQUEST, method: 'POST', framing: { kind: 'chunked' } }, false)
    paper.sent()
    paper.receive(...frames)
    assert.equal(user.events.at(-1)?.split(' ')[0], 'reset', name)
    assert.equal(codes(paper)[0]?.[0], RST_STREAM, name)
  }
})

test('node:http2 as the client is served bodies, trailers and interim responses', async () => {
  const server = await startSessionServer()
  const client = connect(`http://127.0.0.1:${server.port}`)
  try {
    const body = Buffer.alloc(3_000_000, 'abc')
    const request = client.request({ ':method': 'POST', ':path': '/up', cookie: ['a=1', 'b=2'] }, {
      waitForTrailers: true,
    } as never)
    request.on('wantTrailers', () => request.sendTrailers({ 'x-sum': '42' }))
    const trailers: IncomingHttpHeaders[] = []
    request.on('trailers', (lines) => trailers.push(lines))
    request.end(body)
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    assert.ok(Buffer.concat(chunks).equals(body))
    assert.equal(trailers[0]?.['x-sum'], '42')
  } finally {
    client.destroy()
    await server.close()
  }
})

test('node:http2 as the server is asked, and answers', async () => {
  const server = createServer()
  server.on('stream', (stream, headers) => {
    stream.additionalHeaders({ ':status': 103, link: '</a>' })
    stream.respond({ ':status': 200, 'x-path': headers[':path']! }, { waitForTrailers: true })
    stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }))
    stream.pipe(stream)
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const socket = connectTcp((server.address() as AddressInfo).port, '127.0.0.1')
  const closed = once(socket, 'close')
  const session = new Http2Session({
    role: 'client',
    write: (bytes) => socket.write(Buffer.from(bytes)),
    clock: systemClock,
    limits: OUTSIDE_LIMITS,
    handler: { onStream() {}, onGoaway() {}, onIdle() {}, onClose: () => socket.end() },
  })
  socket.on('data', (chunk: Buffer) => session.receive(chunk))
  socket.on('drain', () => session.onWritable())
  try {
    const users = await Promise.all(
      Array.from({ length: 30 }, (_, index) => {
        return new Promise<Transcript>((done) => {
          const user = new (class extends Transcript {
            override onData(chunk: Buffer, start: number, end: number): void {
              super.onData(chunk, start, end)
              stream.consumed(end - start)
            }
            override onEnd(): void {
              super.onEnd()
              done(user)
            }
          })()
          const stream = session.open(user)!
          stream.sendRequest({ ...REQUEST, method: 'POST', target: `/${index}`, framing: { kind: 'chunked' } }, false)
          stream.sendData([Buffer.alloc(index * 10_000, 'x')], true)
        })
      }),
    )
    for (const [index, user] of users.entries()) {
      assert.deepEqual(user.events, ['head 103', 'head 200', 'trailers grpc-status=0', 'end'])
      assert.equal(user.heads[1]!.headers.get('x-path'), `/${index}`)
      assert.equal(user.body.length, index * 10_000)
    }
    session.goaway()
    await closed
  } finally {
    socket.destroy()
    server.close()
  }
})

/** Frames of all kinds, sound and not. */
const anyFrame = fc.oneof(
  fc
    .tuple(fc.constantFrom(1, 3, 5, 7), fc.boolean())
    .map(([id, ends]) =>
      frame(HEADERS, END_HEADERS | (ends ? END_STREAM : 0), id, codedSection(...POST, ['x-a', 'b'])),
    ),
  fc
    .tuple(fc.constantFrom(1, 3, 5), fc.integer({ min: 0, max: 9 }), fc.uint8Array({ maxLength: 40 }))
    .map(([id, flags, payload]) => frame(DATA, flags, id, payload)),
  fc
    .tuple(fc.integer({ min: 0, max: 10 }), fc.nat(0x2d), fc.nat(6), fc.uint8Array({ maxLength: 20 }))
    .map(([type, flags, id, payload]) => frame(type, flags, id, payload)),
  fc.constantFrom(frame(PING, 0, 0, Buffer.alloc(8)), frame(SETTINGS, 0, 0), frame(WINDOW_UPDATE, 0, 0, uint32(9))),
  fc.uint8Array({ maxLength: 12 }).map((bytes) => Buffer.from(bytes)),
)

function toldOf(pieces: readonly Buffer[]): unknown {
  const paper = new SessionOnPaper('server', OUTSIDE_LIMITS, ({ stream, hasEnded }) => {
    stream.sendResponse(OK, hasEnded)
  })
  for (const piece of pieces) paper.session.receive(Buffer.from(piece))
  return {
    requests: paper.requests.map(({ head, hasEnded, user }) => [
      head.kind === 'request' ? head.path : head.reason,
      hasEnded,
      user.body,
      user.events,
    ]),
    malformed: paper.malformed,
    end: paper.end,
    sent: paper.sent().map(({ type, flags, id, payload }) => [type, flags, id, payload.toString('hex')]),
  }
}

test('whatever comes, in whatever pieces, is read the same way and never throws', () => {
  fc.assert(
    fc.property(fc.array(anyFrame, { maxLength: 12 }), fc.array(fc.nat(600), { maxLength: 6 }), (frames, cuts) => {
      const bytes = Buffer.concat([PREFACE, frame(SETTINGS, 0, 0), ...frames])
      const whole = toldOf([bytes])
      const at = [...new Set(cuts.filter((cut) => cut < bytes.length))].sort((a, b) => a - b)
      assert.deepEqual(
        toldOf([0, ...at].map((start, index) => bytes.subarray(start, at[index] ?? bytes.length))),
        whole,
      )
      assert.deepEqual(toldOf([...bytes.keys()].map((index) => bytes.subarray(index, index + 1))), whole)
    }),
    { numRuns: 500 },
  )
})

const silent = { onHead() {}, onTrailers() {}, onEnd() {}, onReset() {}, onDrain() {} }
