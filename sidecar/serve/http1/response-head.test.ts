import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ResponseHead } from './message.ts'
import { type Expected, ResponseHeadParser } from './response-head.ts'
import { octets } from './testing/transcript.ts'

function accepted(text: string, expected: Expected = { method: 'GET', upgrade: undefined }): ResponseHead {
  const parser = new ResponseHeadParser()
  parser.expect(expected)
  const head = parser.parse(octets(text))
  assert.ok(head?.kind === 'response', `not accepted: ${JSON.stringify(head)}`)
  return head
}

const WEBSOCKET: Expected = { method: 'GET', upgrade: 'websocket' }

test('a response comes out with all that is decided by its head', () => {
  const { headers, ...rest } = accepted(
    'HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\nSet-Cookie: a=b\r\nset-cookie: c=d\r\nConnection: X-Gone\r\n\r\n',
  )
  assert.deepEqual(rest, {
    kind: 'response',
    status: 404,
    minor: 1,
    interim: false,
    framing: { kind: 'length', bytes: 5 },
    declaredLength: undefined,
    keepAlive: true,
    upgrade: undefined,
    connectionNames: ['x-gone'],
  })
  assert.deepEqual(headers.all('set-cookie'), ['a=b', 'c=d'])
})

test('a reason phrase may be missing, with its space or without', () => {
  for (const line of ['HTTP/1.1 200 ', 'HTTP/1.1 200', 'HTTP/1.1 200 \xc0 la carte']) {
    assert.equal(accepted(`${line}\r\n\r\n`).status, 200)
  }
})

test('the body ends by chunks, by length, or by close, in that order (RFC 9112, 6.3)', () => {
  assert.deepEqual(accepted('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n').framing, { kind: 'chunked' })
  assert.deepEqual(accepted('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n').framing, { kind: 'length', bytes: 0 })
  assert.deepEqual(accepted('HTTP/1.1 200 OK\r\n\r\n').framing, { kind: 'until-close' })
})

test('HEAD, 204 and 304 have no body, whatever they say', () => {
  const head = accepted('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n', { method: 'HEAD', upgrade: undefined })
  assert.deepEqual([head.framing.kind, head.declaredLength], ['none', 5])
  const chunked = accepted('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n', {
    method: 'HEAD',
    upgrade: undefined,
  })
  assert.deepEqual([chunked.framing.kind, chunked.declaredLength], ['none', undefined])
  const notModified = accepted('HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n')
  assert.deepEqual([notModified.framing.kind, notModified.declaredLength], ['none', 5])
  const noContent = accepted('HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n')
  assert.deepEqual([noContent.framing.kind, noContent.declaredLength], ['none', undefined])
})

test('an upstream connection is kept only where the end of the body shows', () => {
  const isKept = (text: string) => accepted(text).keepAlive
  assert.equal(isKept('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n'), true)
  assert.equal(isKept('HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n'), false)
  assert.equal(isKept('HTTP/1.0 200 OK\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n'), false)
  assert.equal(isKept('HTTP/1.1 200 OK\r\n\r\n'), false)
  assert.equal(isKept('HTTP/1.1 304 Not Modified\r\n\r\n'), true)
  assert.equal(isKept('HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n'), false)
})

test('interim responses say so, and the final one follows', () => {
  const parser = new ResponseHeadParser()
  parser.expect({ method: 'GET', upgrade: undefined })
  const bytes = octets(
    'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n',
  )
  const seen: unknown[] = []
  for (let at = 0; at < bytes.length; at = parser.offset) {
    const head = parser.parse(bytes, at)
    assert.ok(head?.kind === 'response')
    seen.push([head.status, head.interim, head.framing.kind])
  }
  assert.deepEqual(seen, [
    [100, true, 'none'],
    [103, true, 'none'],
    [204, false, 'none'],
  ])
})

test('T19: a 101 is a switch only if it answers a WebSocket request and names WebSocket', () => {
  const switched = 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n'
  const head = accepted(switched, WEBSOCKET)
  assert.deepEqual([head.upgrade, head.interim, head.keepAlive, head.framing.kind], ['websocket', false, false, 'none'])
  for (const text of [
    switched.replace('websocket', 'h2c'),
    switched.replace('Connection: Upgrade\r\n', ''),
    switched.replace('Upgrade: websocket\r\n', ''),
  ]) {
    const parser = new ResponseHeadParser()
    parser.expect(WEBSOCKET)
    assert.deepEqual(parser.parse(octets(text)), { kind: 'problem', status: 502, reason: 'unexpected-upgrade' })
  }
})

test('T19: an upgrade that was answered otherwise leaves plain HTTP, and the next response is none', () => {
  const parser = new ResponseHeadParser()
  parser.expect(WEBSOCKET)
  const refused = parser.parse(
    octets('HTTP/1.1 426 Upgrade Required\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 0\r\n\r\n'),
  )
  assert.ok(refused?.kind === 'response')
  assert.equal(refused.upgrade, undefined)
  parser.expect({ method: 'GET', upgrade: undefined })
  const late = parser.parse(
    octets('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n'),
  )
  assert.equal(late?.kind === 'problem' && late.reason, 'unexpected-upgrade')
})
