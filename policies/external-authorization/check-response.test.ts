import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { BinaryWriter } from '@bufbuild/protobuf/wire'
import fc from '#fast-check'
import { readCheckResponse } from './check-response.ts'

const ALL = { upstream: undefined, client: undefined }

/** Fields of length-delimited messages, by number. */
const fields = (...list: readonly (readonly [number, Uint8Array | string | number])[]): Uint8Array => {
  const writer = new BinaryWriter()
  for (const [field, value] of list) {
    if (typeof value === 'number') writer.tag(field, 0).int32(value)
    else if (typeof value === 'string') writer.tag(field, 2).string(value)
    else writer.tag(field, 2).bytes(value)
  }
  return writer.finish()
}
const header = (key: string, value: string, action: number) => fields([1, fields([1, key], [2, value])], [3, action])

describe('a CheckResponse', () => {
  it('allows where it says nothing, for that is status 0', () => {
    assert.equal(readCheckResponse(new Uint8Array(), ALL).kind, 'allowed')
  })

  it('has headers replaced, added or overwritten as each of them says', () => {
    const headers = [0, 1, 2, 3].map((action) => [2, header(`x-${action}`, 'v', action)] as const)
    const answer = readCheckResponse(fields([3, fields(...headers)]), ALL)
    assert.ok(answer.kind === 'allowed')
    assert.deepEqual(
      answer.upstreamHeaders.map(({ name, how }) => `${name} ${how}`),
      ['x-0 set', 'x-1 add', 'x-2 set', 'x-3 overwrite'],
    )
  })

  it('is unusable where it asks for what is not known', () => {
    const unknownAction = fields([3, fields([2, header('x-a', 'v', 9)])])
    const laterKindOfAnswer = fields([9, fields([1, 'x'])])
    const longerThanItIs = Uint8Array.of(0x1a, 0x7f, 0x12)
    for (const bytes of [unknownAction, laterKindOfAnswer, longerThanItIs]) {
      const answer = readCheckResponse(bytes, ALL)
      assert.ok(answer.kind === 'none' && answer.reason === 'unusable', JSON.stringify(answer))
    }
  })

  it('never throws, whatever the bytes, and never tells a header that could split a message', () => {
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 64 }),
      fc
        .array(fc.tuple(fc.string({ maxLength: 8 }), fc.string({ maxLength: 8 }), fc.nat(4)), { maxLength: 4 })
        .map((list) =>
          fields([3, fields(...list.map(([key, value, action]) => [2, header(key, value, action)] as const))]),
        ),
    )
    fc.assert(
      fc.property(bytes, (some) => {
        const answer = readCheckResponse(some, ALL)
        if (answer.kind !== 'allowed') return
        for (const { name, value } of answer.upstreamHeaders) assert.doesNotMatch(name + value, /[\r\n\0]/)
      }),
    )
  })
})
