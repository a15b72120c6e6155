import assert from 'node:assert/strict'
import { createPublicKey, generateKeyPairSync, hash, type KeyObject, sign, verify } from 'node:crypto'
import { test } from 'node:test'
import { createLocalJWKSet, type JSONWebKeySet, jwtVerify } from 'jose'
import fc from '#fast-check'
import type { Check, FilterCrypto, FilterDeps, PublicKey } from '../../model/filter.ts'
import type { Facts, Peer } from '../../model/request.ts'
import type { Deny, Verdict } from '../../model/verdict.ts'
import { testRevocations } from '../testing/deps.ts'
import { peerOf, type RequestWords, requestOf } from '../testing/request.ts'
import { BAD_TOKEN_BURST } from './bad-token-budget.ts'
import { type IssuerConfig, type JwtConfig, MAX_TOKEN_BYTES } from './config.ts'
import { jwt } from './filter.ts'
import { MAX_REFUSED_TOKENS, MAX_UNKNOWN_KIDS, MAX_WAITING } from './verifier.ts'

type Json = Record<string, unknown>

/* The issuers and their keys. */

interface SigningKey {
  readonly alg: string
  readonly kid: string
  readonly privateKey: KeyObject
  readonly jwk: Json
}

function ecKey(kid: string): SigningKey {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  return { alg: 'ES256', kid, privateKey, jwk: { ...publicKey.export({ format: 'jwk' }), kid } }
}

function rsaKey(kid: string): SigningKey {
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  return { alg: 'RS256', kid, privateKey, jwk: { ...publicKey.export({ format: 'jwk' }), kid } }
}

const KEY = ecKey('key-1')
const NEXT_KEY = ecKey('key-2')
const FOREIGN_KEY = ecKey('key-1')
const RSA_KEY = rsaKey('rsa-1')

const NOW_S = 1_800_000_000
const CORP: IssuerConfig = {
  name: 'corp',
  issuer: 'https://corp.example',
  audiences: ['https://api.example'],
  algorithms: ['ES256', 'RS256'],
  types: ['at+jwt', 'jwt'],
  clockSkewMs: 60_000,
  maxTokenBytes: MAX_TOKEN_BYTES,
  maxDepth: 16,
  cache: { maxEntries: 10_000, maxBytes: 16_777_216, maxAgeMs: 300_000 },
}
const CONFIG: JwtConfig = {
  required: true,
  issuers: [CORP],
  locations: [{ kind: 'header', name: 'authorization', scheme: 'bearer' }],
  forward: 'strip',
  claimHeaders: [],
  exempt: [],
  exemptWithin: [],
}
const CLAIMS = { iss: CORP.issuer, aud: CORP.audiences[0], sub: 'u1', iat: NOW_S, exp: NOW_S + 300 }

/* Tokens, good and bad. */

interface TokenWords {
  readonly header?: Json
  readonly claims?: Json
  /** The parts as text, for what JSON.stringify would never write. */
  readonly headerText?: string
  readonly claimsText?: string
  readonly key?: SigningKey
}

function encode(text: string): string {
  return Buffer.from(text).toString('base64url')
}

function tokenOf({ header = {}, claims = {}, headerText, claimsText, key = KEY }: TokenWords = {}): string {
  const head = headerText ?? JSON.stringify({ alg: key.alg, kid: key.kid, typ: 'at+jwt', ...header })
  const body = claimsText ?? JSON.stringify({ ...CLAIMS, ...claims })
  return signed(`${encode(head)}.${encode(body)}`, key)
}

function signed(input: string, key: SigningKey): string {
  const options = { key: key.privateKey, dsaEncoding: 'ieee-p1363' as const }
  return `${input}.${sign('sha256', Buffer.from(input), options).toString('base64url')}`
}

/* The place where they are judged. */

const nodeCrypto: FilterCrypto = {
  sha256: (text) => hash('sha256', text, 'base64url'),
  importJwk: (jwk) => ({ kind: 'public-key', key: createPublicKey({ key: jwk as never, format: 'jwk' }) }) as PublicKey,
  verify(algorithm, publicKey, input, signature) {
    assert.ok(algorithm === 'ES256' || algorithm === 'RS256')
    const { key } = publicKey as PublicKey & { readonly key: KeyObject }
    return verify('sha256', Buffer.from(input), { key, dsaEncoding: 'ieee-p1363' }, Buffer.from(signature, 'base64url'))
  },
}

interface World {
  /** What the filter says of a request with this token, or with these headers. */
  ask(token: string | undefined, words?: RequestWords): Promise<{ readonly verdict: Verdict; readonly facts: Facts }>
  /** The name of the denial, or `continue`. */
  say(token: string | undefined, words?: RequestWords): Promise<string>
  readonly check: Check
  readonly deps: FilterDeps
  /** Lets time pass on both clocks, or moves the wall clock alone. */
  advance(ms: number): void
  jump(ms: number): void
  /** Pushes keys. */
  publish(issuer: string, keys: readonly SigningKey[] | undefined): void
  /** Called when newer keys are asked for. */
  onRefresh: (issuer: string) => void | Promise<void>
  readonly refreshed: string[]
  readonly verified: { count: number }
  readonly counts: Record<string, number>
  readonly memory: Map<string, unknown>
}

function worldOf(
  config: Partial<JwtConfig> = {},
  words: { readonly keys?: boolean; readonly memory?: Map<string, unknown> } = {},
): World {
  let nowMs = NOW_S * 1_000
  let monotonicMs = 5_000
  const jwks = new Map<string, readonly Json[]>()
  const source = { generation: 0 }
  const memory = words.memory ?? new Map<string, unknown>()
  const verified = { count: 0 }
  const world: Omit<World, 'check'> = {
    async ask(token, requestWords = {}) {
      const facts: Facts = {}
      const headers = token === undefined ? {} : { authorization: `Bearer ${token}` }
      const request = requestOf({ ...requestWords, headers: { ...headers, ...requestWords.headers } })
      return { verdict: await check(request, facts), facts }
    },
    async say(token, requestWords) {
      const { verdict } = await world.ask(token, requestWords)
      return verdict.kind === 'deny' ? verdict.denial.name : verdict.kind
    },
    deps: {
      clock: { now: () => nowMs, monotonic: () => monotonicMs },
      crypto: {
        ...nodeCrypto,
        verify(...args) {
          verified.count++
          return nodeCrypto.verify(...args)
        },
      },
      keys: {
        get generation() {
          return source.generation
        },
        keysOf: (issuer) => jwks.get(issuer),
        async refresh(issuer) {
          world.refreshed.push(issuer)
          await world.onRefresh(issuer)
        },
      },
      remember<T>(key: string, create: () => T): T {
        if (!memory.has(key)) memory.set(key, create())
        return memory.get(key) as T
      },
      count(name) {
        world.counts[name] = (world.counts[name] ?? 0) + 1
      },
    },
    advance(ms) {
      nowMs += ms
      monotonicMs += ms
    },
    jump(ms) {
      nowMs += ms
    },
    publish(issuer, keys) {
      source.generation++
      if (keys === undefined) jwks.delete(issuer)
      else
        jwks.set(
          issuer,
          keys.map(({ jwk }) => jwk),
        )
    },
    onRefresh: () => {},
    refreshed: [],
    verified,
    counts: {},
    memory,
  }
  const check = compiled({ ...CONFIG, ...config }, world.deps)
  if (words.keys !== false) for (const { name } of { ...CONFIG, ...config }.issuers) world.publish(name, [KEY])
  return Object.assign(world, { check })
}

function compiled(config: JwtConfig, deps: FilterDeps): Check {
  const decoded = jwt.decode(config)
  assert.ok(decoded.ok, JSON.stringify(decoded))
  const result = jwt.compile(decoded.value, deps)
  assert.ok(result.ok, JSON.stringify(result))
  return result.value
}

function denyOf(verdict: Verdict): Deny {
  assert.equal(verdict.kind, 'deny')
  return verdict as Deny
}

const challengeOf = (verdict: Verdict) => denyOf(verdict).headers?.find(([name]) => name === 'www-authenticate')?.[1]

/* Who may pass. */

test('a good token passes, and the checks after it learn what is in it', async () => {
  const { verdict, facts } = await worldOf().ask(tokenOf({ claims: { scope: 'orders:read', org: { dept: 'books' } } }))
  assert.equal(verdict.kind, 'continue')
  assert.equal(facts.token?.issuer, 'corp')
  assert.equal(facts.token?.iss, 'https://corp.example')
  assert.equal(facts.token?.subject, 'u1')
  assert.equal(facts.token?.expiresAt, NOW_S + 300)
  assert.equal(facts.token?.claims['scope'], 'orders:read')
  assert.ok(Object.isFrozen(facts.token) && Object.isFrozen(facts.token?.claims))
})

test('without a token: 401 and a bare challenge where one is required, else nothing', async () => {
  const { verdict } = await worldOf().ask(undefined)
  assert.equal(denyOf(verdict).denial.name, 'token-missing')
  assert.equal(denyOf(verdict).denial.status, 401)
  assert.equal(challengeOf(verdict), 'Bearer', 'RFC 6750, 3.1: no error code where nothing was sent')
  const optional = await worldOf({ required: false }).ask(undefined)
  assert.deepEqual([optional.verdict.kind, optional.facts.token], ['continue', undefined])
})

test('a bad token is refused even where none is required, with the challenge of RFC 6750', async () => {
  const { verdict } = await worldOf({ required: false }).ask(tokenOf({ key: FOREIGN_KEY }))
  assert.equal(denyOf(verdict).denial.name, 'token-invalid')
  assert.equal(challengeOf(verdict), 'Bearer error="invalid_token"')
  assert.equal(denyOf(verdict).rule, 'corp')
})

test('no refusal says anything that is in the token', async () => {
  const world = worldOf()
  for (const token of [
    tokenOf({ key: FOREIGN_KEY }),
    tokenOf({ claims: { aud: 'elsewhere-4711' } }),
    'a.b.c',
    tokenOf({ headerText: '{"alg":"secret-4711"}' }),
  ]) {
    const text = JSON.stringify((await world.ask(token)).verdict)
    for (const part of [...token.split('.').filter((piece) => piece.length > 3), '4711'])
      assert.ok(!text.includes(part), text)
  }
})

test('audience, type, algorithm and issuer are all mandatory', async () => {
  const world = worldOf()
  assert.equal(await world.say(tokenOf({ claims: { aud: ['x', 'https://api.example'] } })), 'continue')
  assert.equal(await world.say(tokenOf({ header: { typ: 'application/AT+JWT' } })), 'continue')
  assert.equal(await world.say(tokenOf({ header: { typ: 'JWT' } })), 'continue')
  for (const words of [
    { claims: { aud: undefined } },
    { claims: { aud: [] } },
    { claims: { aud: 'https://other.example' } },
    { claims: { aud: ['https://api.example', 7] } },
    { claims: { aud: { 'https://api.example': true } } },
    { claims: { iss: undefined } },
    { claims: { iss: ['https://corp.example'] } },
    { claims: { sub: 7 } },
    { header: { typ: undefined } },
    { header: { typ: 'id+jwt' } },
    { header: { typ: 'logout+jwt' } },
    { header: { typ: 'application/x/at+jwt' } },
    { header: { alg: undefined } },
  ] satisfies TokenWords[]) {
    assert.equal(await world.say(tokenOf(words)), 'token-invalid', JSON.stringify(words))
  }
})

test('a token without typ passes only where the issuer lists the empty type', async () => {
  const untyped = tokenOf({ header: { typ: undefined } })
  assert.equal(await worldOf({ issuers: [{ ...CORP, types: ['at+jwt', ''] }] }).say(untyped), 'continue')
  assert.equal(await worldOf().say(untyped), 'token-invalid')
})

test('F10: exp, nbf and iat are judged with the skew, and not a second more', async () => {
  for (const [claims, said] of [
    [{ exp: NOW_S - 59 }, 'continue'],
    [{ exp: NOW_S - 60 }, 'token-expired'],
    [{ nbf: NOW_S + 60 }, 'continue'],
    [{ nbf: NOW_S + 61 }, 'token-not-yet-valid'],
    [{ iat: NOW_S + 60 }, 'continue'],
    [{ iat: NOW_S + 61 }, 'token-not-yet-valid'],
    [{ iat: undefined }, 'continue'],
    [{ exp: NOW_S + 0.5 }, 'continue'],
  ] as const) {
    assert.equal(await worldOf().say(tokenOf({ claims })), said, JSON.stringify(claims))
  }
})

test('a lifetime beyond that of the mesh is refused, and so is one that cannot be told', async () => {
  const world = worldOf({ issuers: [{ ...CORP, maxLifetimeMs: 600_000 }] })
  assert.equal(await world.say(tokenOf({ claims: { exp: NOW_S + 600 } })), 'continue')
  assert.equal(await world.say(tokenOf({ claims: { exp: NOW_S + 601 } })), 'token-lives-too-long')
  assert.equal(await world.say(tokenOf({ claims: { iat: undefined } })), 'token-lives-too-long')
})

test("an issuer's own bounds are narrower than the mesh's", async () => {
  const world = worldOf({ issuers: [{ ...CORP, maxDepth: 2, maxTokenBytes: 500 }] })
  assert.equal(await world.say(tokenOf({ claims: { a: {} } })), 'continue')
  assert.equal(await world.say(tokenOf({ claims: { a: { b: {} } } })), 'token-invalid')
  assert.equal(await world.say(tokenOf({ claims: { a: 'x'.repeat(400) } })), 'token-invalid')
})

test('exempt requests need no token, and an unverified one is not passed on', async () => {
  const world = worldOf({ exempt: [{ methods: ['GET'], paths: ['/healthz', '/public/{**}'] }] })
  const exempt = await world.ask('not a token', { path: '/healthz' })
  assert.equal(exempt.verdict.kind, 'continue')
  assert.deepEqual(exempt.facts, { exempt: true, removeRequestHeaders: ['authorization'] })
  assert.equal(await world.say(undefined, { path: '/public/a/b' }), 'continue')
  assert.equal(await world.say(undefined, { path: '/healthz', method: 'POST' }), 'token-missing')
  assert.equal(await world.say(undefined, { path: '/healthz/' }), 'token-missing')
})

test('an exemption counts only where every floor permits it', async () => {
  const exempt = [{ methods: [], paths: ['/a/{**}'] }]
  const world = worldOf({
    exempt,
    exemptWithin: [[{ methods: ['GET'], paths: ['/a/{*}'] }], [{ methods: [], paths: ['/a/b'] }]],
  })
  assert.equal(await world.say(undefined, { path: '/a/b' }), 'continue')
  assert.equal(await world.say(undefined, { path: '/a/b', method: 'PUT' }), 'token-missing')
  assert.equal(await world.say(undefined, { path: '/a/c' }), 'token-missing')
})

test('the token is stripped or kept, as policy says', async () => {
  assert.deepEqual((await worldOf().ask(tokenOf())).facts.removeRequestHeaders, ['authorization'])
  assert.equal((await worldOf({ forward: 'keep' }).ask(tokenOf())).facts.removeRequestHeaders, undefined)
  const cookies = worldOf({ locations: [{ kind: 'cookie', name: 'sid' }] })
  const { facts } = await cookies.ask(undefined, { headers: { cookie: `a=1; sid=${tokenOf()}` } })
  assert.equal(facts.token?.subject, 'u1')
  assert.deepEqual(facts.setRequestHeaders, [['cookie', 'a=1']])
})

test('T12: claim headers come from the token alone, with it and without it', async () => {
  const world = worldOf({ required: false, claimHeaders: [{ claim: '/org/dept', header: 'x-dept' }] })
  const forged = { headers: { 'x-dept': 'board' } }
  const withToken = await world.ask(tokenOf({ claims: { org: { dept: 'books' } } }), forged)
  assert.deepEqual(withToken.facts.setRequestHeaders, [['x-dept', 'books']])
  const without = await world.ask(undefined, forged)
  assert.deepEqual(without.facts.removeRequestHeaders, ['x-dept'])
  assert.equal(without.facts.setRequestHeaders, undefined)
})

test('several issuers: the one that iss names decides, by its own keys and audiences', async () => {
  const partner: IssuerConfig = { ...CORP, name: 'partner', issuer: 'https://partner.example', audiences: ['partners'] }
  const world = worldOf({ issuers: [CORP, partner] })
  world.publish('partner', [NEXT_KEY])
  const ofPartner = { iss: partner.issuer, aud: 'partners' }
  const { facts } = await world.ask(tokenOf({ claims: ofPartner, key: NEXT_KEY }))
  assert.equal(facts.token?.issuer, 'partner')
  assert.equal(await world.say(tokenOf({ claims: ofPartner })), 'token-invalid', "corp's key does not sign for partner")
  assert.equal(await world.say(tokenOf({ claims: { iss: partner.issuer }, key: NEXT_KEY })), 'token-invalid')
})

test('two TokenIssuers of one iss: either verifies, and the refusal of the nearer one is told', async () => {
  const other: IssuerConfig = { ...CORP, name: 'other', audiences: ['other'] }
  const world = worldOf({ issuers: [CORP, other] })
  assert.equal((await world.ask(tokenOf({ claims: { aud: 'other' } }))).facts.token?.issuer, 'other')
  assert.equal(await world.say(tokenOf({ claims: { aud: 'other', exp: NOW_S - 3_600 } })), 'token-expired')
  world.publish('other', undefined)
  assert.equal(await world.say(tokenOf({ claims: { aud: 'other', jti: '2' } })), 'keys-unavailable')
})

test('a token without kid is tried against the keys of its algorithm', async () => {
  const world = worldOf()
  world.publish('corp', [RSA_KEY, NEXT_KEY, KEY])
  assert.equal(await world.say(tokenOf({ header: { kid: undefined } })), 'continue')
  assert.equal(await world.say(tokenOf({ header: { kid: undefined }, key: FOREIGN_KEY })), 'token-invalid')
})

/* T21 to T24. */

test('T21: none in any case, HMAC and every other algorithm that is not listed', async () => {
  const world = worldOf()
  const secret = RSA_KEY.jwk['n'] as string
  for (const alg of [
    'none',
    'None',
    'NONE',
    'nOnE',
    '',
    'HS256',
    'HS512',
    'ES384',
    'RS1',
    'es256',
    'ES256K',
    'dir',
    7,
    null,
    ['ES256'],
  ]) {
    const input = tokenOf({ header: { alg, kid: undefined } })
      .split('.')
      .slice(0, 2)
      .join('.')
    assert.equal(await world.say(`${input}.`), 'token-invalid', `${alg} without a signature`)
    assert.equal(await world.say(signed(input, KEY)), 'token-invalid', `${alg} with a good one`)
    assert.equal(await world.say(`${input}.${hash('sha256', secret + input, 'base64url')}`), 'token-invalid')
  }
  assert.equal(world.verified.count, 0, 'no signature was looked at')
})

test('T21: RS/HS confusion: an algorithm that is not that of the key is refused', async () => {
  const world = worldOf({ issuers: [{ ...CORP, algorithms: ['ES256', 'RS256', 'PS256'] }] })
  world.publish('corp', [KEY, RSA_KEY])
  assert.equal(await world.say(tokenOf({ key: RSA_KEY })), 'continue')
  assert.equal(await world.say(tokenOf({ header: { kid: 'rsa-1' } })), 'token-invalid')
  assert.equal(await world.say(tokenOf({ header: { alg: 'RS256', kid: 'key-1' }, key: RSA_KEY })), 'token-invalid')
  assert.equal(await world.say(tokenOf({ header: { alg: 'PS256' }, key: RSA_KEY })), 'token-invalid')
  assert.deepEqual(world.refreshed, [], 'a key that is known is not asked for')
})

test('T21: an oct key in a JWKS, even one with the kid of a token, verifies nothing', async () => {
  const world = worldOf()
  const oct: SigningKey = { ...KEY, jwk: { kty: 'oct', k: 'c2VjcmV0', kid: 'key-1', alg: 'HS256' } }
  world.publish('corp', [oct])
  assert.equal(await world.say(tokenOf({ header: { alg: 'HS256' } })), 'token-invalid')
  assert.equal(await world.say(tokenOf()), 'token-invalid')
})

test('T21: a key of the wrong use, or with private members, is not used', async () => {
  for (const member of [{ use: 'enc' }, { key_ops: ['encrypt'] }, { alg: 'ES384' }, { d: 'AAAA' }]) {
    const world = worldOf()
    world.publish('corp', [{ ...KEY, jwk: { ...KEY.jwk, ...member } }])
    assert.equal(await world.say(tokenOf()), 'token-invalid', JSON.stringify(member))
  }
})

test('T21: keys and key locations in the header are refused, never fetched or used', async () => {
  const world = worldOf()
  for (const header of [
    { jwk: FOREIGN_KEY.jwk },
    { jku: 'https://evil.example/jwks' },
    { x5u: 'https://evil.example/cert' },
    { x5c: ['MIIB'] },
    { jwk: null },
  ]) {
    assert.equal(await world.say(tokenOf({ header, key: FOREIGN_KEY })), 'token-invalid')
    assert.equal(await world.say(tokenOf({ header })), 'token-invalid', 'though the signature is good')
  }
  assert.deepEqual([world.verified.count, world.refreshed], [0, []])
})

test('T21: kid is a name to look up and nothing else', async () => {
  const world = worldOf()
  for (const kid of [
    '../../../../dev/null',
    '/etc/passwd',
    "' OR 1=1 --",
    'key-1\0',
    '__proto__',
    'constructor',
    'KEY-1',
    'key-1 ',
    'http://evil/',
    '|ls',
  ]) {
    assert.equal(await world.say(tokenOf({ header: { kid } })), 'token-invalid', kid)
  }
  for (const kid of [7, null, true, ['key-1'], { key: 1 }, '', 'x'.repeat(257), 'ключ']) {
    const before = world.refreshed.length
    assert.equal(await world.say(tokenOf({ header: { kid } })), 'token-invalid', String(kid))
    assert.equal(world.refreshed.length, before, 'not a name: nobody is asked')
  }
})

test('T21: the same kid at two issuers is two keys', async () => {
  const partner: IssuerConfig = { ...CORP, name: 'partner', issuer: 'https://partner.example' }
  const world = worldOf({ issuers: [CORP, partner] })
  world.publish('partner', [FOREIGN_KEY])
  assert.equal(await world.say(tokenOf()), 'continue')
  assert.equal(await world.say(tokenOf({ claims: { iss: partner.issuer }, key: FOREIGN_KEY })), 'continue')
  assert.equal(await world.say(tokenOf({ key: FOREIGN_KEY })), 'token-invalid')
  assert.equal(await world.say(tokenOf({ claims: { iss: partner.issuer } })), 'token-invalid')
})

test('T22: extensions, compression, encryption and other serialisations are refused without doing the work', async () => {
  const world = worldOf()
  const good = tokenOf()
  const [head = '', body = '', signature = ''] = good.split('.')
  const jwe = { alg: 'ES256', enc: 'A256GCM' }
  for (const token of [
    tokenOf({ header: { crit: ['exp'] } }),
    tokenOf({ header: { crit: [] } }),
    tokenOf({ header: { crit: ['b64'], b64: false } }),
    tokenOf({ header: { b64: false } }),
    tokenOf({ header: { b64: true } }),
    tokenOf({ header: { zip: 'DEF' } }),
    tokenOf({ header: jwe }),
    tokenOf({ header: { alg: 'PBES2-HS256+A128KW', p2c: 2_147_483_647, p2s: 'AAAA' } }),
    tokenOf({ header: { p2c: 2_147_483_647 } }),
    `${encode(JSON.stringify({ alg: 'dir', enc: 'A128GCM' }))}..AAAA.AAAA.AAAA`,
    `${good}.AAAA.AAAA`,
    `${good}.`,
    JSON.stringify({ protected: head, payload: body, signature }),
    JSON.stringify({ payload: body, signatures: [{ protected: head, signature }] }),
    encode(JSON.stringify({ protected: head, payload: body, signature })),
  ]) {
    assert.equal(await world.say(token), 'token-invalid', token.slice(0, 80))
  }
  assert.equal(world.verified.count, 0)
})

test('T23: duplicate members, missing or absurd dates, and look-alikes of the issuer', async () => {
  const world = worldOf()
  const rest = JSON.stringify({ ...CLAIMS, exp: undefined }).slice(1)
  const head = JSON.stringify({ alg: 'ES256', kid: 'key-1', typ: 'at+jwt' })
  for (const words of [
    { claimsText: `{"exp":${NOW_S + 300},"exp":${NOW_S + 300},${rest}` },
    { claimsText: `{"exp":${NOW_S + 300},"\\u0065xp":9999999999,${rest}` },
    { claimsText: `{"exp":${NOW_S + 300},"x":{"a":1,"a":2},${rest}` },
    { headerText: `{"alg":"none",${head.slice(1)}` },
    { headerText: `${head.slice(0, -1)},"alg":"ES256"}` },
    { claimsText: `{${rest}` },
    { claimsText: `{"exp":1e300,${rest}` },
    { claimsText: `{"exp":1e400,${rest}` },
    { claimsText: `{"exp":-1,${rest}` },
    { claims: { exp: '9999999999' } },
    { claims: { exp: null } },
    { claims: { exp: true } },
    { claims: { exp: [NOW_S + 300] } },
    { claims: { exp: 253_402_300_800 } },
    { claims: { nbf: 'now' } },
    { claims: { iat: '1' } },
    { claims: { iat: 1e300 } },
    { claims: { iss: 'https://corp.example/' } },
    { claims: { iss: 'https://CORP.example' } },
    { claims: { iss: 'https://corp.example ' } },
    { claims: { iss: 'https://corp.example\u0000' } },
    { claims: { iss: 'https://сorp.example' } },
    { claims: { iss: 'http://corp.example' } },
    { claims: { iss: 'https://corp.example.evil.example' } },
    { claimsText: `\ufeff{"exp":${NOW_S + 300},${rest}` },
    { headerText: `\ufeff${head}` },
    { claimsText: `{"exp":${NOW_S + 300},${rest} {}` },
    { claimsText: '[]' },
    { claimsText: 'null' },
    { claimsText: '"text"' },
    { claimsText: '' },
    { headerText: '[]' },
    { headerText: '' },
    { claims: { deep: JSON.parse(`${'['.repeat(16)}${']'.repeat(16)}`) } },
    { claimsText: `{"exp":${NOW_S + 300},"deep":${'['.repeat(2_000)}${']'.repeat(2_000)},${rest}` },
    { headerText: `${head.slice(0, -1)},"deep":${'['.repeat(10)}${']'.repeat(10)}}` },
    { claims: { pad: 'x'.repeat(8_192) } },
    { claims: { pad: 'x'.repeat(1_048_576) } },
  ] satisfies TokenWords[]) {
    assert.equal(await world.say(tokenOf(words)), 'token-invalid', JSON.stringify(words).slice(0, 120))
  }
  assert.equal(
    await world.say(tokenOf({ claims: { deep: JSON.parse(`${'['.repeat(15)}${']'.repeat(15)}`) } })),
    'continue',
  )
  assert.equal(world.verified.count, 1)
})

test('T23: only the canonical base64url of a good token is that token', async () => {
  const world = worldOf()
  const good = tokenOf({ claims: { pad: 'x' } })
  const [head = '', body = '', signature = ''] = good.split('.')
  const loose = (part: string) => {
    const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
    return part.slice(0, -1) + alphabet[alphabet.indexOf(part.at(-1) as string) ^ 1]
  }
  assert.equal(signature.length % 4, 2, 'the last character of an ES256 signature has four loose bits')
  for (const token of [
    `${head}.${body}.${loose(signature)}`,
    `${head}.${body}.${signature}==`,
    `${head}=.${body}.${signature}`,
    `${head}. ${body}.${signature}`,
    `${head}.${body}\n.${signature}`,
    `${good} `,
    `${head}.${body}.${signature}A`,
    `${head}.${body}.`,
    `${head}.${body}`,
    `.${body}.${signature}`,
    `${head}..${signature}`,
    '..',
    '',
    '.',
    'a',
  ]) {
    assert.equal(await world.say(token), 'token-invalid', JSON.stringify(token.slice(-40)))
  }
  assert.equal(await world.say(good), 'continue')
})

test('T23: signatures of the wrong length, or all zero, are refused', async () => {
  const world = worldOf()
  const input = tokenOf().split('.').slice(0, 2).join('.')
  for (const bytes of [
    Buffer.alloc(64),
    Buffer.alloc(1),
    Buffer.alloc(63, 1),
    Buffer.alloc(65, 1),
    Buffer.alloc(64, 255),
  ]) {
    assert.equal(await world.say(`${input}.${bytes.toString('base64url')}`), 'token-invalid')
  }
  const der = sign('sha256', Buffer.from(input), KEY.privateKey).toString('base64url')
  assert.equal(await world.say(`${input}.${der}`), 'token-invalid', 'DER is another encoding')
})

test('T23: any one character of a good token changed is refused', async () => {
  const world = worldOf()
  const good = tokenOf()
  const characters = fc.constantFrom(...'ABab01-_.=+/ ~\u00e9')
  await fc.assert(
    fc.asyncProperty(fc.nat(good.length - 1), characters, async (at, character) => {
      if (good[at] === character) return
      const said = await world.say(good.slice(0, at) + character + good.slice(at + 1), { peer: peerOf(`shop/a${at}`) })
      assert.notEqual(said, 'continue')
    }),
    { numRuns: 1_000 },
  )
})

test('the shell says no to any string, and never throws', async () => {
  const world = worldOf()
  const part = fc.oneof(fc.base64String(), fc.json().map(encode), fc.string({ unit: 'binary' }))
  const dotted = fc.array(part, { maxLength: 6 }).map((parts) => parts.join('.'))
  await fc.assert(
    fc.asyncProperty(fc.oneof(dotted, fc.string({ unit: 'binary' })), async (text) => {
      const said = await world.say(text)
      assert.ok(['token-invalid', 'two-tokens'].includes(said), said)
    }),
    { numRuns: 2_000 },
  )
})

test('T24: two tokens at once are 400, even if both are good', async () => {
  const good = tokenOf()
  const both = worldOf({ locations: [...CONFIG.locations, { kind: 'cookie', name: 'sid' }] })
  for (const headers of [
    { authorization: [`Bearer ${good}`, `Bearer ${good}`] },
    { authorization: `Bearer ${good}, Bearer ${good}` },
    { authorization: `Bearer ${good}`, cookie: `sid=${good}` },
    { cookie: `sid=${good}; sid=${good}` },
  ]) {
    const { verdict } = await both.ask(undefined, { headers })
    assert.equal(denyOf(verdict).denial.name, 'two-tokens')
    assert.equal(denyOf(verdict).denial.status, 400)
    assert.equal(challengeOf(verdict), 'Bearer error="invalid_request"')
  }
  assert.equal(await both.say(undefined, { headers: { cookie: `sid=${good}` } }), 'continue')
})

/* Keys that come and go. */

test('F07: keys that were never received are 503, and asked for', async () => {
  const world = worldOf({}, { keys: false })
  const { verdict } = await world.ask(tokenOf())
  assert.equal(denyOf(verdict).denial.name, 'keys-unavailable')
  assert.equal(denyOf(verdict).denial.status, 503)
  assert.deepEqual(denyOf(verdict).headers, [['retry-after', '5']])
  assert.deepEqual(world.refreshed, ['corp'])
  assert.equal(await world.say('garbage'), 'token-invalid', 'what no key could make good is refused as ever')
  assert.equal(await world.say(undefined), 'token-missing')
  world.publish('corp', [KEY])
  assert.equal(await world.say(tokenOf()), 'continue')
})

test('F07: keys that come with the first question are used for it', async () => {
  const world = worldOf({}, { keys: false })
  world.onRefresh = () => world.publish('corp', [KEY])
  assert.equal(await world.say(tokenOf()), 'continue')
})

test('F07: an empty set of keys is a set of keys: nobody is let in by it', async () => {
  const world = worldOf()
  world.publish('corp', [])
  assert.equal(await world.say(tokenOf()), 'token-invalid')
})

test('F07: a refresh that fails is not a yes', async () => {
  const world = worldOf({}, { keys: false })
  world.onRefresh = () => Promise.reject(new Error('no session'))
  await assert.rejects(world.ask(tokenOf()), /no session/)
})

test('F08: a key that is published before it signs loses no request', async () => {
  const world = worldOf()
  world.onRefresh = async () => {
    await new Promise((resolve) => setImmediate(resolve))
    world.publish('corp', [KEY, NEXT_KEY])
  }
  const requests = Array.from({ length: 500 }, (_, i) => world.say(tokenOf({ key: NEXT_KEY, claims: { jti: `${i}` } })))
  assert.deepEqual(new Set(await Promise.all(requests)), new Set(['continue']))
  assert.equal(await world.say(tokenOf()), 'continue', 'the old key is still good')
})

test('F08: a key that is gone takes the tokens it verified with it', async () => {
  const world = worldOf()
  const token = tokenOf()
  assert.equal(await world.say(token), 'continue')
  world.publish('corp', [NEXT_KEY])
  assert.equal(await world.say(token), 'token-invalid')
  world.publish('corp', [KEY, NEXT_KEY])
  assert.equal(await world.say(token), 'continue')
  world.publish('corp', undefined)
  assert.equal(await world.say(token), 'keys-unavailable')
})

test('F08: a key under an old name is another key', async () => {
  const world = worldOf()
  const token = tokenOf()
  assert.equal(await world.say(token), 'continue')
  world.publish('corp', [FOREIGN_KEY])
  assert.equal(await world.say(token), 'token-invalid')
  const ofForeign = tokenOf({ key: FOREIGN_KEY })
  assert.equal(await world.say(ofForeign), 'continue')
  world.publish('corp', [KEY])
  assert.equal(await world.say(token), 'continue', 'a refusal by old keys is not remembered against new ones')
})

test('F08: a push about another issuer verifies nothing anew', async () => {
  const world = worldOf()
  await world.ask(tokenOf())
  world.publish('partner', [NEXT_KEY])
  assert.equal(await world.say(tokenOf()), 'continue')
  const token = tokenOf({ claims: { jti: 'a' } })
  await world.ask(token)
  const before = world.verified.count
  world.publish('corp', [KEY])
  world.publish('partner', [])
  assert.equal(await world.say(token), 'continue')
  assert.equal(world.verified.count, before)
})

test('T25: a name that the issuer does not have is asked for once, then refused for a while without asking', async () => {
  const world = worldOf()
  const unknown = (jti: string) => tokenOf({ header: { kid: 'unknown' }, claims: { jti } })
  for (let i = 0; i < 50; i++) assert.equal(await world.say(unknown(`${i}`)), 'token-invalid')
  assert.equal(world.refreshed.length, 1)
  world.advance(5_000)
  await world.ask(unknown('later'))
  assert.equal(world.refreshed.length, 2)
  world.onRefresh = () => {}
  world.publish('corp', [KEY, { ...NEXT_KEY, kid: 'unknown', jwk: { ...NEXT_KEY.jwk, kid: 'unknown' } }])
  const now = tokenOf({ key: { ...NEXT_KEY, kid: 'unknown' } })
  assert.equal(await world.say(now), 'continue', 'once it is published, at once')
})

test('T25: a flood of unknown names from one source is cut off, and others notice nothing', async () => {
  const world = worldOf()
  const flood = peerOf('shop/evil')
  const said: Record<string, number> = {}
  for (let i = 0; i < 2_000; i++) {
    const name = await world.say(tokenOf({ header: { kid: `no-${i}` } }), { peer: flood })
    said[name] = (said[name] ?? 0) + 1
  }
  assert.deepEqual(said, { 'token-invalid': BAD_TOKEN_BURST, 'too-many-bad-tokens': 2_000 - BAD_TOKEN_BURST })
  assert.equal(world.refreshed.length, BAD_TOKEN_BURST)
  assert.equal(await world.say(tokenOf()), 'continue')
})

test('T25: requests that wait for newer keys are bounded', async () => {
  const world = worldOf()
  const { promise, resolve } = Promise.withResolvers<void>()
  world.onRefresh = () => promise
  const [head, , signature] = tokenOf({ header: { kid: 'key-9' } }).split('.')
  const asked = Array.from({ length: MAX_WAITING + 10 }, (_, i) =>
    world.say(`${head}.${encode(JSON.stringify({ ...CLAIMS, jti: i }))}.${signature}`),
  )
  assert.deepEqual(new Set(await Promise.all(asked.slice(MAX_WAITING))), new Set(['keys-unavailable']))
  resolve()
  assert.equal(await asked[0], 'token-invalid')
  await Promise.all(asked)
})

test('T25: unique bad signatures from one source are cut off; its known tokens and everybody else pass', async () => {
  const world = worldOf()
  const peer = peerOf('shop/busy')
  const known = tokenOf()
  assert.equal(await world.say(known, { peer }), 'continue')
  const bad = tokenOf().split('.').slice(0, 2).join('.')
  const forged = (i: number) => `${bad}.${hash('sha512', `${i}`, 'base64url')}`
  const names = []
  for (let i = 0; i < BAD_TOKEN_BURST + 10; i++) names.push(await world.say(forged(i), { peer }))
  assert.equal(names.filter((name) => name === 'token-invalid').length, BAD_TOKEN_BURST)
  const { verdict } = await world.ask(forged(999), { peer })
  assert.equal(denyOf(verdict).denial.status, 429)
  assert.deepEqual(denyOf(verdict).headers, [['retry-after', '1']])
  assert.equal(await world.say(known, { peer }), 'continue')
  assert.equal(await world.say(known, { peer: { ...peer } }), 'continue', 'on another connection too')
  assert.equal(await world.say(tokenOf({ claims: { jti: 'new' } })), 'continue')
  world.advance(1_000)
  assert.equal(await world.say(tokenOf({ claims: { jti: 'newer' } }), { peer }), 'continue')
})

test('good tokens cost no budget, however many there are', async () => {
  const world = worldOf()
  const peer = peerOf('shop/gateway')
  for (let i = 0; i < BAD_TOKEN_BURST * 3; i++) {
    assert.equal(await world.say(tokenOf({ claims: { jti: `${i}` } }), { peer }), 'continue')
  }
})

/* The cache. */

test('a token is verified once, on whatever connection it comes', async () => {
  const world = worldOf()
  const token = tokenOf()
  const peer = peerOf('shop/a')
  for (let i = 0; i < 5; i++) {
    const { facts } = await world.ask(token, i < 3 ? { peer } : {})
    assert.equal(facts.token?.subject, 'u1')
  }
  assert.equal(world.verified.count, 1)
  assert.deepEqual(world.counts, { tokens_verified: 1, tokens_cached: 4 })
})

test('a hit is answered at once, not in a later turn', async () => {
  const world = worldOf()
  const request = requestOf({ headers: { authorization: `Bearer ${tokenOf()}` } })
  await world.check(request, {})
  assert.equal((world.check(request, {}) as Verdict).kind, 'continue')
})

test('F10: a hit counts only before exp, not before nbf, and for as long as the issuer lets it', async () => {
  const world = worldOf()
  const token = tokenOf({ claims: { exp: NOW_S + 1_000, nbf: NOW_S - 10 } })
  await world.ask(token)
  world.advance(299_000)
  await world.ask(token)
  assert.equal(world.verified.count, 1)
  world.advance(1_000)
  assert.equal(await world.say(token), 'continue')
  assert.equal(world.verified.count, 2, 'older than maxAge: verified again')

  world.jump(800_000)
  assert.equal(await world.say(token), 'token-expired', 'the clock jumped beyond exp and skew')
  world.jump(-1_200_000)
  assert.equal(await world.say(token), 'token-not-yet-valid', 'the clock jumped back before nbf')
  world.jump(400_000)
  assert.equal(await world.say(token), 'continue')
})

test('F10: between exp and the skew a token is good, and verified each time', async () => {
  const world = worldOf()
  const token = tokenOf({ claims: { exp: NOW_S + 10 } })
  await world.ask(token)
  world.advance(30_000)
  assert.equal(await world.say(token), 'continue')
  assert.equal(await world.say(token), 'continue')
  assert.equal(world.verified.count, 3)
  world.advance(40_000)
  assert.equal(await world.say(token), 'token-expired')
})

test('a bad token is remembered for seconds, apart from the good ones', async () => {
  const world = worldOf()
  const bad = tokenOf({ key: FOREIGN_KEY })
  for (let i = 0; i < 10; i++) assert.equal(await world.say(bad), 'token-invalid')
  assert.equal(world.verified.count, 1)
  world.advance(10_000)
  await world.ask(bad)
  assert.equal(world.verified.count, 2)
})

test('no memory holds a token', async () => {
  const world = worldOf()
  const tokens = [tokenOf(), tokenOf({ key: FOREIGN_KEY }), tokenOf({ header: { kid: 'x' } })]
  for (const token of tokens) await world.ask(token)
  const seen = new Set<unknown>()
  const strings: string[] = []
  const walk = (value: unknown): void => {
    if (typeof value === 'string') strings.push(value)
    if (typeof value !== 'object' || value === null || seen.has(value)) return
    seen.add(value)
    if (value instanceof Map) for (const pair of value) pair.forEach(walk)
    for (const name of Reflect.ownKeys(value)) walk((value as Record<PropertyKey, unknown>)[name])
  }
  walk(world.memory)
  for (const token of tokens) {
    for (const part of [token, token.split('.')[2] as string]) assert.ok(!strings.some((text) => text.includes(part)))
  }
})

interface IssuerMemory {
  readonly tokens: { readonly size: number; readonly bytes: number }
  readonly signatures: { readonly size: number; readonly bytes: number }
  readonly unknownKids: { readonly size: number }
}

function issuerMemoryOf({ memory }: World): IssuerMemory {
  return [...memory].find(([key]) => key.startsWith('issuer '))?.[1] as IssuerMemory
}

test('the cache stays within its entries and bytes, overfilled', async () => {
  const cache = { maxEntries: 50, maxBytes: 100_000, maxAgeMs: 300_000 }
  for (const pad of ['', 'x'.repeat(2_000)]) {
    const world = worldOf({ issuers: [{ ...CORP, cache }] })
    for (let i = 0; i < 300; i++) {
      const token = tokenOf({ claims: { jti: `${i}`, pad } })
      for (let again = 0; again < 3; again++) assert.equal(await world.say(token), 'continue')
    }
    const { tokens, signatures } = issuerMemoryOf(world)
    assert.equal(world.verified.count, 300)
    assert.ok(tokens.size > 2 && signatures.size > 40, `${tokens.size} whole, ${signatures.size} signatures`)
    assert.ok(tokens.size + signatures.size <= cache.maxEntries, `${tokens.size} and ${signatures.size} entries`)
    assert.ok(tokens.bytes + signatures.bytes <= cache.maxBytes, `${tokens.bytes} and ${signatures.bytes} bytes`)
  }
})

test('tokens that come in turn are each verified once, and only the few that come often are kept whole', async () => {
  const cache = { maxEntries: 400, maxBytes: 100_000, maxAgeMs: 300_000 }
  const world = worldOf({ issuers: [{ ...CORP, cache }] })
  const inTurn = Array.from({ length: 300 }, (_, i) => tokenOf({ claims: { sub: `u${i}` } }))
  for (let round = 0; round < 3; round++) {
    for (const [i, token] of inTurn.entries()) {
      const { verdict, facts } = await world.ask(token)
      assert.equal(verdict.kind, 'continue')
      assert.equal(facts.token?.subject, `u${i}`)
      assert.deepEqual({ ...facts.token.claims }, { ...CLAIMS, sub: `u${i}` })
    }
  }
  assert.deepEqual(world.counts, { tokens_verified: 300, tokens_cached: 600 })
  assert.equal(issuerMemoryOf(world).tokens.size, 0)

  const often = inTurn.slice(0, 5)
  for (let round = 0; round < 3; round++) for (const token of often) await world.ask(token)
  assert.equal(world.verified.count, 300)
  assert.equal(issuerMemoryOf(world).tokens.size, 5)
})

test('F10: a signature that is known makes no token good whose time is over, or has not come', async () => {
  const world = worldOf()
  const token = tokenOf({ claims: { exp: NOW_S + 100, nbf: NOW_S - 10 } })
  await world.ask(token)
  world.jump(200_000)
  assert.equal(await world.say(token), 'token-expired')
  world.jump(-400_000)
  assert.equal(await world.say(token), 'token-not-yet-valid')
  world.jump(200_000)
  assert.equal(await world.say(token), 'continue')
  assert.equal(world.verified.count, 1)
})

test('F08: a signature that is known by keys that are gone is not known', async () => {
  const world = worldOf()
  const token = tokenOf()
  await world.ask(token)
  world.publish('corp', [FOREIGN_KEY])
  assert.notEqual(await world.say(token), 'continue')
  world.publish('corp', [KEY])
  assert.equal(await world.say(token), 'continue')
  assert.equal(world.counts['tokens_verified'], 2)
})

test('T25: what is remembered of bad tokens and unknown names stays within its bounds, overfilled', async () => {
  const world = worldOf()
  const bad = tokenOf().split('.').slice(0, 2).join('.')
  for (let i = 0; i < MAX_REFUSED_TOKENS * 2; i++) {
    const clientIp = `10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`
    await world.ask(tokenOf({ header: { kid: `no-${i}` } }), { clientIp })
    await world.ask(`${bad}.${hash('sha512', `${i}`, 'base64url')}`, { clientIp })
  }
  const issuer = issuerMemoryOf(world)
  const refused = [...world.memory].find(([key]) => key.startsWith('refused '))?.[1] as { readonly size: number }
  assert.ok(issuer.unknownKids.size <= MAX_UNKNOWN_KIDS && issuer.unknownKids.size > 0)
  assert.ok(refused.size <= MAX_REFUSED_TOKENS && refused.size > 0)
})

test('memory outlives a change of policy, but not one of the issuer', async () => {
  const memory = new Map<string, unknown>()
  const token = tokenOf()
  const first = worldOf({}, { memory })
  await first.ask(token)
  const second = compiled({ ...CONFIG, forward: 'keep' }, first.deps)
  const request = requestOf({ headers: { authorization: `Bearer ${token}` } })
  await second(request, {})
  assert.equal(first.verified.count, 1)
  const third = compiled({ ...CONFIG, issuers: [{ ...CORP, audiences: ['elsewhere'] }] }, first.deps)
  assert.equal(
    denyOf(await third(request, {})).denial.name,
    'token-invalid',
    'one that became stricter believes no old verdict',
  )
})

/* The same verdicts as a slow evaluator that remembers nothing. */

test('with the cache, without it, and by jose: the same tokens are good', async () => {
  const pool = fc.record({
    exp: fc.integer({ min: -200, max: 400 }),
    nbf: fc.option(fc.integer({ min: -100, max: 200 }), { nil: undefined }),
    iat: fc.option(fc.integer({ min: -100, max: 200 }), { nil: undefined }),
    aud: fc.constantFrom('https://api.example', 'https://api.example', 'elsewhere'),
    iss: fc.constantFrom(CORP.issuer, CORP.issuer, 'https://evil.example'),
    key: fc.constantFrom(KEY, KEY, NEXT_KEY, FOREIGN_KEY),
  })
  const step = fc.oneof(
    { weight: 8, arbitrary: fc.record({ kind: fc.constant('ask' as const), token: fc.nat(5), peer: fc.nat(2) }) },
    {
      weight: 2,
      arbitrary: fc.record({ kind: fc.constant('advance' as const), seconds: fc.integer({ min: 1, max: 200 }) }),
    },
    {
      weight: 1,
      arbitrary: fc.record({ kind: fc.constant('jump' as const), seconds: fc.integer({ min: -300, max: 300 }) }),
    },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('publish' as const), keys: fc.subarray([KEY, NEXT_KEY]) }) },
  )
  await fc.assert(
    fc.asyncProperty(
      fc.array(pool, { minLength: 6, maxLength: 6 }),
      fc.array(step, { maxLength: 40 }),
      async (words, steps) => {
        const tokens = words.map(({ exp, nbf, iat, aud, iss, key }) => ({
          iat: iat === undefined ? undefined : NOW_S + iat,
          text: tokenOf({
            key,
            claims: {
              exp: NOW_S + exp,
              nbf: nbf === undefined ? undefined : NOW_S + nbf,
              iat: iat === undefined ? undefined : NOW_S + iat,
              aud,
              iss,
            },
          }),
        }))
        const cached = worldOf()
        const uncached = worldOf({ issuers: [{ ...CORP, cache: { ...CORP.cache, maxEntries: 0 } }] })
        const peers: Peer[] = [peerOf('shop/a'), peerOf('shop/b'), peerOf(undefined)]
        let jwks: JSONWebKeySet = { keys: [KEY.jwk as never] }
        for (const action of steps) {
          switch (action.kind) {
            case 'ask': {
              const { text, iat } = tokens[action.token]!
              const peer = peers[action.peer]!
              const expected = await isGoodByJose(text, jwks, cached.deps.clock.now() / 1_000, iat)
              for (const world of [cached, uncached]) {
                assert.equal((await world.say(text, { peer })) === 'continue', expected)
              }
              break
            }
            case 'advance':
              for (const world of [cached, uncached]) world.advance(action.seconds * 1_000)
              break
            case 'jump':
              for (const world of [cached, uncached]) world.jump(action.seconds * 1_000)
              break
            case 'publish':
              jwks = { keys: action.keys.map(({ jwk }) => jwk as never) }
              for (const world of [cached, uncached]) world.publish('corp', action.keys)
          }
        }
      },
    ),
    { numRuns: 60 },
  )
})

async function isGoodByJose(
  token: string,
  jwks: JSONWebKeySet,
  nowS: number,
  iat: number | undefined,
): Promise<boolean> {
  try {
    await jwtVerify(token, createLocalJWKSet(jwks), {
      issuer: CORP.issuer,
      audience: [...CORP.audiences],
      algorithms: [...CORP.algorithms],
      requiredClaims: ['exp'],
      clockTolerance: 60,
      currentDate: new Date(nowS * 1_000),
    })
    // jose looks at iat only where a maximal age is asked for.
    return iat === undefined || iat <= nowS + 60
  } catch {
    return false
  }
}

/* Configs and explanations. */

test('a config that is not understood whole is not taken', () => {
  for (const [change, path] of [
    [{ surprise: true }, 'surprise'],
    [{ issuers: [] }, 'issuers'],
    [{ issuers: [{ ...CORP, algorithms: ['none'] }] }, 'issuers.0.algorithms.0'],
    [{ issuers: [{ ...CORP, algorithms: ['HS256'] }] }, 'issuers.0.algorithms.0'],
    [{ issuers: [{ ...CORP, audiences: [] }] }, 'issuers.0.audiences'],
    [{ issuers: [{ ...CORP, clockSkewMs: 300_001 }] }, 'issuers.0.clockSkewMs'],
    [{ issuers: [{ ...CORP, maxTokenBytes: 8_193 }] }, 'issuers.0.maxTokenBytes'],
    [{ locations: [] }, 'locations'],
    [{ forward: 'pass' }, 'forward'],
  ] as const) {
    const decoded = jwt.decode({ ...CONFIG, ...change })
    assert.deepEqual(decoded.ok ? undefined : decoded.issues.map((found) => found.path), [path])
  }
  const bad = jwt.compile(
    { ...CONFIG, exempt: [{ methods: [], paths: ['x'] }], claimHeaders: [{ claim: 'x', header: 'x-a' }] },
    worldOf().deps,
  )
  assert.deepEqual(bad.ok ? [] : bad.issues.map(({ path }) => path), ['exempt[0].paths[0]', 'claimHeaders[0].claim'])
})

test('every denial that a check returns is listed', async () => {
  const names = new Set(jwt.denials.map(({ name }) => name))
  assert.deepEqual([...names].sort(), [
    'keys-unavailable',
    'token-expired',
    'token-invalid',
    'token-lives-too-long',
    'token-missing',
    'token-not-yet-valid',
    'token-revoked',
    'too-many-bad-tokens',
    'two-tokens',
  ])
})

test('an explanation comes out as the check does, wherever no signature or clock is needed', async () => {
  const config: JwtConfig = {
    ...CONFIG,
    issuers: [CORP, { ...CORP, name: 'partner', issuer: 'https://partner.example' }],
    exempt: [{ methods: ['GET'], paths: ['/healthz', '/open/{**}'] }],
    exemptWithin: [[{ methods: [], paths: ['/healthz'] }]],
  }
  const token = fc.constantFrom(
    undefined,
    tokenOf(),
    tokenOf({ claims: { aud: 'elsewhere' } }),
    tokenOf({ claims: { iss: 'https://evil.example' } }),
    tokenOf({ header: { alg: 'none' } }),
    tokenOf({ header: { typ: 'x' } }),
    'garbage',
  )
  await fc.assert(
    fc.asyncProperty(
      token,
      fc.boolean(),
      fc.boolean(),
      fc.constantFrom('/healthz', '/open/a', '/orders'),
      fc.constantFrom('GET', 'POST'),
      async (text, twice, required, path, method) => {
        const world = worldOf({ ...config, required })
        const value = `Bearer ${text}`
        const headers = text === undefined ? {} : { authorization: twice ? [value, value] : value }
        const request = requestOf({ path, method, headers })
        const facts: Facts = {}
        const verdict = await world.check(request, facts)
        // As whoever explains a decision has it: with the facts that were found.
        const lines = jwt.explain({ ...config, required }, request, facts)
        const last = lines.at(-1)
        assert.equal(last?.rule, undefined)
        assert.equal(last?.outcome, verdict.kind === 'continue' ? 'allowed' : 'denied', JSON.stringify(lines))
        if (text !== undefined) assert.ok(!JSON.stringify(lines).includes(text.split('.').at(-1) as string))
      },
    ),
    { numRuns: 200 },
  )
})

test('an explanation of an exempt request shows the checks after it no token, as the check does', async () => {
  const config = { ...CONFIG, exempt: [{ methods: [], paths: ['/healthz'] }] }
  const asked: Facts = { token: { issuer: 'corp', iss: CORP.issuer, claims: {}, expiresAt: 0 } }
  assert.equal(jwt.explain(config, requestOf({ path: '/healthz' }), asked).at(-1)?.outcome, 'allowed')
  const { facts } = await worldOf(config).ask(tokenOf(), { path: '/healthz' })
  assert.deepEqual([asked.token, asked.exempt], [facts.token, facts.exempt])
})

test('an explanation names the field, what was expected and what came', () => {
  const request = (token: string) => requestOf({ headers: { authorization: `Bearer ${token}` } })
  const lineOf = (token: string, config = CONFIG) => {
    const { field, expected, got } = jwt.explain(config, request(token), {})[0]!
    return { field, expected, got }
  }
  assert.deepEqual(lineOf(tokenOf({ claims: { aud: ['a', 'b'] } })), {
    field: 'aud',
    expected: 'https://api.example',
    got: '["a","b"]',
  })
  assert.deepEqual(lineOf(tokenOf({ claims: { iss: 'https://evil.example' } })), {
    field: 'iss',
    expected: 'https://corp.example',
    got: 'https://evil.example',
  })
  assert.deepEqual(lineOf(tokenOf({ header: { typ: 'id+jwt' } })), {
    field: 'typ',
    expected: 'at+jwt, jwt',
    got: 'id+jwt',
  })
  assert.deepEqual(
    jwt.explain(CONFIG, requestOf(), {}).map(({ outcome, field, got, change }) => ({ outcome, field, got, change })),
    [{ outcome: 'denied', field: 'token', got: 'none', change: 'send a token of corp' }],
  )
})

test('claims alone explain what a token with them would do', () => {
  const explain = (claims: Json, issuer = 'corp') =>
    jwt.explain(CONFIG, requestOf(), { token: { issuer, iss: CORP.issuer, claims, expiresAt: 0 } }).at(-1)?.outcome
  assert.equal(explain({ sub: 'u1' }), 'allowed', 'what is left out is taken to be right')
  assert.equal(explain({ sub: 'u1', aud: 'https://api.example' }), 'allowed')
  assert.equal(explain({ sub: 'u1', aud: 'elsewhere' }), 'denied')
  assert.equal(explain({ sub: 'u1' }, 'unknown'), 'denied')
})

/* Revoked. */

test('T26: a revoked token is refused at once, wherever it was remembered, and one that was never seen is too', async () => {
  const world = worldOf()
  const revocations = testRevocations()
  const check = compiled(CONFIG, { ...world.deps, revocations })
  const token = tokenOf({ claims: { jti: 'j1' } })
  const other = tokenOf({ claims: { jti: 'j2' } })
  const ask = async (text: string, peer: Peer) =>
    check(requestOf({ peer, headers: { authorization: `Bearer ${text}` } }), {})
  const [known, stranger] = [peerOf('shop/a'), peerOf('shop/b')]
  for (const text of [token, token, other]) assert.equal((await ask(text, known)).kind, 'continue')

  revocations.revoke(({ jti }) => (jti === 'j1' ? 'lost-phone' : undefined))
  for (const peer of [known, stranger, known]) {
    const verdict = await ask(token, peer)
    const { denial, detail, headers } = denyOf(verdict)
    assert.deepEqual(
      [denial.status, denial.name, detail],
      [401, 'token-revoked', 'revoked by TokenRevocation lost-phone'],
    )
    assert.deepEqual(headers, [['www-authenticate', 'Bearer error="invalid_token"']])
  }
  assert.equal((await ask(other, stranger)).kind, 'continue')
  assert.equal(denyOf(await ask(tokenOf({ claims: { jti: 'j1', sub: 'u9' } }), known)).denial.name, 'token-revoked')

  revocations.revoke(() => undefined)
  assert.equal((await ask(token, known)).kind, 'continue')
})

test('revocations are asked by issuer, kid, jti, sub and iat, and once for a token after each push', async () => {
  const world = worldOf()
  const asked: unknown[] = []
  const revocations = testRevocations()
  const listen = () =>
    revocations.revoke((token) => {
      asked.push(token)
      return undefined
    })
  listen()
  const check = compiled(CONFIG, { ...world.deps, revocations })
  const headers = { authorization: `Bearer ${tokenOf({ claims: { jti: 'j1', sub: 'ann' } })}` }
  const peer = peerOf('shop/a')
  for (let i = 0; i < 3; i++) await check(requestOf({ peer, headers }), {})
  assert.deepEqual(asked, [{ issuer: 'corp', kid: 'key-1', jti: 'j1', sub: 'ann', issuedAt: NOW_S }])
  listen()
  for (let i = 0; i < 3; i++) await check(requestOf({ peer, headers }), {})
  assert.equal(asked.length, 2)
})
