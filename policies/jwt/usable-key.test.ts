import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { test } from 'node:test'
import { ALGORITHMS } from './algorithms.ts'
import { usableKey } from './usable-key.ts'

const jwkOf = (key: { export(options: { format: 'jwk' }): object }) =>
  key.export({ format: 'jwk' }) as Record<string, unknown>

const P256 = jwkOf(generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey)
const P384 = jwkOf(generateKeyPairSync('ec', { namedCurve: 'P-384' }).publicKey)
const P521 = jwkOf(generateKeyPairSync('ec', { namedCurve: 'P-521' }).publicKey)
const ED25519 = jwkOf(generateKeyPairSync('ed25519').publicKey)
const RSA = jwkOf(generateKeyPairSync('rsa', { modulusLength: 2048 }).publicKey)

const algorithmsOf = (jwk: Record<string, unknown>, allowed = ALGORITHMS as readonly (typeof ALGORITHMS)[number][]) => {
  const usable = usableKey(jwk, allowed)
  return usable.ok ? usable.algorithms : usable.reason
}

test('T21: the algorithm is that of the key, by type and curve', () => {
  assert.deepEqual(algorithmsOf(P256), ['ES256'])
  assert.deepEqual(algorithmsOf(P384), ['ES384'])
  assert.deepEqual(algorithmsOf(P521), ['ES512'])
  assert.deepEqual(algorithmsOf(ED25519), ['EdDSA', 'Ed25519'])
  assert.deepEqual(algorithmsOf({ ...RSA, alg: 'PS384' }), ['PS384'])
  assert.deepEqual(algorithmsOf({ ...ED25519, alg: 'EdDSA' }), ['EdDSA'])
})

test('T21: an RSA key that names no algorithm is for one only, the first that its issuer is allowed', () => {
  assert.deepEqual(algorithmsOf(RSA, ['ES256', 'PS256', 'RS256']), ['PS256'])
  assert.deepEqual(algorithmsOf(RSA, ['RS256', 'PS256']), ['RS256'])
})

test('T21: symmetric and private keys are never used', () => {
  const refused = 'is not a public key'
  assert.equal(algorithmsOf({ kty: 'oct', k: 'c2VjcmV0', alg: 'HS256' }), refused)
  assert.equal(algorithmsOf({ ...P256, d: 'AAAA' }), refused)
  assert.equal(algorithmsOf({ ...RSA, k: 'c2VjcmV0' }), refused)
  assert.match(String(algorithmsOf({ kty: 'oct' })), /type or curve/)
})

test('T21: use and key_ops must allow verifying', () => {
  assert.deepEqual(algorithmsOf({ ...P256, use: 'sig', key_ops: ['verify'] }), ['ES256'])
  assert.match(String(algorithmsOf({ ...P256, use: 'enc' })), /not for signatures/)
  assert.match(String(algorithmsOf({ ...P256, use: ['sig'] })), /not for signatures/)
  assert.match(String(algorithmsOf({ ...P256, key_ops: ['encrypt'] })), /not for verifying/)
  assert.match(String(algorithmsOf({ ...P256, key_ops: 'verify' })), /not for verifying/)
})

test('T21: an alg that does not fit the type is no key at all', () => {
  for (const alg of ['RS256', 'ES384', 'HS256', 'none', 'es256', '', 7, ['ES256']]) {
    assert.match(String(algorithmsOf({ ...P256, alg })), /alg that does not fit/, String(alg))
  }
  assert.match(String(algorithmsOf({ ...RSA, alg: 'RSA-OAEP' })), /alg that does not fit/)
})

test('a key of an algorithm that the issuer is not allowed is not used', () => {
  assert.match(String(algorithmsOf(P256, ['RS256'])), /not allowed/)
  assert.match(String(algorithmsOf({ ...RSA, alg: 'RS256' }, ['PS256'])), /not allowed/)
})

test('unknown types, unknown curves and incomplete keys are not used', () => {
  const { y: _y, ...withoutY } = P256
  for (const jwk of [
    {},
    { kty: 'EC', crv: 'secp256k1', x: P256['x'], y: P256['y'] },
    { ...P256, kty: 'ec' },
    { ...P256, crv: 'P-384' },
    withoutY,
    { ...P256, x: `${P256['x']}=` },
    { ...P256, x: (P256['x'] as string).slice(1) },
    { ...ED25519, crv: 'X25519' },
    { ...ED25519, crv: 'Ed448' },
    { ...RSA, n: (RSA['n'] as string).slice(0, 171) },
    { ...RSA, e: '' },
    { ...RSA, e: 65537 },
    { ...P256, kid: 7 },
    Object.create(P256) as Record<string, unknown>,
  ]) {
    assert.equal(usableKey(jwk, ALGORITHMS).ok, false, JSON.stringify(jwk))
  }
})
