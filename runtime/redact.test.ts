import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from '#fast-check'
import { isSecretName, REDACTED, redact, redactText } from './redact.ts'

const TOKEN = 'eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJl'
const KEY = '-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMG\n-----END PRIVATE KEY-----'

test('T31: values under secret-bearing names are never printed, however the name is spelled', () => {
  for (const name of [
    'authorization',
    'Proxy-Authorization',
    'http.request.headers.cookie',
    'set-cookie',
    'access_token',
    'refreshToken',
    'joinToken',
    'password',
    'db.password',
    'client_secret',
    'privateKey',
    'private_key',
    'http.request.body',
    'x-api-key',
    'code_verifier',
    'client_assertion',
  ]) {
    assert.equal(isSecretName(name), true, name)
    assert.deepEqual(redact({ [name]: 'hunter2' }), { [name]: REDACTED })
  }
})

test('names of ordinary facts are left alone', () => {
  for (const name of [
    'hauberk.tokens',
    'kid',
    'key_id',
    'http.request.body.bytes',
    'rule',
    'issuer',
    'policy',
    'path',
  ]) {
    assert.equal(isSecretName(name), false, name)
  }
})

test('T31: tokens, credentials, URL passwords and private keys are cut out of any text', () => {
  assert.equal(redactText(`rejected ${TOKEN}, sorry`), `rejected ${REDACTED}, sorry`)
  assert.equal(redactText('got Bearer abcdefgh1234 here'), `got ${REDACTED} here`)
  assert.equal(redactText('http://orders:s3cret@127.0.0.1:15001/x'), `http://orders:${REDACTED}@127.0.0.1:15001/x`)
  assert.equal(redactText(`read ${KEY}`), `read ${REDACTED}`)
  assert.equal(redactText(`cut short ${KEY.slice(0, 40)}`), `cut short ${REDACTED}`)
})

test('text without secrets is the same text', () => {
  for (const text of [
    'spiffe://shop.example/ns/shop/sa/orders',
    'GET /users/me@example.com',
    'basic',
    'token expired',
  ]) {
    assert.equal(redactText(text), text)
  }
})

test('nested objects, arrays, errors and their causes are searched', () => {
  const copy = redact({
    request: { headers: [{ authorization: TOKEN }, { accept: TOKEN }] },
    failure: new Error(`bad ${TOKEN}`, { cause: new Error(KEY) }),
  })
  assert.equal(JSON.stringify(copy).includes(TOKEN), false)
  assert.equal(JSON.stringify(copy).includes('MIGHAgEAMBMG'), false)
})

test('bytes are shown by their length only', () => {
  assert.deepEqual(redact({ data: Buffer.from('secret'), raw: new Uint8Array(3) }), {
    data: '[6 bytes]',
    raw: '[3 bytes]',
  })
})

test('whatever is logged, the copy is bounded and serialisable', () => {
  const cyclic: Record<string, unknown> = { id: 10n, when: new Date(Number.NaN), fn: () => {}, symbol: Symbol('s') }
  cyclic['self'] = cyclic
  Object.defineProperty(cyclic, 'trap', {
    enumerable: true,
    get() {
      throw new Error('no')
    },
  })
  const wide = Object.fromEntries(Array.from({ length: 1_000 }, (_, i) => [`member${i}`, 'x'.repeat(100_000)]))
  const text = JSON.stringify(redact({ cyclic, wide, list: Array.from({ length: 10_000 }, (_, i) => i) }))
  assert.ok(text.length < 64 * 8_300 + 10_000)
  fc.assert(
    fc.property(fc.dictionary(fc.string(), fc.anything()), (fields) => {
      JSON.stringify(redact(fields))
    }),
    { numRuns: 200 },
  )
})

test('the memory of judged names is bounded', () => {
  for (let i = 0; i < 10_000; i++) assert.equal(isSecretName(`claim${i}`), false)
  assert.equal(isSecretName('password'), true)
})
