import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from '#fast-check'
import { bodyReader } from './body.ts'
import { encodeChunk, LAST_CHUNK } from './chunk.ts'
import type { Framing } from './message.ts'
import { problem } from './problem.ts'
import { cutAt, octets } from './testing/transcript.ts'

function read(framing: Framing, chunks: readonly Buffer[]) {
  const reader = bodyReader(framing, 'client')
  const slices: Buffer[] = []
  const sink = { onBody: (chunk: Buffer, start: number, end: number) => void slices.push(chunk.subarray(start, end)) }
  const offsets = chunks.map((chunk) => reader.read(chunk, 0, chunk.length, sink))
  return { body: Buffer.concat(slices).toString('latin1'), slices, offsets, done: reader.done, close: reader.close() }
}

const CHUNKED: Framing = { kind: 'chunked' }

test('a chunked body is handed on as slices of what was read, without a copy', () => {
  const bytes = octets('5\r\nhello\r\n6;a=b\r\n world\r\n0\r\nx: y\r\n\r\nnext')
  const { body, slices, offsets, done } = read(CHUNKED, [bytes])
  assert.equal(body, 'hello world')
  assert.deepEqual(offsets, [bytes.length - 'next'.length])
  assert.equal(done, true)
  assert.ok(slices.every(({ buffer }) => buffer === bytes.buffer))
})

test('a body of a length ends there, and says when it was cut short', () => {
  const whole = read({ kind: 'length', bytes: 5 }, [octets('he'), octets('llo!')])
  assert.deepEqual([whole.body, whole.offsets, whole.done, whole.close], ['hello', [2, 3], true, undefined])
  const cut = read({ kind: 'length', bytes: 5 }, [octets('hell')])
  assert.deepEqual([cut.done, cut.close], [false, problem('client', 'truncated-body')])
})

test('no body takes nothing', () => {
  for (const framing of [{ kind: 'none' }, { kind: 'length', bytes: 0 }] as const) {
    const { body, offsets, done } = read(framing, [octets('next')])
    assert.deepEqual([body, offsets, done], ['', [0], true])
  }
})

test('a body until close takes everything and is done by the close', () => {
  const reader = bodyReader({ kind: 'until-close' }, 'upstream')
  let size = 0
  const sink = { onBody: (_chunk: Buffer, start: number, end: number) => (size += end - start) }
  assert.equal(reader.read(octets('abc'), 0, 3, sink), 3)
  assert.equal(reader.read(octets(''), 0, 0, sink), 0)
  assert.equal(reader.done, false)
  assert.equal(reader.close(), undefined)
  assert.equal(reader.done, true)
  assert.equal(size, 3)
})

test('short extensions are read past, chunk after chunk', () => {
  const bytes = octets(`${`1;${'a'.repeat(200)}\r\nb\r\n`.repeat(10)}0\r\n\r\n`)
  const { body, done } = read(CHUNKED, [bytes])
  assert.deepEqual([body, done], ['b'.repeat(10), true])
})

test('after a problem a body stays refused', () => {
  const reader = bodyReader(CHUNKED, 'upstream')
  const sink = { onBody: () => assert.fail('nothing of this is body') }
  const refused = problem('upstream', 'bad-chunk-size')
  assert.equal(reader.read(octets('x'), 0, 1, sink), refused)
  assert.equal(reader.read(octets('1\r\na\r\n'), 0, 6, sink), refused)
  assert.equal(reader.close(), refused)
})

test('what is encoded is what is decoded, however it is cut', () => {
  const piece = fc.uint8Array({ maxLength: 50 }).map((bytes) => Buffer.from(bytes))
  const writes = fc.array(fc.array(piece, { maxLength: 3 }), { maxLength: 4 })
  fc.assert(
    fc.property(writes, fc.array(fc.nat(300)), (parts, cuts) => {
      const bytes = Buffer.concat([...parts.map((slices) => encodeChunk(slices, false)), LAST_CHUNK])
      const { body, done, close } = read(
        CHUNKED,
        cutAt(
          bytes,
          cuts.filter((cut) => cut < bytes.length),
        ),
      )
      assert.deepEqual([body, done, close], [Buffer.concat(parts.flat()).toString('latin1'), true, undefined])
    }),
  )
})

test('chunks are written as RFC 9112, 7.1 has them', () => {
  assert.equal(
    String(encodeChunk([octets('hello'), octets(' world, well met')], false)),
    '15\r\nhello world, well met\r\n',
  )
  assert.equal(String(encodeChunk([octets('a')], true)), '1\r\na\r\n0\r\n\r\n')
  assert.equal(String(encodeChunk([], true)), '0\r\n\r\n')
  assert.equal(encodeChunk([], false).length, 0, 'an empty chunk would end the body')
  assert.equal(
    encodeChunk([Buffer.alloc(4096)], false)
      .subarray(0, 6)
      .toString(),
    '1000\r\n',
  )
})

test('T12: forwarding and identity headers in trailers are dropped with all the others', () => {
  const { body, done } = read(CHUNKED, [
    octets('0\r\nX-Forwarded-For: 1\r\nx-forwarded-client-cert: By=x\r\nGrpc-Status: 0\r\n\r\n'),
  ])
  assert.deepEqual([body, done], ['', true])
})

test('T12: a trailer spelled with an underscore like one of those is refused', () => {
  const { offsets } = read(CHUNKED, [octets('0\r\nX_Forwarded_For: 1\r\n\r\n')])
  assert.deepEqual(offsets, [problem('client', 'underscore-header')])
})
