import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type ProblemReason, problem } from './problem.ts'
import { octets, readRequests, readResponse } from './testing/transcript.ts'

interface Attack {
  readonly name: string
  readonly text: string
  readonly reason: ProblemReason
  /** Complete messages that were there before the attack. */
  readonly before?: number
}

const POST = 'POST / HTTP/1.1\r\nHost: shop.example\r\n'
const GET = 'GET / HTTP/1.1\r\nHost: shop.example\r\n'
const CHUNKED = `${POST}Transfer-Encoding: chunked\r\n\r\n`
const END = '0\r\n\r\n'
const SMUGGLED = 'GET /admin HTTP/1.1\r\nHost: shop.example\r\n\r\n'

const REQUESTS: readonly Attack[] = [
  // Two framings.
  { name: 'CL.TE', text: `${POST}Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n${END}G`, reason: 'te-and-cl' },
  {
    name: 'TE.CL',
    text: `${POST}Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n8\r\nSMUGGLED\r\n${END}`,
    reason: 'te-and-cl',
  },
  {
    name: 'CL.0 with TE',
    text: `${POST}Content-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n${END}`,
    reason: 'te-and-cl',
  },
  {
    name: 'TE on HTTP/1.0',
    text: `POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n${END}`,
    reason: 'te-on-http10',
  },

  // Content-Length that two readers could read differently.
  {
    name: 'CL twice, different',
    text: `${POST}Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd`,
    reason: 'duplicate-content-length',
  },
  {
    name: 'CL twice, equal',
    text: `${POST}Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc`,
    reason: 'duplicate-content-length',
  },
  { name: 'CL as a list', text: `${POST}Content-Length: 3, 3\r\n\r\nabc`, reason: 'bad-content-length' },
  { name: 'CL as a list without space', text: `${POST}Content-Length: 5,5\r\n\r\nabcde`, reason: 'bad-content-length' },
  { name: 'CL with a plus', text: `${POST}Content-Length: +5\r\n\r\nabcde`, reason: 'bad-content-length' },
  { name: 'CL negative', text: `${POST}Content-Length: -1\r\n\r\n`, reason: 'bad-content-length' },
  { name: 'CL empty', text: `${POST}Content-Length: \r\n\r\n`, reason: 'bad-content-length' },
  { name: 'CL with leading zeros', text: `${POST}Content-Length: 005\r\n\r\nabcde`, reason: 'bad-content-length' },
  { name: 'CL in hexadecimal', text: `${POST}Content-Length: 0x5\r\n\r\nabcde`, reason: 'bad-content-length' },
  { name: 'CL with a fraction', text: `${POST}Content-Length: 5.0\r\n\r\nabcde`, reason: 'bad-content-length' },
  { name: 'CL with an exponent', text: `${POST}Content-Length: 1e1\r\n\r\nabcde`, reason: 'bad-content-length' },
  { name: 'CL with a space inside', text: `${POST}Content-Length: 1 0\r\n\r\nabcde`, reason: 'bad-content-length' },
  { name: 'CL with a tab inside', text: `${POST}Content-Length: 1\t0\r\n\r\nabcde`, reason: 'bad-content-length' },
  { name: 'CL with an underscore', text: `${POST}Content-Length: 1_0\r\n\r\nabcde`, reason: 'bad-content-length' },
  { name: 'CL of 2^53', text: `${POST}Content-Length: 9007199254740992\r\n\r\n`, reason: 'bad-content-length' },
  { name: 'CL of 2^64', text: `${POST}Content-Length: 18446744073709551616\r\n\r\n`, reason: 'bad-content-length' },
  { name: 'CL with obs-text', text: `${POST}Content-Length: \xb25\r\n\r\n`, reason: 'bad-content-length' },
  {
    name: 'CL with an underscore in its name',
    text: `${POST}Content_Length: 5\r\n\r\nabcde`,
    reason: 'underscore-header',
  },

  // Transfer-Encoding that some do not recognise.
  {
    name: 'TE gzip, chunked',
    text: `${POST}Transfer-Encoding: gzip, chunked\r\n\r\n${END}`,
    reason: 'bad-transfer-encoding',
  },
  {
    name: 'TE chunked, identity',
    text: `${POST}Transfer-Encoding: chunked, identity\r\n\r\n${END}`,
    reason: 'bad-transfer-encoding',
  },
  { name: 'TE identity', text: `${POST}Transfer-Encoding: identity\r\n\r\n`, reason: 'bad-transfer-encoding' },
  { name: 'TE empty', text: `${POST}Transfer-Encoding: \r\n\r\n`, reason: 'bad-transfer-encoding' },
  { name: 'TE xchunked', text: `${POST}Transfer-Encoding: xchunked\r\n\r\n${END}`, reason: 'bad-transfer-encoding' },
  {
    name: 'TE chunked chunked',
    text: `${POST}Transfer-Encoding: chunked, chunked\r\n\r\n${END}`,
    reason: 'bad-transfer-encoding',
  },
  {
    name: 'TE with a parameter',
    text: `${POST}Transfer-Encoding: chunked;q=1\r\n\r\n${END}`,
    reason: 'bad-transfer-encoding',
  },
  { name: 'TE in quotes', text: `${POST}Transfer-Encoding: "chunked"\r\n\r\n${END}`, reason: 'bad-transfer-encoding' },
  {
    name: 'TE with a leading comma',
    text: `${POST}Transfer-Encoding: ,chunked\r\n\r\n${END}`,
    reason: 'bad-transfer-encoding',
  },
  {
    name: 'TE before a tab',
    text: `${POST}Transfer-Encoding: chunked\t\r\n\r\n${END}`,
    reason: 'bad-transfer-encoding',
  },
  {
    name: 'TE after a vertical tab',
    text: `${POST}Transfer-Encoding: \x0bchunked\r\n\r\n${END}`,
    reason: 'bad-header-value',
  },
  {
    name: 'TE twice',
    text: `${POST}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n${END}`,
    reason: 'duplicate-transfer-encoding',
  },
  {
    name: 'TE twice, one a fake',
    text: `${POST}Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n${END}`,
    reason: 'duplicate-transfer-encoding',
  },
  {
    name: 'TE before its colon',
    text: `${POST}Transfer-Encoding : chunked\r\n\r\n${END}`,
    reason: 'space-before-colon',
  },
  {
    name: 'TE on a folded line',
    text: `${POST}x: y\r\n Transfer-Encoding: chunked\r\n\r\n${END}`,
    reason: 'folded-header',
  },
  {
    name: 'TE value on a folded line',
    text: `${POST}Transfer-Encoding:\r\n chunked\r\n\r\n${END}`,
    reason: 'bad-transfer-encoding',
  },
  { name: 'TE after a bare LF', text: `${POST}x: y\nTransfer-Encoding: chunked\r\n\r\n${END}`, reason: 'bare-lf' },
  { name: 'TE after a bare CR', text: `${POST}x: y\rTransfer-Encoding: chunked\r\n\r\n${END}`, reason: 'bare-cr' },
  { name: 'TE after a NUL', text: `${POST}x: y\0Transfer-Encoding: chunked\r\n\r\n${END}`, reason: 'bad-header-value' },
  {
    name: 'TE with a NUL in its name',
    text: `${POST}Transfer-Encoding\0: chunked\r\n\r\n${END}`,
    reason: 'bad-header-name',
  },
  {
    name: 'TE with an underscore in its name',
    text: `${POST}Transfer_Encoding: chunked\r\n\r\n${END}`,
    reason: 'underscore-header',
  },
  {
    name: 'TE named in Connection',
    text: `${POST}Connection: transfer-encoding\r\nTransfer-Encoding: chunked\r\n\r\n${END}`,
    reason: 'connection-names-protected-header',
  },
  {
    name: 'CL named in Connection',
    text: `${POST}Connection: Content-Length\r\nContent-Length: 3\r\n\r\nabc`,
    reason: 'connection-names-protected-header',
  },

  // Lines.
  { name: 'LF alone ends the request line', text: 'GET / HTTP/1.1\nHost: a\r\n\r\n', reason: 'bare-lf' },
  { name: 'LF alone ends the head', text: `${GET}\n`, reason: 'bare-lf' },
  { name: 'CR alone ends the head', text: `${GET}\rx`, reason: 'bare-cr' },
  { name: 'CR CR LF', text: `${GET}x: y\r\r\n\r\n`, reason: 'bare-cr' },
  { name: 'obs-fold with a space', text: `${GET}x: y\r\n z\r\n\r\n`, reason: 'folded-header' },
  { name: 'obs-fold with a tab', text: `${GET}x: y\r\n\tz\r\n\r\n`, reason: 'folded-header' },
  { name: 'white space before the first field', text: 'GET / HTTP/1.1\r\n Host: a\r\n\r\n', reason: 'folded-header' },
  { name: 'a line without colon', text: `${GET}x\r\n\r\n`, reason: 'bad-header-name' },
  { name: 'an empty name', text: `${GET}: y\r\n\r\n`, reason: 'bad-header-name' },
  { name: 'a name that is no token', text: `${GET}x(y): z\r\n\r\n`, reason: 'bad-header-name' },
  { name: 'a name with obs-text', text: `${GET}x\xe9: z\r\n\r\n`, reason: 'bad-header-name' },
  { name: 'two empty lines before a request', text: `\r\n\r\n${GET}\r\n`, reason: 'bad-method' },
  { name: 'LF before a request', text: `\n${GET}\r\n`, reason: 'bad-method' },
  { name: 'two spaces in the request line', text: 'GET  / HTTP/1.1\r\nHost: a\r\n\r\n', reason: 'bad-request-line' },
  { name: 'a tab in the request line', text: 'GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n', reason: 'bad-method' },
  { name: 'a space after the version', text: 'GET / HTTP/1.1 \r\nHost: a\r\n\r\n', reason: 'bad-request-line' },
  { name: 'a space in the target', text: 'GET /a b HTTP/1.1\r\nHost: a\r\n\r\n', reason: 'bad-version' },
  {
    name: 'two request lines',
    text: 'GET / HTTP/1.1\r\nGET /admin HTTP/1.1\r\nHost: a\r\n\r\n',
    reason: 'space-before-colon',
  },

  // Versions.
  { name: 'HTTP/0.9', text: 'GET /\r\n', reason: 'bad-request-line' },
  { name: 'HTTP/0.9 by name', text: 'GET / HTTP/0.9\r\nHost: a\r\n\r\n', reason: 'bad-version' },
  { name: 'HTTP/2.0', text: 'GET / HTTP/2.0\r\nHost: a\r\n\r\n', reason: 'bad-version' },
  { name: 'the HTTP/2 preface', text: 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', reason: 'unknown-method' },
  { name: 'HTTP/1.2', text: 'GET / HTTP/1.2\r\nHost: a\r\n\r\n', reason: 'unsupported-version' },
  { name: 'HTTP/3.0', text: 'GET / HTTP/3.0\r\nHost: a\r\n\r\n', reason: 'unsupported-version' },
  { name: 'HTTP/1.10', text: 'GET / HTTP/1.10\r\nHost: a\r\n\r\n', reason: 'bad-request-line' },
  { name: 'HTTP/01.1', text: 'GET / HTTP/01.1\r\nHost: a\r\n\r\n', reason: 'bad-version' },
  { name: 'http in lower case', text: 'GET / http/1.1\r\nHost: a\r\n\r\n', reason: 'bad-version' },

  // Chunks.
  { name: 'a chunk size with a plus', text: `${CHUNKED}+1\r\na\r\n${END}`, reason: 'bad-chunk-size' },
  { name: 'a chunk size with 0x', text: `${CHUNKED}0x1\r\na\r\n${END}`, reason: 'bad-chunk-size' },
  { name: 'a chunk size after a space', text: `${CHUNKED} 1\r\na\r\n${END}`, reason: 'bad-chunk-size' },
  { name: 'a chunk size before a space', text: `${CHUNKED}1 \r\na\r\n${END}`, reason: 'bad-chunk-size' },
  { name: 'no chunk size', text: `${CHUNKED}\r\na\r\n${END}`, reason: 'bad-chunk-size' },
  { name: 'a negative chunk size', text: `${CHUNKED}-1\r\na\r\n${END}`, reason: 'bad-chunk-size' },
  {
    name: 'a chunk size that wraps round 64 bits',
    text: `${CHUNKED}10000000000000001\r\na\r\n${END}`,
    reason: 'chunk-too-big',
  },
  { name: 'a chunk size beyond 2^53', text: `${CHUNKED}20000000000000\r\na\r\n${END}`, reason: 'chunk-too-big' },
  { name: 'a chunk size of many zeros', text: `${CHUNKED}${'0'.repeat(17)}1\r\na\r\n${END}`, reason: 'chunk-too-big' },
  { name: 'LF alone after a chunk size', text: `${CHUNKED}1\na\r\n${END}`, reason: 'bare-lf' },
  { name: 'CR alone after a chunk size', text: `${CHUNKED}1\ra\r\n${END}`, reason: 'bare-cr' },
  { name: 'LF alone after a chunk', text: `${CHUNKED}1\r\na\n${END}`, reason: 'bad-chunk-end' },
  { name: 'a chunk longer than its size', text: `${CHUNKED}1\r\nab\r\n${END}`, reason: 'bad-chunk-end' },
  { name: 'LF alone after the last chunk', text: `${CHUNKED}0\r\n\n`, reason: 'bare-lf' },
  { name: 'LF in a chunk extension', text: `${CHUNKED}1;a\nb\r\na\r\n${END}`, reason: 'bare-lf' },
  { name: 'CR in a chunk extension', text: `${CHUNKED}1;a\rb\r\na\r\n${END}`, reason: 'bare-cr' },
  { name: 'LF in a quoted chunk extension', text: `${CHUNKED}1;a="\n"\r\na\r\n${END}`, reason: 'bare-lf' },
  { name: 'a chunk extension without a name', text: `${CHUNKED}1;\r\na\r\n${END}`, reason: 'bad-chunk-extension' },
  { name: 'a chunk extension after a space', text: `${CHUNKED}1;a b\r\na\r\n${END}`, reason: 'bad-chunk-extension' },
  { name: 'a chunk extension with half a value', text: `${CHUNKED}1;a=\r\na\r\n${END}`, reason: 'bad-chunk-extension' },
  {
    name: 'a long chunk extension',
    text: `${CHUNKED}1;${'a'.repeat(300)}\r\na\r\n${END}`,
    reason: 'chunk-extension-too-long',
  },
  {
    name: 'a flood of chunk extensions',
    text: `${CHUNKED}${`1;${'a'.repeat(200)}\r\nb\r\n`.repeat(50)}${END}`,
    reason: 'chunk-extension-too-long',
  },

  // Trailers.
  {
    name: 'Authorization in a trailer',
    text: `${CHUNKED}0\r\nAuthorization: Bearer x\r\n\r\n`,
    reason: 'forbidden-trailer',
  },
  { name: 'Cookie in a trailer', text: `${CHUNKED}0\r\ncookie: a=b\r\n\r\n`, reason: 'forbidden-trailer' },
  { name: 'Host in a trailer', text: `${CHUNKED}0\r\nHost: b\r\n\r\n`, reason: 'forbidden-trailer' },
  {
    name: 'Content-Length in a trailer',
    text: `${CHUNKED}0\r\nContent-Length: 5\r\n\r\n`,
    reason: 'forbidden-trailer',
  },
  {
    name: 'Transfer-Encoding in a trailer',
    text: `${CHUNKED}0\r\nTransfer-Encoding: chunked\r\n\r\n`,
    reason: 'forbidden-trailer',
  },
  {
    name: 'Transfer_Encoding in a trailer',
    text: `${CHUNKED}0\r\nTransfer_Encoding: chunked\r\n\r\n`,
    reason: 'underscore-header',
  },
  { name: 'a trailer without colon', text: `${CHUNKED}0\r\n${SMUGGLED}`, reason: 'bad-trailer' },
  { name: 'a folded trailer', text: `${CHUNKED}0\r\nx: y\r\n z\r\n\r\n`, reason: 'folded-header' },
  { name: 'a trailer with a bare LF', text: `${CHUNKED}0\r\nx: y\n\r\n`, reason: 'bare-lf' },
  { name: 'a trailer with a NUL', text: `${CHUNKED}0\r\nx: \0\r\n\r\n`, reason: 'bad-trailer' },
  { name: 'a flood of trailers', text: `${CHUNKED}0\r\n${'x: y\r\n'.repeat(33)}\r\n`, reason: 'trailers-too-long' },
  { name: 'a long trailer', text: `${CHUNKED}0\r\nx: ${'y'.repeat(4_096)}\r\n\r\n`, reason: 'trailers-too-long' },

  // Bodies where there is none.
  {
    name: 'TRACE with a body',
    text: 'TRACE / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\na',
    reason: 'body-not-allowed',
  },
  {
    name: 'a WebSocket handshake with a body',
    text: `${GET}Connection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\nContent-Length: 1\r\n\r\na`,
    reason: 'bad-upgrade',
  },

  // What comes after.
  {
    name: 'a body longer than its length',
    text: `${POST}Content-Length: 1\r\n\r\n!\0\0`,
    reason: 'bad-method',
    before: 1,
  },
  { name: 'a head cut short', text: `${GET}x:`, reason: 'truncated-head' },
  { name: 'a body cut short', text: `${POST}Content-Length: 5\r\n\r\nabcd`, reason: 'truncated-body', before: 1 },
  { name: 'a chunked body cut short', text: `${CHUNKED}5\r\nabcde\r\n`, reason: 'truncated-body', before: 1 },
]

for (const { name, text, reason, before = 0 } of REQUESTS) {
  test(`T15: ${name} is refused: ${reason}`, () => {
    const { messages, problem: found } = readRequests([octets(text)])
    assert.equal(found, reason)
    assert.ok(messages.length <= before, 'something was taken for a whole message')
  })
}

const OK = 'HTTP/1.1 200 OK\r\n'
const OK_CHUNKED = `${OK}Transfer-Encoding: chunked\r\n\r\n`

const RESPONSES: readonly (Attack & { readonly method?: string })[] = [
  {
    name: 'CL and TE',
    text: `${OK}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n${END}`,
    reason: 'te-and-cl',
  },
  { name: 'CL twice', text: `${OK}Content-Length: 5\r\nContent-Length: 6\r\n\r\n`, reason: 'duplicate-content-length' },
  {
    name: 'CL twice, equal',
    text: `${OK}Content-Length: 5\r\nContent-Length: 5\r\n\r\n`,
    reason: 'duplicate-content-length',
  },
  { name: 'CL as a list', text: `${OK}Content-Length: 5, 5\r\n\r\n`, reason: 'bad-content-length' },
  { name: 'CL with a plus', text: `${OK}Content-Length: +5\r\n\r\n`, reason: 'bad-content-length' },
  {
    name: 'TE twice',
    text: `${OK}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n${END}`,
    reason: 'duplicate-transfer-encoding',
  },
  {
    name: 'TE gzip, chunked',
    text: `${OK}Transfer-Encoding: gzip, chunked\r\n\r\n${END}`,
    reason: 'bad-transfer-encoding',
  },
  {
    name: 'TE on HTTP/1.0',
    text: `HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${END}`,
    reason: 'te-on-http10',
  },
  {
    name: 'TE to HEAD on HTTP/1.0',
    text: 'HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n',
    reason: 'te-on-http10',
    method: 'HEAD',
  },
  {
    name: 'a 204 with a length',
    text: 'HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nabcde',
    reason: 'body-not-allowed',
  },
  {
    name: 'a 204 with chunks',
    text: `HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n${END}`,
    reason: 'body-not-allowed',
  },
  {
    name: 'a 100 with a length',
    text: `HTTP/1.1 100 Continue\r\nContent-Length: 5\r\n\r\nabcde${OK}\r\n`,
    reason: 'body-not-allowed',
  },
  {
    name: 'a 103 with chunks',
    text: `HTTP/1.1 103 Early Hints\r\nTransfer-Encoding: chunked\r\n\r\n${END}`,
    reason: 'body-not-allowed',
  },
  { name: 'a 100 of HTTP/1.0', text: `HTTP/1.0 100 Continue\r\n\r\n${OK}\r\n`, reason: 'bad-status' },
  {
    name: 'a 100 that closes',
    text: `HTTP/1.1 100 Continue\r\nConnection: close\r\n\r\n${OK}\r\n`,
    reason: 'bad-connection-header',
  },
  {
    name: 'a 101 that nobody asked for',
    text: 'HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n',
    reason: 'unexpected-upgrade',
  },
  { name: 'a header that splits by LF', text: `${OK}x: y\nSet-Cookie: a=b\r\n\r\n`, reason: 'bare-lf' },
  { name: 'a header that splits by CR', text: `${OK}x: y\rSet-Cookie: a=b\r\n\r\n`, reason: 'bare-cr' },
  { name: 'a NUL in a value', text: `${OK}x: \0\r\n\r\n`, reason: 'bad-header-value' },
  { name: 'a folded line', text: `${OK}x: y\r\n z\r\n\r\n`, reason: 'folded-header' },
  { name: 'a space before the colon', text: `${OK}Content-Length : 0\r\n\r\n`, reason: 'space-before-colon' },
  { name: 'a line without colon', text: `${OK}HTTP/1.1 200 OK\r\n\r\n`, reason: 'bad-header-name' },
  { name: 'a control character in the reason phrase', text: 'HTTP/1.1 200 O\x07K\r\n\r\n', reason: 'bad-status-line' },
  { name: 'LF alone after the status line', text: 'HTTP/1.1 200 OK\nx: y\r\n\r\n', reason: 'bare-lf' },
  { name: 'LF alone after the status', text: 'HTTP/1.1 200\nx: y\r\n\r\n', reason: 'bare-lf' },
  { name: 'a status of two digits', text: 'HTTP/1.1 20 OK\r\n\r\n', reason: 'bad-status' },
  { name: 'a status of four digits', text: 'HTTP/1.1 2000 OK\r\n\r\n', reason: 'bad-status-line' },
  { name: 'a status with a sign', text: 'HTTP/1.1 +20 OK\r\n\r\n', reason: 'bad-status' },
  { name: 'a status with a point', text: 'HTTP/1.1 2.0 OK\r\n\r\n', reason: 'bad-status' },
  { name: 'a status with an exponent', text: 'HTTP/1.1 2e2 OK\r\n\r\n', reason: 'bad-status' },
  { name: 'a status in hexadecimal', text: 'HTTP/1.1 0xC OK\r\n\r\n', reason: 'bad-status' },
  { name: 'status 099', text: 'HTTP/1.1 099 OK\r\n\r\n', reason: 'bad-status' },
  { name: 'status 600', text: 'HTTP/1.1 600 OK\r\n\r\n', reason: 'bad-status' },
  { name: 'HTTP/2', text: 'HTTP/2.0 200 OK\r\n\r\n', reason: 'bad-status-line' },
  { name: 'HTTP/1.2', text: 'HTTP/1.2 200 OK\r\n\r\n', reason: 'bad-version' },
  { name: 'no status line at all', text: 'SSH-2.0-OpenSSH_9.6\r\n\r\n', reason: 'bad-status-line' },
  {
    name: 'an empty line before the status line',
    text: `\r\n${OK}Content-Length: 0\r\n\r\n`,
    reason: 'bad-status-line',
  },
  {
    name: 'Connection that names Set-Cookie',
    text: `${OK}Connection: set-cookie\r\nContent-Length: 0\r\n\r\n`,
    reason: 'connection-names-protected-header',
  },
  { name: 'a bad chunk size', text: `${OK_CHUNKED}g\r\n`, reason: 'bad-chunk-size' },
  { name: 'a chunk that is too long', text: `${OK_CHUNKED}1\r\nab\r\n${END}`, reason: 'bad-chunk-end' },
  { name: 'a chunk size that wraps round', text: `${OK_CHUNKED}ffffffffffffffff\r\n`, reason: 'chunk-too-big' },
  { name: 'chunks cut short', text: `${OK_CHUNKED}5\r\nabcde\r\n`, reason: 'truncated-body' },
  { name: 'a length cut short', text: `${OK}Content-Length: 5\r\n\r\nabcd`, reason: 'truncated-body' },
  { name: 'a head cut short', text: `${OK}Content-Le`, reason: 'truncated-head' },
  { name: 'too many headers', text: `${OK}${'x: y\r\n'.repeat(101)}\r\n`, reason: 'too-many-headers' },
  { name: 'a head that is too long', text: `${OK}x: ${'y'.repeat(16_384)}\r\n\r\n`, reason: 'head-too-long' },
]

for (const { name, text, reason, method } of RESPONSES) {
  test(`T15: from an upstream, ${name} is refused: ${reason}`, () => {
    const { messages, problem: found } = readResponse([octets(text)], method)
    assert.equal(found, reason)
    assert.ok(messages.every(({ complete }) => !complete))
    assert.equal(problem('upstream', reason).status, 502)
  })
}

test('T15: what follows a complete message is left for the next one, to the octet', () => {
  const first = `${POST}Content-Length: 3\r\n\r\nabc`
  const { messages, consumed, problem: found } = readRequests([octets(first + SMUGGLED)])
  assert.equal(found, undefined)
  assert.deepEqual(
    messages.map(({ head, body }) => [head.path, body]),
    [
      ['/', 'abc'],
      ['/admin', ''],
    ],
  )
  assert.equal(consumed, first.length + SMUGGLED.length)
})

test('T15: a second answer is never taken for part of the first', () => {
  const answer = `${OK}Content-Length: 2\r\n\r\nok`
  const { messages, consumed } = readResponse([octets(answer + answer)])
  assert.equal(messages.length, 1)
  assert.equal(messages[0]?.body, 'ok')
  assert.equal(consumed, answer.length)
})

test('T15: once a message was refused, nothing of the connection is read any more', () => {
  assert.equal(readRequests([octets(`${GET}x : y\r\n\r\n`), octets(SMUGGLED)]).messages.length, 0)
})

test('a length of 2^53-1 is a length', () => {
  const { messages } = readRequests([octets(`${POST}Content-Length: 9007199254740991\r\n\r\n`)])
  assert.deepEqual(messages[0]?.head.framing, { kind: 'length', bytes: Number.MAX_SAFE_INTEGER })
})
