import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from '#fast-check'
import { mutated, requestOctets, responseOctets } from './testing/messages.ts'
import { cutAt, eachOctet, octets, readRequests, readResponse } from './testing/transcript.ts'

test('what is read of requests does not depend on how their octets are cut', () => {
  const messages = fc.oneof(requestOctets, mutated(requestOctets))
  fc.assert(
    fc.property(messages, fc.array(fc.nat(400), { maxLength: 5 }), (bytes, cuts) => {
      const whole = readRequests([bytes])
      assert.deepEqual(readRequests(eachOctet(bytes)), whole)
      assert.deepEqual(
        readRequests(
          cutAt(
            bytes,
            cuts.filter((cut) => cut < bytes.length),
          ),
        ),
        whole,
      )
    }),
    { numRuns: 500 },
  )
})

test('what is read of responses does not depend on how their octets are cut', () => {
  const messages = fc.oneof(responseOctets, mutated(responseOctets))
  fc.assert(
    fc.property(messages, fc.array(fc.nat(400), { maxLength: 5 }), (bytes, cuts) => {
      const whole = readResponse([bytes])
      assert.deepEqual(readResponse(eachOctet(bytes)), whole)
      assert.deepEqual(
        readResponse(
          cutAt(
            bytes,
            cuts.filter((cut) => cut < bytes.length),
          ),
        ),
        whole,
      )
    }),
    { numRuns: 500 },
  )
})

test('a request cut in two at any place is read like the whole', () => {
  const bytes = octets(
    '\r\nPOST /a//b?c HTTP/1.1\r\nHost: Shop.Example\r\nX-One:  1 \r\nConnection: x-one\r\nTransfer-Encoding: chunked\r\n\r\n' +
      '4;a="b"\r\nbody\r\n0\r\nx: y\r\n\r\nGET / HTTP/1.0\r\n\r\n',
  )
  const whole = readRequests([bytes])
  assert.equal(whole.messages.length, 2)
  assert.equal(whole.consumed, bytes.length)
  for (const cut of bytes.keys()) assert.deepEqual(readRequests(cutAt(bytes, [cut])), whole, `cut at ${cut}`)
})

test('a head beyond its bounds is refused with the same reason however it is cut', () => {
  for (const text of [
    `GET /${'a'.repeat(9_000)} HTTP/1.1\r\nHost: a\r\n\r\n`,
    `GET / HTTP/1.1\r\nHost: a\r\nx: ${'a'.repeat(17_000)}\r\n\r\n`,
    `GET / HTTP/1.1\r\nHost: a\r\n${'x: y\r\n'.repeat(100)}\r\n`,
    `GET / HTTP/1.1\r\nHost: a\r\n${`x: ${'a'.repeat(2_000)}\r\n`.repeat(9)}\r\n`,
  ]) {
    const bytes = octets(text)
    const whole = readRequests([bytes])
    assert.notEqual(whole.problem, undefined)
    assert.deepEqual(readRequests(eachOctet(bytes)), whole)
    assert.deepEqual(readRequests(cutAt(bytes, [1, 8_000, 16_383, 16_384])), whole)
  }
})

test('a head may be exactly as long as the limit', () => {
  const fixed = 'GET / HTTP/1.1\r\nHost: a\r\nx: \r\n\r\n'
  const text = (length: number) => fixed.replace('x: ', `x: ${'a'.repeat(length - fixed.length)}`)
  for (const cut of [octets, (whole: string) => octets(`${whole}rest`)]) {
    assert.equal(readRequests([cut(text(16_384))]).messages.length, 1)
    assert.equal(readRequests([cut(text(16_385))]).problem, 'head-too-long')
  }
  assert.equal(readRequests(eachOctet(octets(text(16_384)))).messages.length, 1)
})

test('a head sent octet by octet costs time in proportion to its length', () => {
  const fastest = (length: number) => {
    const chunks = eachOctet(octets(`GET / HTTP/1.1\r\nHost: a\r\nx: ${'a'.repeat(length)}\r\n\r\n`))
    const times = Array.from({ length: 7 }, () => {
      const start = process.hrtime.bigint()
      assert.equal(readRequests(chunks).messages.length, 1)
      return Number(process.hrtime.bigint() - start)
    })
    return Math.min(...times)
  }
  fastest(4_000)
  const short = fastest(1_000)
  // Sixteen times as long; two hundred and fifty-six times as much if each octet had the whole head read again.
  assert.ok(fastest(16_000) < short * 100)
})
