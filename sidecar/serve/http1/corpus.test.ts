import assert from 'node:assert/strict'
import { test } from 'node:test'
import { compareRequests, compareResponse } from './testing/compare.ts'
import { requestShapes, responseShapes } from './testing/corpus.ts'
import { eachOctet, octets, readRequests, readResponse } from './testing/transcript.ts'

/** What RFC 9112 asks every server to take, and the body that it has. */
const VALID_REQUESTS: readonly (readonly [string, string, string])[] = [
  ['a request line and a host', 'GET / HTTP/1.1\r\nHost: a\r\n\r\n', ''],
  ['one empty line before it (2.2)', '\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n', ''],
  ['no space behind the colon (5.1)', 'GET / HTTP/1.1\r\nHost:a\r\n\r\n', ''],
  ['tabs around a value (5.1)', 'GET / HTTP/1.1\r\nHost:\ta\t\r\nx:\t \ty \t\r\n\r\n', ''],
  ['tabs before a length', 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\t3\r\n\r\nabc', 'abc'],
  ['a tab behind a length', 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\t\r\n\r\nabc', 'abc'],
  ['spaces around a length', 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length:   3  \r\n\r\nabc', 'abc'],
  [
    'a tab before a coding',
    'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\tchunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n',
    'abc',
  ],
  [
    'a coding in upper case (7)',
    'POST / HTTP/1.1\r\nHost: a\r\nTRANSFER-ENCODING: CHUNKED\r\n\r\n3\r\nabc\r\n0\r\n\r\n',
    'abc',
  ],
  ['an empty value', 'GET / HTTP/1.1\r\nHost: a\r\nx:\r\ny: \r\n\r\n', ''],
  ['obs-text in a value (RFC 9110, 5.5)', 'GET / HTTP/1.1\r\nHost: a\r\nx: \x80\xff\r\n\r\n', ''],
  [
    'every character of a token in a name (RFC 9110, 5.6.2)',
    "GET / HTTP/1.1\r\nHost: a\r\n!#$%&'*+-.^_`|~09az: x\r\n\r\n",
    '',
  ],
  ['a name in any case', 'GET / HTTP/1.1\r\nhOsT: a\r\n\r\n', ''],
  [
    'the same name more than once',
    'GET / HTTP/1.1\r\nHost: a\r\nCookie: a=1\r\nCookie: b=2\r\nAccept: x\r\nAccept: y\r\n\r\n',
    '',
  ],
  ['the absolute form (3.2.2)', 'GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n', ''],
  ['the absolute form without a path', 'GET http://a HTTP/1.1\r\nHost: a\r\n\r\n', ''],
  ['the absolute form with a query and no path', 'GET http://a?x=y HTTP/1.1\r\nHost: a\r\n\r\n', ''],
  ['the absolute form in upper case', 'GET HTTP://A/ HTTP/1.1\r\nHost: a\r\n\r\n', ''],
  ['the asterisk form (3.2.4)', 'OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n', ''],
  ['the asterisk form through a proxy', 'OPTIONS http://a:8001 HTTP/1.1\r\nHost: a:8001\r\n\r\n', ''],
  ['an IPv6 literal', 'GET / HTTP/1.1\r\nHost: [2001:db8::1]:8080\r\n\r\n', ''],
  ['a host of digits and dashes', 'GET / HTTP/1.1\r\nHost: 1-2-3.xn--bcher-kva.example\r\n\r\n', ''],
  ['every character of a path (RFC 3986, 3.3)', "GET /aZ09-._~!$&'()*+,;=:@/%C3%A9 HTTP/1.1\r\nHost: a\r\n\r\n", ''],
  [
    'every character of a query (RFC 3986, 3.4)',
    "GET /?aZ09-._~!$&'()*+,;=:@/?%2f%00x HTTP/1.1\r\nHost: a\r\n\r\n".replace('%00', '%20'),
    '',
  ],
  ['a target of 8,000 octets (3)', `GET /${'a'.repeat(7_999)} HTTP/1.1\r\nHost: a\r\n\r\n`, ''],
  ['100 fields', `GET / HTTP/1.1\r\nHost: a\r\n${'x: y\r\n'.repeat(99)}\r\n`, ''],
  ['HTTP/1.0 without a host', 'GET / HTTP/1.0\r\n\r\n', ''],
  ['HTTP/1.0 that is kept alive', 'GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n', ''],
  ['an empty Connection and empty elements', 'GET / HTTP/1.1\r\nHost: a\r\nConnection: , keep-alive,,\r\n\r\n', ''],
  [
    'a Connection with a name of its own',
    'GET / HTTP/1.1\r\nHost: a\r\nConnection: x-own, TE\r\nx-own: y\r\nTE: trailers\r\n\r\n',
    '',
  ],
  ['a GET with a body', 'GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc', 'abc'],
  [
    'a DELETE with chunks',
    'DELETE / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n',
    'abc',
  ],
  ['a body of no length', 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n', ''],
  ['a POST without framing', 'POST / HTTP/1.1\r\nHost: a\r\n\r\n', ''],
  [
    'an expectation in any case (RFC 9110, 10.1.1)',
    'PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\nContent-Length: 3\r\n\r\nabc',
    'abc',
  ],
  [
    'chunk sizes in either case, with zeros',
    'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n00A\r\n0123456789\r\n0b\r\n0123456789a\r\n000\r\n\r\n',
    '01234567890123456789a',
  ],
  [
    'chunk extensions (7.1.1)',
    'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;a;b=c;d="e\\"f; g"\r\nabc\r\n0;x\r\n\r\n',
    'abc',
  ],
  [
    'trailers (7.1.2)',
    'POST / HTTP/1.1\r\nHost: a\r\nTrailer: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nx: y\r\nDigest:\tz\r\n\r\n',
    'abc',
  ],
  [
    'an upgrade that nobody offers is no upgrade (RFC 9110, 7.8)',
    'GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: IRC/6.9, RTA/x11\r\n\r\n',
    '',
  ],
  ['Upgrade without Connection', 'GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n', ''],
  ['a method of WebDAV', 'PROPFIND / HTTP/1.1\r\nHost: a\r\nDepth: 1\r\nContent-Length: 3\r\n\r\nabc', 'abc'],
]

const VALID_RESPONSES: readonly (readonly [string, string, string])[] = [
  ['no reason', 'HTTP/1.1 200 \r\nContent-Length: 3\r\n\r\nabc', 'abc'],
  ['not even the space for one', 'HTTP/1.1 200\r\nContent-Length: 3\r\n\r\nabc', 'abc'],
  ['obs-text in the reason', 'HTTP/1.1 200 \xe9t\xe9\tx\r\nContent-Length: 3\r\n\r\nabc', 'abc'],
  ['tabs around a length', 'HTTP/1.1 200 OK\r\nContent-Length:\t3\t\r\n\r\nabc', 'abc'],
  ['a body that ends by closing', 'HTTP/1.1 200 OK\r\n\r\nabc', 'abc'],
  ['a body of HTTP/1.0', 'HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 3\r\n\r\nabc', 'abc'],
  ['a 204 of no length', 'HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n', ''],
  ['a 304 that tells a length', 'HTTP/1.1 304 Not Modified\r\nContent-Length: 1000\r\n\r\n', ''],
  ['a 304 that tells of chunks', 'HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n', ''],
  ['a status that nobody knows', 'HTTP/1.1 299 Whatever\r\nContent-Length: 3\r\n\r\nabc', 'abc'],
  [
    'an offer to upgrade',
    'HTTP/1.1 200 OK\r\nConnection: Upgrade\r\nUpgrade: h2,h2c\r\nContent-Length: 3\r\n\r\nabc',
    'abc',
  ],
  [
    'chunks with extensions and trailers',
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n3;a=b\r\nabc\r\n0\r\nx: y\r\n\r\n',
    'abc',
  ],
]

for (const [name, text, body] of VALID_REQUESTS) {
  test(`a valid request is taken: ${name}`, async () => {
    for (const pieces of [[octets(text)], eachOctet(octets(text))]) {
      const { messages, problem } = readRequests(pieces)
      assert.equal(problem, undefined)
      assert.deepEqual(
        messages.map((message) => [message.complete, message.body]),
        [[true, body]],
      )
    }
    await compareRequests(octets(text))
  })
}

for (const [name, text, body] of VALID_RESPONSES) {
  test(`a valid response is taken: ${name}`, async () => {
    for (const pieces of [[octets(text)], eachOctet(octets(text))]) {
      const { messages, problem } = readResponse(pieces)
      assert.equal(problem, undefined)
      assert.deepEqual(
        messages.map((message) => [message.complete, message.body]),
        [[true, body]],
      )
    }
    await compareResponse(octets(text), 'GET')
  })
}

test('T15: no request in a shape that smuggling was found with is taken where llhttp refuses it, or framed in another way', async () => {
  for (const { name, text } of requestShapes()) {
    await compareRequests(octets(text)).catch((cause: unknown) => assert.fail(`${name}: ${(cause as Error).message}`))
  }
})

test('T15: no response in such a shape is taken where llhttp refuses it, or framed in another way', async () => {
  for (const { name, text } of responseShapes()) {
    for (const method of ['GET', 'HEAD']) {
      await compareResponse(octets(text), method).catch((cause: unknown) =>
        assert.fail(`${name}, to ${method}: ${(cause as Error).message}`),
      )
    }
  }
})

test('T15: what is made of such a message does not depend on how its octets arrive', () => {
  for (const { name, text } of requestShapes()) {
    assert.deepEqual(readRequests(eachOctet(octets(text))), readRequests([octets(text)]), name)
  }
  for (const { name, text } of responseShapes()) {
    assert.deepEqual(readResponse(eachOctet(octets(text))), readResponse([octets(text)]), name)
  }
})

test('T15: two framings, or one in disguise, are never taken: whatever is taken has one plain framing', () => {
  const taken = requestShapes().flatMap(({ name, text }) => {
    const { messages } = readRequests([octets(text)])
    return messages.flatMap(({ headers, complete }) => (complete ? [{ name, headers }] : []))
  })
  assert.ok(taken.length > 50, `${taken.length} were taken`)
  for (const { name, headers } of taken) {
    const framing = headers.filter(([field]) => field === 'content-length' || field === 'transfer-encoding')
    assert.ok(framing.length <= 1, name)
    for (const [field, value] of framing)
      assert.match(value, field === 'content-length' ? /^(0|[1-9]\d*)$/ : /^chunked$/i, name)
  }
})
