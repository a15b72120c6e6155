import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from '#fast-check'
import { compareRequests, compareResponse } from './testing/compare.ts'
import { mutated, requestOctets, responseOctets } from './testing/messages.ts'
import { octets } from './testing/transcript.ts'

const RUNS = 1_500

test('T15: no request is accepted that llhttp refuses, and none is framed in another way', async () => {
  await accepted(mutated(requestOctets), compareRequests)
})

test('T15: requests of our own grammar are accepted by both, with the same framing', async () => {
  const count = await accepted(requestOctets, compareRequests)
  assert.ok(count > RUNS / 2, `only ${count} messages were accepted: the test compares nothing`)
})

for (const method of ['GET', 'HEAD']) {
  const compareResponses = (bytes: Buffer) => compareResponse(bytes, method)

  test(`T15: no response to ${method} is accepted that llhttp refuses, and none is framed in another way`, async () => {
    await accepted(mutated(responseOctets), compareResponses)
  })

  test(`T15: responses to ${method} of our own grammar are accepted by both, with the same framing`, async () => {
    const count = await accepted(responseOctets, compareResponses)
    assert.ok(count > RUNS / 2, `only ${count} messages were accepted: the test compares nothing`)
  })
}

test('T15: no single octet, put anywhere into a message, sets us and llhttp apart', async () => {
  for (const text of REQUESTS) for (const bytes of withEachOctet(octets(text))) await compareRequests(bytes)
  for (const text of RESPONSES) for (const bytes of withEachOctet(octets(text))) await compareResponse(bytes, 'GET')
})

const REQUESTS = [
  'POST /a?b HTTP/1.1\r\nHost: a:1\r\nContent-Length: 10\r\nx: y \r\n\r\n0123456789GET / HTTP/1.1\r\nHost: a\r\n\r\n',
  'PUT http://a/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n10;a=b;c="d"\r\n0123456789abcdef\r\n0\r\nt: u\r\n\r\n',
]
const RESPONSES = [
  'HTTP/1.1 103\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 10\r\nx: y\r\n\r\n0123456789',
  'HTTP/1.1 200 OK\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n1;a\r\n0\r\n0\r\n\r\n',
  'HTTP/1.0 200 OK\r\nx: y\r\n\r\n01',
]

/** Control characters, what separates things in HTTP, and one of every other kind. */
const SUSPECTS = octets('\0\x01\t\n\v\f\r\x1b !"#%&()*+,-./01:;<=?@AFG\\]^_`ag{|}~\x7f\x80\x85\xa0\xff')

/** Each suspect in place of each octet, and between each two. */
function* withEachOctet(bytes: Buffer): Generator<Buffer> {
  for (let at = 0; at <= bytes.length; at++) {
    for (const octet of SUSPECTS) {
      const suspect = Buffer.of(octet)
      yield Buffer.concat([bytes.subarray(0, at), suspect, bytes.subarray(at + 1)])
      yield Buffer.concat([bytes.subarray(0, at), suspect, bytes.subarray(at)])
    }
  }
}

/** How many messages both accepted, over all runs. */
async function accepted(messages: fc.Arbitrary<Buffer>, compared: (bytes: Buffer) => Promise<number>): Promise<number> {
  let count = 0
  const property = fc.asyncProperty(messages, async (bytes) => {
    count += await compared(bytes)
  })
  await fc.assert(property, { numRuns: RUNS })
  return count
}
