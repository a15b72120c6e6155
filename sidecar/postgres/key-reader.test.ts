import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from '#fast-check'
import { CancelKeys } from './cancel-keys.ts'
import { KeyReader } from './key-reader.ts'

function said(type: string, body: Buffer | string): Buffer {
  const bytes = Buffer.from(body as string, 'latin1')
  const head = Buffer.alloc(5)
  head.write(type, 'latin1')
  head.writeUInt32BE(bytes.length + 4, 1)
  return Buffer.concat([head, bytes])
}

const KEY = Buffer.from('0000aabb11223344', 'hex')
const GREETING = [said('R', '\0\0\0\0'), said('S', 'server_version\x0018.0\0'), said('N', '')]
const READY = said('Z', 'I')

function keyIn(bytes: Buffer, size = bytes.length): string | undefined {
  const reader = new KeyReader()
  for (let at = 0; at < bytes.length; at += size) {
    const chunk = bytes.subarray(at, at + size)
    if (reader.push(chunk, chunk.length)) break
  }
  return reader.key
}

test('the key is found among what a server says first, however it is cut', () => {
  const bytes = Buffer.concat([...GREETING, said('K', KEY), READY])
  fc.assert(
    fc.property(fc.integer({ min: 1, max: bytes.length }), (size) => {
      assert.equal(keyIn(bytes, size), KEY.toString('hex'))
    }),
  )
})

test('nothing is looked for once the session is ready or refused, nor in what is no key', () => {
  const after = said('K', KEY)
  assert.equal(keyIn(Buffer.concat([...GREETING, READY, after])), undefined)
  assert.equal(keyIn(Buffer.concat([said('E', 'SFATAL\0\0'), after])), undefined)
  for (const length of [4, 7, 261])
    assert.equal(keyIn(Buffer.concat([said('K', Buffer.alloc(length)), after])), undefined)
  assert.equal(keyIn(Buffer.from('R\0\0\0\x03')), undefined, 'shorter than its own length')
})

test('a server that says much before it is ready is not listened to for ever', () => {
  const reader = new KeyReader()
  const much = said('N', Buffer.alloc(65_536))
  let pushes = 0
  while (!reader.push(much, much.length)) pushes += 1
  assert.ok(pushes < 20, String(pushes))
})

test('a key is of the caller whose session it is, for as long as that lasts', () => {
  const keys = new CancelKeys()
  const forget = keys.add('aa', 'orders')
  assert.equal(keys.belongsTo('aa', 'orders'), true)
  assert.equal(keys.belongsTo('aa', 'catalog'), false)
  assert.equal(keys.belongsTo('aa', undefined), false)
  assert.equal(keys.belongsTo('bb', 'orders'), false)
  forget()
  assert.equal(keys.belongsTo('aa', 'orders'), false)
  for (let i = 0; i < 1_000; i += 1) keys.add(String(i), 'orders')()
  assert.equal(keys.size, 0)
})

test('a process id that came again is of its new session', () => {
  const keys = new CancelKeys()
  const forget = keys.add('aa', 'orders')
  keys.add('aa', 'reports')
  forget()
  assert.equal(keys.belongsTo('aa', 'reports'), true)
})
