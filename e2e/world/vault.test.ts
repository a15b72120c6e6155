import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { test } from 'node:test'
import { createVault } from './vault.ts'

function finds(secret: string, text: string): boolean {
  const vault = createVault()
  vault.keep('it', secret)
  return [...vault.needles().keys()].some((needle) => text.includes(needle))
}

test('T31: a token is found by its payload or its signature alone', () => {
  const token = 'eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJlLXNpZ25hdHVyZQ'
  assert.ok(finds(token, `header ${token} footer`))
  assert.ok(finds(token, 'eyJzdWIiOiJhbGljZSJ9'))
  assert.ok(finds(token, 'c2lnbmF0dXJlLXNpZ25hdHVyZQ'))
  assert.ok(!finds(token, 'eyJhbGciOiJFUzI1NiJ9'), 'its header is no secret')
})

test('T31: a private key is found in PEM, in JSON and in one line of it, and not by what all keys begin with', () => {
  const make = () =>
    generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ type: 'pkcs8', format: 'pem' })
  const [own, other] = [String(make()), String(make())]
  assert.ok(finds(own, own))
  assert.ok(finds(own, JSON.stringify({ key: own })))
  assert.ok(finds(own, own.split('\n')[2] ?? ''))
  assert.ok(!finds(own, other))
})

test('T31: what is too short to be found but by chance is not looked for', () => {
  const vault = createVault()
  vault.keep('short', 'abc')
  assert.equal(vault.needles().size, 0)
})
