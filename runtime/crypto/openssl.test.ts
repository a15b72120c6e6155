import assert from 'node:assert/strict'
import { createHash, generateKeyPairSync, sign, verify } from 'node:crypto'
import { test } from 'node:test'
import { exportJWK, generateKeyPair, SignJWT } from 'jose'
import fc from '#fast-check'
import type { FilterDeps, PublicKey } from '../../model/filter.ts'
import type { Facts, RequestView } from '../../model/request.ts'
import { ALGORITHMS } from '../../policies/jwt/algorithms.ts'
import { jwt } from '../../policies/jwt/filter.ts'
import { openssl } from './openssl.ts'

type Jwk = Record<string, unknown>

interface Signer {
  readonly alg: string
  readonly jwk: Jwk
  sign(claims: Record<string, unknown>): Promise<string>
}

async function signerOf(alg: string, options: { readonly modulusLength?: number } = {}): Promise<Signer> {
  const { privateKey, publicKey } = await generateKeyPair(alg, options)
  const kid = `${alg} ${options.modulusLength ?? ''}`
  return {
    alg,
    jwk: { ...(await exportJWK(publicKey)), kid, alg, use: 'sig' },
    sign: (claims) => new SignJWT(claims).setProtectedHeader({ alg, kid, typ: 'at+jwt' }).sign(privateKey),
  }
}

const SIGNERS = await Promise.all([
  ...ALGORITHMS.map((alg) => signerOf(alg)),
  signerOf('RS256', { modulusLength: 3072 }),
  signerOf('PS256', { modulusLength: 4096 }),
])

function imported(jwk: Jwk): PublicKey {
  const key = openssl.importJwk(jwk)
  assert.ok(key)
  return key
}

function partsOf(token: string): { readonly input: string; readonly signature: string } {
  const dot = token.lastIndexOf('.')
  return { input: token.slice(0, dot), signature: token.slice(dot + 1) }
}

test('a hash is SHA-256 over UTF-8, in base64url', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      assert.equal(openssl.sha256(text), createHash('sha256').update(text).digest('base64url'))
    }),
  )
})

test('what jose signs is verified, by every algorithm, and a change of one character is not', async () => {
  for (const signer of SIGNERS) {
    const key = imported(signer.jwk)
    const { input, signature } = partsOf(await signer.sign({ sub: 'u1' }))
    const label = `${signer.jwk['kid']}`
    assert.equal(await openssl.verify(signer.alg, key, input, signature), true, label)
    assert.equal(await openssl.verify(signer.alg, key, `${input}x`, signature), false, label)
    const changed = (signature.startsWith('A') ? 'B' : 'A') + signature.slice(1)
    assert.equal(await openssl.verify(signer.alg, key, input, changed), false, label)
    assert.equal(await openssl.verify(signer.alg, key, input, ''), false, label)
    assert.equal(await openssl.verify(signer.alg, key, input, signature.slice(0, -4)), false, label)
  }
})

test('T21: a key verifies nothing by the algorithm of another type', async () => {
  for (const signer of SIGNERS) {
    const { input, signature } = partsOf(await signer.sign({}))
    const key = imported(signer.jwk)
    for (const other of [...ALGORITHMS, 'none', 'HS256', '']) {
      if (other === signer.alg || [other, signer.alg].every((alg) => alg === 'EdDSA' || alg === 'Ed25519')) continue
      assert.equal(await openssl.verify(other, key, input, signature), false, `${signer.alg} as ${other}`)
    }
  }
  assert.equal(openssl.verify('ES256', { kind: 'public-key' }, 'a', 'b'), false, 'a key of somebody else')
})

test('common algorithms are verified on the loop, costly ones off it', async () => {
  for (const signer of SIGNERS) {
    const { input, signature } = partsOf(await signer.sign({}))
    const isCostly =
      signer.alg === 'ES384' || signer.alg === 'ES512' || /[34]0..$|3072|4096/.test(`${signer.jwk['kid']}`)
    const verdict = openssl.verify(signer.alg, imported(signer.jwk), input, signature)
    assert.equal(verdict instanceof Promise, isCostly, `${signer.jwk['kid']}`)
    assert.equal(await verdict, true)
  }
})

test('T21: weak, unknown and malformed keys are refused', async () => {
  const rsa = (modulusLength: number, publicExponent = 65_537) =>
    generateKeyPairSync('rsa', { modulusLength, publicExponent }).publicKey.export({ format: 'jwk' }) as Jwk
  assert.equal(openssl.importJwk(rsa(1_024)), undefined)
  assert.equal(openssl.importJwk(rsa(2_047)), undefined)
  assert.ok(openssl.importJwk(rsa(2_048, 3)))
  const strong = rsa(2_048)
  for (const e of ['AQ', 'AA', 'Ag', '']) assert.equal(openssl.importJwk({ ...strong, e }), undefined, `exponent ${e}`)

  const p256 = generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({ format: 'jwk' }) as Jwk
  const x25519 = generateKeyPairSync('x25519').publicKey.export({ format: 'jwk' }) as Jwk
  for (const jwk of [
    {},
    { kty: 'oct', k: 'c2VjcmV0' },
    { ...p256, y: p256['x'] },
    { ...p256, crv: 'P-999' },
    { ...p256, x: 7 },
    x25519,
  ]) {
    assert.equal(openssl.importJwk(jwk), undefined, JSON.stringify(jwk))
  }
})

test('a signature of zeros is refused', async () => {
  for (const signer of SIGNERS) {
    const { input, signature } = partsOf(await signer.sign({}))
    const zeros = Buffer.alloc(Buffer.from(signature, 'base64url').length).toString('base64url')
    assert.equal(await openssl.verify(signer.alg, imported(signer.jwk), input, zeros), false, signer.alg)
  }
})

test('T21: an ECDSA signature is read as Node reads it, whatever octets are in it', async () => {
  const curves = [
    { alg: 'ES256', namedCurve: 'P-256', digest: 'sha256', octets: 32 },
    { alg: 'ES384', namedCurve: 'P-384', digest: 'sha384', octets: 48 },
    { alg: 'ES512', namedCurve: 'P-521', digest: 'sha512', octets: 66 },
  ]
  for (const { alg, namedCurve, digest, octets } of curves) {
    const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve })
    const key = openssl.importJwk(publicKey.export({ format: 'jwk' }) as Jwk)
    assert.ok(key)
    const agree = async (signature: Buffer, input: string) => {
      const expected = verify(digest, Buffer.from(input), { key: publicKey, dsaEncoding: 'ieee-p1363' }, signature)
      assert.equal(await openssl.verify(alg, key, input, signature.toString('base64url')), expected)
      return expected
    }
    await fc.assert(
      fc.asyncProperty(
        fc.string({ unit: 'binary-ascii' }),
        fc.nat(octets * 2 - 1),
        fc.nat(255),
        fc.constantFrom(-1, 0, 1),
        async (input, at, octet, longer) => {
          const good = sign(digest, Buffer.from(input), { key: privateKey, dsaEncoding: 'ieee-p1363' })
          assert.equal(await agree(good, input), true)
          const other = Buffer.from(good)
          other[at] = octet
          await agree(other, input)
          assert.equal(
            await openssl.verify(alg, key, input, Buffer.alloc(octets * 2 + longer, good).toString('base64url')),
            longer === 0,
          )
        },
      ),
      { numRuns: 20 },
    )
    // Leading zeros, which DER has none of: one signature in 128 begins with them in R or in S.
    for (const start of [0, octets]) {
      let good: Buffer
      do good = sign(digest, Buffer.from('zeros'), { key: privateKey, dsaEncoding: 'ieee-p1363' })
      while (good[start] !== 0)
      assert.equal(await agree(good, 'zeros'), true)
    }
  }
})

/* The filter with this cryptography. */

const NOW_MS = 1_800_000_000_000
const CLAIMS = { iss: 'https://corp.example', aud: 'api', sub: 'u1', iat: NOW_MS / 1_000, exp: NOW_MS / 1_000 + 300 }

function checkFor(signer: Signer) {
  const verified: string[] = []
  const memory = new Map<string, unknown>()
  const deps: FilterDeps = {
    clock: { now: () => NOW_MS, monotonic: () => 0 },
    crypto: openssl,
    keys: { generation: 1, keysOf: () => [signer.jwk], refresh: () => Promise.resolve() },
    remember<T>(key: string, create: () => T): T {
      if (!memory.has(key)) memory.set(key, create())
      return memory.get(key) as T
    },
    count: (name) => verified.push(name),
  }
  const compiled = jwt.compile(
    {
      required: true,
      issuers: [
        {
          name: 'corp',
          issuer: CLAIMS.iss,
          audiences: ['api'],
          algorithms: [...ALGORITHMS],
          types: ['at+jwt'],
          clockSkewMs: 60_000,
          maxTokenBytes: 8_192,
          maxDepth: 16,
          cache: { maxEntries: 100, maxBytes: 1_000_000, maxAgeMs: 60_000 },
        },
      ],
      locations: [{ kind: 'header', name: 'authorization', scheme: 'bearer' }],
      forward: 'strip',
      claimHeaders: [],
      exempt: [],
      exemptWithin: [],
    },
    deps,
  )
  assert.ok(compiled.ok)
  return { check: compiled.value, counted: verified }
}

function requestWith(token: string): RequestView {
  const value = `Bearer ${token}`
  const headers = (name: string) => (name === 'authorization' ? [value] : [])
  return {
    protocol: 'http',
    method: 'GET',
    path: '/',
    query: '',
    host: 'orders.shop',
    port: 80,
    scheme: 'https',
    peer: { ip: '192.0.2.1' },
    clientIp: '192.0.2.1',
    header: (name) => headers(name)[0],
    headers,
  }
}

test('a token of each algorithm passes the filter, is remembered, and altered or foreign ones do not pass', async () => {
  for (const signer of SIGNERS) {
    const label = `${signer.jwk['kid']}`
    const { check, counted } = checkFor(signer)
    const token = await signer.sign(CLAIMS)
    const facts: Facts = {}
    assert.equal((await check(requestWith(token), facts)).kind, 'continue', label)
    assert.equal(facts.token?.subject, 'u1')
    const again = check(requestWith(token), {})
    assert.ok(!(again instanceof Promise), 'a hit waits for nobody')
    assert.deepEqual(counted, ['tokens_verified', 'tokens_cached'], label)

    const [head = '', body = '', signature = ''] = token.split('.')
    const other = Buffer.from(JSON.stringify({ ...CLAIMS, sub: 'root' })).toString('base64url')
    assert.equal((await check(requestWith(`${head}.${other}.${signature}`), {})).kind, 'deny', label)
    const flipped = (signature.startsWith('A') ? 'B' : 'A') + signature.slice(1)
    assert.equal((await check(requestWith(`${head}.${body}.${flipped}`), {})).kind, 'deny', label)
    const foreign = await (await signerOf(signer.alg)).sign(CLAIMS)
    assert.equal((await check(requestWith(foreign), {})).kind, 'deny', label)
  }
})
