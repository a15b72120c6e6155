import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { RequestHead } from './message.ts'
import { hashOfName } from './octets.ts'
import { type Problem, type ProblemReason, problem } from './problem.ts'
import { type RequestHeadOptions, RequestHeadParser } from './request-head.ts'
import { octets } from './testing/transcript.ts'

function parse(text: string, options?: RequestHeadOptions): RequestHead | Problem | undefined {
  return new RequestHeadParser(options).parse(octets(text))
}

function accepted(text: string, options?: RequestHeadOptions): RequestHead {
  const head = parse(text, options)
  assert.ok(head?.kind === 'request', `not accepted: ${JSON.stringify(head)}`)
  return head
}

function refused(text: string, reason: ProblemReason, options?: RequestHeadOptions): void {
  assert.deepEqual(parse(text, options), problem('client', reason), JSON.stringify(text))
}

/** A GET for `/` of shop.example with these lines as well. */
function withLines(...lines: readonly string[]): string {
  return ['GET / HTTP/1.1', 'Host: shop.example', ...lines, '', ''].join('\r\n')
}

test('a request comes out with all that is decided by its head', () => {
  const head = accepted(
    'POST /Users/%7e1//x?a=%2F HTTP/1.1\r\nHost: Shop.Example.:8443\r\nX-A: 1\r\nx-a:2\r\nX-Empty:\r\nExpect: 100-continue\r\n' +
      'Content-Length: 3\r\nConnection: keep-alive, X-Gone\r\n\r\n',
  )
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
    framing: { kind: 'length', bytes: 3 },
    keepAlive: true,
    upgrade: undefined,
    expectContinue: true,
    connectionNames: ['x-gone'],
  })
  assert.equal(headers.count, 7)
  assert.equal(headers.get('x-a'), '1')
  assert.deepEqual(headers.all('x-a'), ['1', '2'])
  assert.equal(headers.get('x-empty'), '')
  assert.equal(headers.get('x-b'), undefined)
  assert.deepEqual(headers.all('x-b'), [])
  assert.equal(headers.bytes(headers.indexOf('expect')).toString('latin1'), '100-continue')
  assert.deepEqual([...headers].slice(0, 3), [
    ['host', 'Shop.Example.:8443'],
    ['x-a', '1'],
    ['x-a', '2'],
  ])
})

test('a head outlives the chunk that it was read from', () => {
  const chunk = octets(withLines('x: y'))
  const head = new RequestHeadParser().parse(chunk)
  chunk.fill(0)
  assert.ok(head?.kind === 'request')
  assert.equal(head.headers.get('x'), 'y')
})

test('nothing is decided before the head is complete, and the peer may close between two', () => {
  const parser = new RequestHeadParser()
  assert.equal(parser.idle, true)
  assert.equal(parser.close(), undefined)
  assert.equal(parser.parse(octets('GET / HTTP/1.1\r\nHost: a\r\n')), undefined)
  assert.equal(parser.idle, false)
  assert.equal(parser.close()?.reason, 'truncated-head')
  const rest = octets('\r\nrest')
  assert.equal(parser.parse(rest)?.kind, 'request')
  assert.equal(parser.offset, 2)
  assert.equal(parser.idle, true)
})

test('a part of a chunk is read as that part alone', () => {
  const parser = new RequestHeadParser()
  const request = withLines()
  const chunk = octets(`xxx${request}yyy`)
  assert.equal(parser.parse(chunk, 3, chunk.length - 3)?.kind, 'request')
  assert.equal(parser.offset, 3 + request.length)
})

test('nothing of one request sticks to the next', () => {
  const parser = new RequestHeadParser()
  const plain = octets(withLines())
  const alone = parser.parse(plain)
  for (const lines of [
    ['Connection: close, upgrade, x-gone', 'Upgrade: websocket', 'Sec-WebSocket-Key: x'],
    ['Content-Length: 5', 'Expect: 100-continue', 'Authorization: a', 'x: y'],
    ['Transfer-Encoding: chunked'],
  ]) {
    assert.equal(parser.parse(octets(withLines(...lines)))?.kind, 'request')
    assert.deepEqual(parser.parse(plain), alone)
  }
})

test('a problem is one frozen value', () => {
  const first = parse(withLines('x : y'))
  assert.ok(Object.isFrozen(first))
  assert.equal(parse(withLines('x : y')), first)
})

test('values keep their octets, and lose the white space around them', () => {
  const { headers } = accepted(withLines('x: \t caf\xe9 \t au lait\t \t'))
  assert.equal(headers.get('x'), 'caf\xe9 \t au lait')
})

test('names are looked up to the letter: an underscore is no dash', () => {
  const { headers } = accepted(withLines('x_y: 1', 'X-Y: 2'))
  assert.equal(headers.get('x-y'), '2')
  assert.equal(headers.get('x_y'), '1')
})

test('a connection is kept for HTTP/1.1 unless told otherwise, and never for HTTP/1.0', () => {
  assert.equal(accepted(withLines()).keepAlive, true)
  assert.equal(accepted(withLines('Connection: close')).keepAlive, false)
  assert.equal(accepted(withLines('Connection: x', 'Connection: , Close ,')).keepAlive, false)
  assert.equal(accepted('GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n').keepAlive, false)
})

test('the client is promised a 100 only where it may wait for one', () => {
  const expecting = (start: string, framing: string) => `${start}\r\nHost: a\r\nExpect: 100-Continue\r\n${framing}\r\n`
  assert.equal(accepted(expecting('PUT / HTTP/1.1', 'Transfer-Encoding: chunked\r\n')).expectContinue, true)
  assert.equal(accepted(expecting('PUT / HTTP/1.1', 'Content-Length: 0\r\n')).expectContinue, false)
  assert.equal(accepted(expecting('PUT / HTTP/1.0', 'Content-Length: 1\r\n')).expectContinue, false)
  refused(withLines('Expect: 200-ok'), 'unknown-expectation')
  refused(withLines('Expect: 100_continue'), 'unknown-expectation')
  assert.equal(problem('client', 'unknown-expectation').status, 417)
})

test('methods are known and in upper case', () => {
  for (const method of ['GET', 'DELETE', 'QUERY', 'M-SEARCH', 'UNSUBSCRIBE']) {
    assert.equal(accepted(`${method} / HTTP/1.1\r\nHost: a\r\n\r\n`).method, method)
  }
  for (const method of ['get', 'GETX', 'SOURCE', 'BREW', '__proto__', 'A'.repeat(40)]) {
    refused(`${method} / HTTP/1.1\r\nHost: a\r\n\r\n`, 'unknown-method')
  }
  for (const method of ['', 'G@T', 'GET\0']) refused(`${method} / HTTP/1.1\r\nHost: a\r\n\r\n`, 'bad-method')
})

test('something that is no HTTP is refused at its first octets', () => {
  const parser = new RequestHeadParser()
  assert.deepEqual(parser.parse(Buffer.of(0x16, 0x03, 0x01)), problem('client', 'bad-method'))
})

test('an absolute-form target is taken apart and normalised', () => {
  const head = accepted('GET HTTP://Shop.Example/a/../b?c HTTP/1.1\r\nHost: shop.example:80\r\n\r\n')
  assert.deepEqual(
    [head.form, head.scheme, head.host, head.port, head.path, head.query],
    ['absolute', 'http', 'shop.example', undefined, '/b', 'c'],
  )
  assert.equal(accepted('GET http://a HTTP/1.1\r\nHost: a\r\n\r\n').path, '/')
  assert.equal(accepted('GET http://a?b HTTP/1.1\r\nHost: a\r\n\r\n').query, 'b')
  assert.equal(accepted('GET http://a/b HTTP/1.0\r\n\r\n').host, 'a')
  assert.equal(accepted('OPTIONS http://a HTTP/1.1\r\nHost: a\r\n\r\n').path, '*')
})

test('asterisk-form is for OPTIONS alone', () => {
  const head = accepted('OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n')
  assert.deepEqual([head.form, head.path, head.host], ['asterisk', '*', 'a'])
  refused('GET * HTTP/1.1\r\nHost: a\r\n\r\n', 'asterisk-needs-options')
})

test('authority-form is for CONNECT alone, and CONNECT for the port that wants it', () => {
  const text = 'CONNECT Catalog.shop:80 HTTP/1.1\r\nHost: catalog.shop:80\r\n\r\n'
  refused(text, 'connect-not-allowed')
  const head = accepted(text, { connect: true })
  assert.deepEqual([head.form, head.host, head.port, head.path], ['authority', 'catalog.shop', 80, ''])
  assert.equal(accepted('CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n', { connect: true }).port, 443)

  refused('GET catalog.shop:80 HTTP/1.1\r\nHost: catalog.shop:80\r\n\r\n', 'authority-needs-connect')
  refused('CONNECT a HTTP/1.1\r\nHost: a\r\n\r\n', 'bad-target', { connect: true })
  refused('CONNECT / HTTP/1.1\r\nHost: a\r\n\r\n', 'bad-target', { connect: true })
  refused('CONNECT http://a:80 HTTP/1.1\r\nHost: a\r\n\r\n', 'bad-target', { connect: true })
  refused('CONNECT a:80 HTTP/1.1\r\nHost: b:80\r\n\r\n', 'host-differs-from-target', { connect: true })
  refused('CONNECT a:80 HTTP/1.1\r\nHost: a:81\r\n\r\n', 'host-differs-from-target', { connect: true })
  refused('CONNECT a:80 HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n', 'body-not-allowed', { connect: true })
})

test('other schemes are refused', () => {
  for (const target of ['ftp://a/', 'http:/a', 'http:a', 'https:', 'a/b', 'javascript:x']) {
    refused(`GET ${target} HTTP/1.1\r\nHost: a\r\n\r\n`, 'bad-target')
  }
})

test('T12: a spelling with an underscore of what somebody relies on is refused', () => {
  for (const name of [
    'X_Forwarded_For',
    'x-forwarded_for',
    'X_Forwarded-Client_Cert',
    'content_type',
    'x_real_ip',
    'x_hauberk_id',
  ]) {
    refused(withLines(`${name}: 1`), 'underscore-header')
  }
  assert.equal(accepted(withLines('x_my_own: 1')).headers.get('x_my_own'), '1')
  const trusted = { names: ['x-dept'], prefixes: ['x-user-'] }
  refused(withLines('X_Dept: 1'), 'underscore-header', { trusted })
  refused(withLines('x-user_id: 1'), 'underscore-header', { trusted })
  refused(withLines('x_real_ip: 1'), 'underscore-header', { trusted })
})

test('T12: Connection cannot name what somebody relies on, in any spelling', () => {
  for (const name of [
    'X-Forwarded-For',
    'x-forwarded-client-cert',
    'X_Forwarded_For',
    'Authorization',
    'Host',
    'cookie',
    'via',
  ]) {
    refused(withLines(`Connection: ${name}`), 'connection-names-protected-header')
    refused(withLines(`Connection: close, x,\t${name} `), 'connection-names-protected-header')
  }
  refused(withLines('Connection: x-dept'), 'connection-names-protected-header', { trusted: { names: ['x-dept'] } })
  assert.deepEqual(accepted(withLines('Connection: TE, x-dept, Keep-Alive, trailer')).connectionNames, ['x-dept'])
})

test('T12: Connection lists at most 16 names', () => {
  const names = Array.from({ length: 17 }, (_, index) => `x-${index}`)
  assert.equal(accepted(withLines(`Connection: ${names.slice(1).join(',')}, close, te`)).connectionNames.length, 16)
  refused(withLines(`Connection: ${names.join(',')}`), 'bad-connection-header')
  refused(withLines(...names.map((name) => `Connection: ${name}`)), 'bad-connection-header')
})

test('T12: Connection is a list of tokens', () => {
  for (const value of ['a b', 'a;b', '"close"', 'a,,b\xe9', '(x)'])
    refused(withLines(`Connection: ${value}`), 'bad-connection-header')
  assert.deepEqual(accepted(withLines('Connection: , a,,b ,')).connectionNames, ['a', 'b'])
})

test('T14: a host has one spelling', () => {
  const hostOf = (host: string) => {
    const head = accepted(`GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`)
    return [head.host, head.port]
  }
  assert.deepEqual(hostOf('SHOP.Example'), ['shop.example', undefined])
  assert.deepEqual(hostOf('shop.example.'), ['shop.example', undefined])
  assert.deepEqual(hostOf('shop.example.:80'), ['shop.example', 80])
  assert.deepEqual(hostOf('[::0:1]:8080'), ['[::1]', 8080])
})

test('T14: a host that two readers could read differently is refused', () => {
  for (const host of [
    'a,b',
    'a@b',
    'user@a',
    'a b',
    'a/b',
    'a\\b',
    'a?b',
    'a#b',
    'a%2eb',
    'a:',
    'a:0',
    'a:65536',
    'a:+80',
    'a:80:80',
  ]) {
    refused(`GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`, 'bad-host')
  }
  refused('GET / HTTP/1.1\r\nHost:\r\n\r\n', 'empty-host')
  refused('GET / HTTP/1.1\r\nHost:  \t\r\n\r\n', 'empty-host')
  refused('GET / HTTP/1.1\r\nx: y\r\n\r\n', 'missing-host')
  refused('GET http://a/ HTTP/1.1\r\n\r\n', 'missing-host')
  refused('GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n', 'duplicate-host')
  refused('GET / HTTP/1.1\r\nHost: a\r\nhOST: b\r\n\r\n', 'duplicate-host')
})

test('T14: a target and a Host that differ are refused', () => {
  for (const [target, host] of [
    ['http://a/', 'b'],
    ['http://a/', 'a:81'],
    ['http://a:80/', 'a:443'],
    ['https://a/', 'a:80'],
    ['http://a.b/', 'a'],
  ]) {
    refused(`GET ${target} HTTP/1.1\r\nHost: ${host}\r\n\r\n`, 'host-differs-from-target')
  }
  refused('GET http:///a HTTP/1.1\r\nHost: a\r\n\r\n', 'empty-host')
  refused('GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n', 'bad-host')
  refused('GET http://a\\@b/ HTTP/1.1\r\nHost: a\r\n\r\n', 'bad-target')
})

test('T14: a host remembered from the last request is not taken for another', () => {
  const parser = new RequestHeadParser()
  const hostOf = (host: string) => {
    const head = parser.parse(octets(`GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`))
    return head?.kind === 'request' ? head.host : head?.reason
  }
  assert.deepEqual(['A', 'A', 'b', 'A', 'a,b'].map(hostOf), ['a', 'a', 'b', 'a', 'bad-host'])
})

test('T14: HTTP/1.0 may come without a Host, and is for nobody then', () => {
  const head = accepted('GET /healthz HTTP/1.0\r\n\r\n')
  assert.deepEqual([head.host, head.port, head.minor], ['', undefined, 0])
})

test('T16: more than 100 headers or 16 KiB of head are refused with 431, a long target with 414', () => {
  const lines = (count: number) => Array.from({ length: count }, (_, index) => `x-${index}: y`)
  assert.equal(accepted(withLines(...lines(99))).headers.count, 100)
  refused(withLines(...lines(100)), 'too-many-headers')
  refused(withLines(`x: ${'y'.repeat(16_384)}`), 'head-too-long')
  assert.equal(accepted(`GET /${'a'.repeat(8_191)} HTTP/1.1\r\nHost: a\r\n\r\n`).path.length, 8_192)
  refused(`GET /${'a'.repeat(8_192)} HTTP/1.1\r\nHost: a\r\n\r\n`, 'target-too-long')
  assert.equal(problem('client', 'too-many-headers').status, 431)
  assert.equal(problem('client', 'head-too-long').status, 431)
  assert.equal(problem('client', 'target-too-long').status, 414)
})

test('T16: limits can be set', () => {
  const limits = { maxHeaders: 2, maxHeadBytes: 100, maxTargetBytes: 10 }
  refused(withLines('a: b', 'c: d'), 'too-many-headers', { limits })
  refused(withLines(`a: ${'b'.repeat(100)}`), 'head-too-long', { limits })
  refused('GET /1234567890 HTTP/1.1\r\nHost: a\r\n\r\n', 'target-too-long', { limits })
})

test('T16: headers named like members of an object are headers and nothing else', () => {
  const { headers } = accepted(withLines('__proto__: 1', 'constructor: 2', 'toString: 3', 'hasOwnProperty: 4'))
  assert.equal(headers.get('__proto__'), '1')
  assert.equal(headers.get('constructor'), '2')
  assert.equal(headers.get('tostring'), '3')
  const plain = accepted(withLines()).headers
  for (const name of ['__proto__', 'constructor', 'tostring', 'hasownproperty', 'length']) {
    assert.equal(plain.get(name), undefined)
    assert.equal(plain.has(name), false)
  }
  assert.equal(({} as Record<string, unknown>)['polluted'], undefined)
})

test('T16: names whose hashes meet are still told apart', () => {
  assert.equal(hashOfName('hou6'), hashOfName('host'))
  refused('GET / HTTP/1.1\r\nhou6: a\r\n\r\n', 'missing-host')
  const { headers } = accepted(withLines('hou6: a', 'xaa: 1', 'xc#: 2'))
  assert.equal(headers.get('host'), 'shop.example')
  assert.equal(headers.get('hou6'), 'a')
  assert.equal(headers.get('xc#'), '2')
})

test('T17: what policy sees of a target is its one normal form; what has none is refused', () => {
  const pathOf = (target: string) => accepted(`GET ${target} HTTP/1.1\r\nHost: a\r\n\r\n`).path
  assert.equal(pathOf('/a/%2e%2e/admin'), '/admin')
  assert.equal(pathOf('/a/%2E/b'), '/a/b')
  assert.equal(pathOf('/a//b'), '/a/b')
  for (const [target, reason] of [
    ['//evil/x', 'ambiguous-path'],
    ['http://a//evil', 'ambiguous-path'],
    ['/\\..\\admin', 'ambiguous-path'],
    ['/a%2fb', 'ambiguous-path'],
    ['/a%5Cb', 'ambiguous-path'],
    ['/a%00', 'ambiguous-path'],
    ['/..;/admin', 'ambiguous-path'],
    ['/admin#x', 'target-with-fragment'],
    ['http://a#x', 'bad-target'],
    ['/%', 'bad-escape'],
    ['/%c0%ae', 'bad-escape'],
    ['/%252e', 'double-escape'],
    ['/\xe9', 'bad-target'],
  ] as const) {
    refused(`GET ${target} HTTP/1.1\r\nHost: a\r\n\r\n`, reason)
  }
})

test('T19: only a proper WebSocket handshake is an upgrade', () => {
  const handshake = [
    'Connection: Upgrade',
    'Upgrade: WebSocket',
    'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
    'Sec-WebSocket-Version: 13',
  ]
  assert.equal(accepted(withLines(...handshake)).upgrade, 'websocket')
  assert.equal(accepted(withLines(...handshake.toSpliced(1, 1, 'Upgrade: h2c, websocket'))).upgrade, 'websocket')
  assert.equal(accepted(withLines(...handshake.slice(1))).upgrade, undefined, 'Connection does not say so')
  assert.equal(
    accepted(`GET / HTTP/1.0\r\nHost: a\r\n${handshake.join('\r\n')}\r\n\r\n`).upgrade,
    undefined,
    'HTTP/1.0',
  )
  refused(withLines(...handshake.toSpliced(2, 1)), 'bad-upgrade')
  refused(withLines(...handshake).replace('GET', 'POST'), 'bad-upgrade')
  refused(withLines(...handshake, 'Content-Length: 1'), 'bad-upgrade')
  refused(withLines(...handshake, 'Transfer-Encoding: chunked'), 'bad-upgrade')
  refused(withLines(...handshake, 'Sec-WebSocket-Key: another'), 'duplicate-header')
})

test('T19: an upgrade to h2c is no upgrade', () => {
  const head = accepted(
    withLines('Connection: Upgrade, HTTP2-Settings', 'Upgrade: h2c', 'HTTP2-Settings: AAMAAABkAAQAAP__'),
  )
  assert.equal(head.upgrade, undefined)
  assert.deepEqual(head.connectionNames, [])
  assert.equal(head.keepAlive, true)
})

test('T24: two credentials in one request are refused', () => {
  refused(withLines('Authorization: Bearer a', 'authorization: Bearer b'), 'duplicate-authorization')
  refused(withLines('Proxy-Authorization: Basic a', 'Proxy-Authorization: Basic a'), 'duplicate-authorization')
  assert.equal(accepted(withLines('Authorization: Bearer a', 'Proxy-Authorization: Basic a')).headers.count, 3)
})

test('what a decision may hang on comes once', () => {
  for (const name of ['Content-Type', 'Origin', 'Access-Control-Request-Method', 'Expect']) {
    const value = name === 'Expect' ? '100-continue' : 'a'
    refused(withLines(`${name}: ${value}`, `${name}: ${value}`), 'duplicate-header')
  }
})
