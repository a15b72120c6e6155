import assert from 'node:assert/strict'
import { test } from 'node:test'
import { hashPassword } from '../testing/secrets.ts'
import { isPassword, parseUsers } from './users.ts'

test('only the right password of a user who exists is right', async () => {
  const users = parseUsers(JSON.stringify({ alice: hashPassword('correct horse', 15, 3), bob: hashPassword('x') }))
  assert.equal(await isPassword(users, 'alice', 'correct horse'), true)
  assert.equal(await isPassword(users, 'alice', 'battery staple'), false)
  assert.equal(await isPassword(users, 'bob', 'correct horse'), false)
  assert.equal(await isPassword(users, 'carol', 'correct horse'), false)
  assert.equal(await isPassword(users, 'alice', ''), false)
})

test('a hash of RFC 7914 is understood', async () => {
  // RFC 7914, 12: scrypt("pleaseletmein", "SodiumChloride", N=16384, r=8, p=1), its first 32 bytes.
  const key = Buffer.from('7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2', 'hex')
  const text = (bytes: Buffer) => bytes.toString('base64').replace(/=+$/, '')
  const padded = Buffer.from('SodiumChloride')
  const hash = `$scrypt$ln=14,r=8,p=1$${text(padded)}$${text(key)}`
  assert.throws(() => parseUsers(JSON.stringify({ alice: hash })), /hash of alice/, 'a salt of 14 bytes is too short')
  const users = new Map([['alice', { ln: 14, r: 8, p: 1, salt: padded, key }]])
  assert.equal(await isPassword(users, 'alice', 'pleaseletmein'), true)
})

test('a hash that is none is refused, and not shown', () => {
  for (const hash of ['plain-password', '$scrypt$ln=15,r=8,p=3$$', '$2b$10$abcdefghijklmnopqrstuv', 7]) {
    assert.throws(
      () => parseUsers(JSON.stringify({ alice: hash })),
      (error: Error) => error.message.includes('alice') && !error.message.includes('plain-password'),
    )
  }
})
