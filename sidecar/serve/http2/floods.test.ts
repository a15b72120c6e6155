import assert from 'node:assert/strict'
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { connect as connectHttp2 } from 'node:http2'
import { connect } from 'node:net'
import { test } from 'node:test'
import { NO_HEADERS } from '../http1/header-lines.ts'
import { CHUNKED, NO_BODY } from '../http1/message.ts'
import { ERROR_CODE } from './error-code.ts'
import type { FloodKind } from './flood-guard.ts'
import {
  CONTINUATION,
  DATA,
  END_HEADERS,
  END_STREAM,
  GOAWAY,
  HEADERS,
  INITIAL_WINDOW_SIZE,
  PADDED,
  PING,
  PREFACE,
  PRIORITY,
  RST_STREAM,
  SETTINGS,
  WINDOW_UPDATE,
} from './frame.ts'
import { DIALLED_LIMITS, MESH_LIMITS, OUTSIDE_LIMITS } from './limits.ts'
import { codedSection, frame, GET, POST, section, settings, uint32 } from './testing/frames.ts'
import { SessionOnPaper, Transcript } from './testing/session-on-paper.ts'
import { startSessionServer } from './testing/session-server.ts'

const CALM = ERROR_CODE.ENHANCE_YOUR_CALM

/** A stream's HEADERS, and an id for it: odd, from 1. */
function headers(index: number, flags: number, block: Buffer): Buffer {
  return frame(HEADERS, flags, index * 2 + 1, block)
}

const GET_BLOCK = section(...GET)
const POST_BLOCK = section(...POST)

const HALF_A_REQUEST = {
  method: 'POST',
  target: '/',
  host: 'shop.example',
  scheme: 'https',
  headers: NO_HEADERS,
  framing: CHUNKED,
} as const

/** The frames of a flood, by round; each of them alone is allowed. */
const FLOODS: Readonly<
  Record<string, { readonly kind: FloodKind; readonly begin?: Buffer; round(index: number): Buffer }>
> = {
  'rapid reset (CVE-2023-44487)': {
    kind: 'resets',
    round: (index) =>
      Buffer.concat([
        headers(index, END_HEADERS | END_STREAM, GET_BLOCK),
        frame(RST_STREAM, 0, index * 2 + 1, uint32(ERROR_CODE.CANCEL)),
      ]),
  },
  'resets made by updates of nothing (CVE-2025-8671)': {
    kind: 'resets',
    round: (index) =>
      Buffer.concat([headers(index, END_HEADERS, POST_BLOCK), frame(WINDOW_UPDATE, 0, index * 2 + 1, uint32(0))]),
  },
  'resets made by windows that overflow (CVE-2025-8671)': {
    kind: 'resets',
    round: (index) =>
      Buffer.concat([
        headers(index, END_HEADERS, POST_BLOCK),
        frame(WINDOW_UPDATE, 0, index * 2 + 1, uint32(0x7fff_ffff)),
      ]),
  },
  'resets made by data behind the end (CVE-2025-8671)': {
    kind: 'resets',
    round: (index) =>
      Buffer.concat([
        headers(index, END_HEADERS | END_STREAM, GET_BLOCK),
        frame(DATA, 0, index * 2 + 1, Buffer.from('x')),
      ]),
  },
  'resets made by priorities (CVE-2025-8671)': {
    kind: 'resets',
    round: (index) =>
      Buffer.concat([
        headers(index, END_HEADERS, POST_BLOCK),
        frame(PRIORITY, 0, index * 2 + 1, Buffer.concat([uint32(index * 2 + 1), Buffer.of(0)])),
      ]),
  },
  'resets made by malformed requests (CVE-2019-9514)': {
    kind: 'resets',
    round: (index) => headers(index, END_HEADERS | END_STREAM, section(...GET, ['Upper', '1'])),
  },
  'fields without a name (CVE-2019-9516)': {
    kind: 'resets',
    round: (index) => headers(index, END_HEADERS | END_STREAM, section(...GET, ['', ''])),
  },
  'pings (CVE-2019-9512)': { kind: 'pings', round: () => frame(PING, 0, 0, Buffer.alloc(8)) },
  'settings (CVE-2019-9515)': { kind: 'settings', round: () => frame(SETTINGS, 0, 0) },
  'priorities (CVE-2019-9513)': {
    kind: 'priorities',
    round: (index) => frame(PRIORITY, 0, 1, Buffer.concat([uint32(3 + index * 2), Buffer.of(index & 0xff)])),
  },
  'frames of unknown types': { kind: 'priorities', round: () => frame(0xf0, 0, 0, Buffer.alloc(4)) },
  'updates of windows': {
    kind: 'window-updates',
    round: () => frame(WINDOW_UPDATE, 0, 0, uint32(1)),
  },
  'empty data (CVE-2019-9518)': {
    kind: 'empty-data',
    begin: headers(0, END_HEADERS, POST_BLOCK),
    round: () => frame(DATA, 0, 1),
  },
  'data that is all padding (CVE-2019-9518)': {
    kind: 'empty-data',
    begin: headers(0, END_HEADERS, POST_BLOCK),
    round: () => frame(DATA, PADDED, 1, Buffer.from([3, 0, 0, 0])),
  },
  'continuations without an end (CVE-2024-27316)': {
    kind: 'continuations',
    begin: headers(0, 0, GET_BLOCK),
    round: (index) => frame(CONTINUATION, 0, 1, section([`x-${index}`, 'a'])),
  },
  'continuations of nothing (CVE-2019-9518)': {
    kind: 'continuations',
    begin: headers(0, 0, GET_BLOCK),
    round: () => frame(CONTINUATION, 0, 1),
  },
  'a section without an end that is large': {
    kind: 'header-bomb',
    begin: headers(0, 0, GET_BLOCK),
    round: (index) => frame(CONTINUATION, 0, 1, section([`x-${index}`, 'a'.repeat(10_000)])),
  },
  'few octets that stand for many fields (HPACK bomb)': {
    kind: 'header-bomb',
    begin: headers(0, END_HEADERS | END_STREAM, codedSection(...GET, ['x-bomb', 'a'.repeat(3_900)])),
    round: (index) =>
      headers(index + 1, END_HEADERS | END_STREAM, Buffer.concat([GET_BLOCK, Buffer.alloc(10_000, 0xbe)])),
  },
}

/** More rounds than any of them may take. */
const MAX_ROUNDS = 1_200

for (const [name, { kind, begin, round }] of Object.entries(FLOODS)) {
  test(`T18: ${name}: GOAWAY and close`, () => {
    const paper = new SessionOnPaper('server', OUTSIDE_LIMITS, ({ stream, head, hasEnded }) => {
      if (head.kind === 'problem' && hasEnded) stream.reset(ERROR_CODE.NO_ERROR)
    }).begin()
    if (begin !== undefined) paper.receive(begin)
    for (let index = 0; index < MAX_ROUNDS && paper.end === undefined; index++) {
      paper.receive(round(index))
    }
    assert.equal(paper.end?.flood, kind)
    assert.equal(paper.session.streams, 0)
    const last = paper.sent().at(-1)!
    assert.equal(last.type, GOAWAY)
    assert.equal(last.payload.readUInt32BE(4), CALM)
    // Nothing is answered any more.
    paper.receive(frame(PING, 0, 0, Buffer.alloc(8)))
    assert.deepEqual(paper.sent(), [])
  })
}

test('T18: answers that nobody reads (CVE-2019-9517): GOAWAY and close, whatever asks for them', () => {
  const paper = new SessionOnPaper('server').begin()
  paper.isTaken = false
  // A first answer finds out that nothing is taken.
  for (let index = 0; index < MAX_ROUNDS && paper.end === undefined; index++) {
    paper.nowMs += 100
    paper.receive(frame(PING, 0, 0, Buffer.alloc(8)))
    paper.session.flush()
  }
  assert.equal(paper.end?.flood, 'unread-answers')
})

test('T18: a peer that takes an answer octet by octet (CVE-2019-9511): GOAWAY and close', () => {
  const body = Buffer.alloc(20_000)
  const paper = new SessionOnPaper('server', OUTSIDE_LIMITS, ({ stream }) => {
    stream.sendData([body], true)
  }).begin()
  paper.receive(frame(SETTINGS, 0, 0, settings([INITIAL_WINDOW_SIZE, 0])))
  paper.receive(headers(0, END_HEADERS | END_STREAM, GET_BLOCK))
  for (let index = 0; index < MAX_ROUNDS && paper.end === undefined; index++) {
    paper.receive(frame(WINDOW_UPDATE, 0, 1, uint32(1)))
  }
  assert.equal(paper.end?.flood, 'dribbles')
})

test('T18: what is held back for a peer that takes nothing is what its streams were given, and no more', () => {
  const paper = new SessionOnPaper('server', OUTSIDE_LIMITS, ({ stream }) => {
    // Whoever is told false waits.
    while (stream.sendData([Buffer.alloc(16_384)], false));
  }).begin()
  paper.receive(frame(SETTINGS, 0, 0, settings([INITIAL_WINDOW_SIZE, 0])))
  for (let index = 0; index < 100; index++) paper.receive(headers(index, END_HEADERS | END_STREAM, GET_BLOCK))
  assert.equal(paper.session.streams, 100)
  const held = paper.requests.reduce((sum, { stream }) => sum + stream.heldBytes, 0)
  assert.equal(held, 100 * 16_384)
})

test('T18: windows of time pass: what is allowed in ten seconds is allowed in the next ten', () => {
  const paper = new SessionOnPaper('server').begin()
  for (let index = 0; index < 1_000; index++) {
    paper.nowMs += 55
    paper.receive(
      headers(index, END_HEADERS | END_STREAM, GET_BLOCK),
      frame(RST_STREAM, 0, index * 2 + 1, uint32(ERROR_CODE.CANCEL)),
    )
  }
  assert.equal(paper.end, undefined)
})

test('T18: on a mesh connection, resets are held against the streams opened, and old streams count for nothing', () => {
  const paper = new SessionOnPaper('server', MESH_LIMITS).begin()
  // Every second call is given up at once, of very many.
  for (let index = 0; index < 4_000; index += 2) {
    paper.receive(
      headers(index, END_HEADERS | END_STREAM, GET_BLOCK),
      headers(index + 1, END_HEADERS | END_STREAM, GET_BLOCK),
      frame(RST_STREAM, 0, index * 2 + 1, uint32(ERROR_CODE.CANCEL)),
    )
    paper.requests.at(-1)!.stream.sendResponse({ status: 204, headers: NO_HEADERS, framing: NO_BODY }, true)
  }
  assert.equal(paper.end, undefined)

  // A backend hangs, and everybody gives up after a while.
  const hung = new SessionOnPaper('server', MESH_LIMITS).begin()
  for (let index = 0; index < 3_000; index++) {
    hung.nowMs += 2
    hung.receive(headers(index, END_HEADERS | END_STREAM, GET_BLOCK))
    if (index >= 900) hung.receive(frame(RST_STREAM, 0, (index - 900) * 2 + 1, uint32(ERROR_CODE.CANCEL)))
  }
  assert.equal(hung.end, undefined)

  // Nothing but opened and given up.
  const rapid = new SessionOnPaper('server', MESH_LIMITS).begin()
  for (let index = 0; index < 3_000 && rapid.end === undefined; index++) {
    rapid.receive(
      headers(index, END_HEADERS | END_STREAM, GET_BLOCK),
      frame(RST_STREAM, 0, index * 2 + 1, uint32(ERROR_CODE.CANCEL)),
    )
  }
  assert.equal(rapid.end?.flood, 'resets')
})

test('T18: clients that send half a request do not end a shared connection: early answers and their resets are no flood', () => {
  const callee = new SessionOnPaper('server', MESH_LIMITS).begin()
  for (let index = 0; index < 3_000; index++) {
    callee.receive(headers(index, END_HEADERS, POST_BLOCK))
    const { stream } = callee.requests.at(-1)!
    stream.sendResponse({ status: 204, headers: NO_HEADERS, framing: NO_BODY }, true)
    // The caller does as we do, and the two meet on the way; or it does so alone.
    if (index % 2 === 0) stream.reset(ERROR_CODE.NO_ERROR)
    callee.receive(frame(RST_STREAM, 0, index * 2 + 1, uint32(ERROR_CODE.NO_ERROR)))
  }
  assert.equal(callee.end, undefined)

  const refused = section([':status', '403'])
  const caller = new SessionOnPaper('client', DIALLED_LIMITS).begin()
  for (let id = 1; id < 6_000; id += 2) {
    const stream = caller.session.open(new Transcript())!
    stream.sendRequest(HALF_A_REQUEST, false)
    caller.receive(frame(HEADERS, END_HEADERS | END_STREAM, id, refused))
    // It is given up here, or the rest of it goes: either way its reset comes when it is over.
    if (id % 4 === 1) stream.reset(ERROR_CODE.NO_ERROR)
    else stream.sendData([Buffer.from('rest')], true)
    caller.receive(frame(RST_STREAM, 0, id, uint32(ERROR_CODE.NO_ERROR)))
  }
  // What applications break off is passed on as a reset of a stream that is open.
  for (let id = 6_001; id < 9_000; id += 2) {
    caller.session.open(new Transcript())!.sendRequest(HALF_A_REQUEST, false)
    caller.receive(frame(RST_STREAM, 0, id, uint32(ERROR_CODE.INTERNAL_ERROR)))
  }
  assert.equal(caller.end, undefined)
})

test('T18: a stream that was reset is reset for nothing once; again and again is a flood', () => {
  for (const [role, limits] of [
    ['server', OUTSIDE_LIMITS],
    ['server', MESH_LIMITS],
    ['client', DIALLED_LIMITS],
  ] as const) {
    const paper = new SessionOnPaper(role, limits).begin()
    if (role === 'server') paper.receive(headers(0, END_HEADERS, POST_BLOCK))
    const stream = role === 'server' ? paper.requests[0]!.stream : paper.session.open(new Transcript())!
    if (role === 'client') stream.sendRequest(HALF_A_REQUEST, false)
    stream.reset(ERROR_CODE.NO_ERROR)
    for (let round = 0; round < 1_000 && paper.end === undefined; round++) {
      paper.receive(frame(RST_STREAM, 0, 1, uint32(ERROR_CODE.NO_ERROR)))
    }
    assert.equal(paper.end?.flood, 'resets')
  }
})

test('T18: floods over sockets take no more than 32 MB, and others are served meanwhile', {
  timeout: 60_000,
}, async () => {
  const server = fork(new URL('./testing/serve.ts', import.meta.url), [], {
    stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
  })
  const port = Number(String((await once(server.stdout!, 'data'))[0]))
  const client = connectHttp2(`http://127.0.0.1:${port}`)
  try {
    const memory = async () => {
      server.send('how much?')
      return (await once(server, 'message'))[0] as number
    }
    // What a busy server has compiled and kept is not what a flood takes.
    for (let warm = 0; warm < 40; warm++) await Promise.all(Array.from({ length: 50 }, () => ask(client)))
    const before = await memory()
    let most = 0
    for (const { begin, round } of Object.values(FLOODS)) {
      const socket = connect(port, '127.0.0.1')
      socket.on('error', () => {})
      await once(socket, 'connect')
      const closed = new Promise((done) => socket.on('close', done))
      socket.write(Buffer.concat([PREFACE, frame(SETTINGS, 0, 0), begin ?? Buffer.alloc(0)]))
      socket.resume()
      for (let index = 0; index < MAX_ROUNDS && !socket.destroyed; index++) {
        if (!socket.write(round(index))) await Promise.race([new Promise((done) => socket.once('drain', done)), closed])
      }
      await closed
      assert.equal(await ask(client), 5)
      most = Math.max(most, (await memory()) - before)
    }
    assert.ok(most <= 32 * 1024 * 1024, `grew by ${most} bytes`)
  } finally {
    client.destroy()
    server.disconnect()
    await once(server, 'exit')
  }
})

test('T18: a busy client of node:http2 is never taken for a flood', { timeout: 60_000 }, async () => {
  const server = await startSessionServer()
  const client = connectHttp2(`http://127.0.0.1:${server.port}`)
  try {
    const body = Buffer.alloc(200_000, 'b')
    // Far more streams in ten seconds than resets, updates or pings would be allowed without them; some given up half way.
    for (let round = 0; round < 60; round++) {
      const asked = Array.from({ length: 50 }, (_, index) => ask(client, index % 10 === 0 ? body : undefined))
      for (let index = 0; index < 2; index++) {
        const given = client.request({ ':method': 'POST', ':path': '/' })
        given.on('error', () => {})
        given.write('x')
        given.close(ERROR_CODE.CANCEL)
      }
      const lengths = await Promise.all(asked)
      for (const [index, length] of lengths.entries()) assert.equal(length, index % 10 === 0 ? body.length : 5)
    }
    assert.deepEqual(server.ends, [])
  } finally {
    client.destroy()
    await server.close()
  }
})

/** Asks, and tells how long the answer was. */
function ask(client: ReturnType<typeof connectHttp2>, body?: Buffer): Promise<number> {
  return new Promise((done, failed) => {
    const request = client.request({ ':method': body === undefined ? 'GET' : 'POST', ':path': '/' })
    let length = 0
    request.on('data', (chunk: Buffer) => {
      length += chunk.length
    })
    request.on('end', () => done(length))
    request.on('error', failed)
    request.end(body)
  })
}
