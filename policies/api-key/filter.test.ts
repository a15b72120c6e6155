import assert from 'node:assert/strict'
import { hash } from 'node:crypto'
import { test } from 'node:test'
import fc from '#fast-check'
import type { Check } from '../../model/filter.ts'
import type { Facts } from '../../model/request.ts'
import type { Verdict } from '../../model/verdict.ts'
import { type TestDeps, testDeps } from '../testing/deps.ts'
import { type RequestWords, requestOf } from '../testing/request.ts'
import type { ApiKeyConfig } from './config.ts'
import { apiKey } from './filter.ts'
import { MAX_KEY_LENGTH } from './key-entry.ts'

const sha256 = (text: string) => hash('sha256', text, 'base64url')

const ACME = 'hauberk_acme-first-key'
const ACME_NEXT = 'hauberk_acme-second-key'
const GLOBEX = 'hauberk_globex-key'

function depsOf(): TestDeps {
  const deps = testDeps()
  return { ...deps, crypto: { ...deps.crypto, sha256 } }
}

function configOf(words: Partial<ApiKeyConfig> = {}): ApiKeyConfig {
  return {
    required: true,
    keys: [
      { client: 'acme', sha256: sha256(ACME) },
      { client: 'acme', sha256: sha256(ACME_NEXT) },
      { client: 'globex', sha256: sha256(GLOBEX) },
    ],
    locations: [{ kind: 'header', name: 'x-api-key' }],
    exempt: [],
    exemptWithin: [],
    ...words,
  }
}

function checkOf(config: ApiKeyConfig, deps = depsOf()): Check {
  const compiled = apiKey.compile(config, deps)
  assert.ok(compiled.ok)
  return compiled.value
}

function ask(check: Check, words: RequestWords): { verdict: Verdict; facts: Facts } {
  const facts: Facts = {}
  const verdict = check(requestOf(words), facts)
  assert.ok(!(verdict instanceof Promise), 'a key is looked up without waiting')
  return { verdict, facts }
}

function denialOf(verdict: Verdict): string {
  return verdict.kind === 'deny' ? `${verdict.denial.status} ${verdict.denial.name}` : verdict.kind
}

test('each of a client’s keys says who calls, and goes no further', () => {
  const check = checkOf(configOf())
  for (const [key, client] of [
    [ACME, 'acme'],
    [ACME_NEXT, 'acme'],
    [GLOBEX, 'globex'],
  ] as const) {
    const { verdict, facts } = ask(check, { headers: { 'x-api-key': key } })
    assert.equal(verdict.kind, 'continue')
    assert.equal(facts.client?.id, client)
    assert.deepEqual(facts.removeRequestHeaders, ['x-api-key'])
  }
})

test('a request without a key, with a wrong one and with an expired one is told which, by 401', () => {
  const deps = depsOf()
  const expiresAtMs = deps.clock.now() + 1_000
  const check = checkOf(configOf({ keys: [{ client: 'acme', sha256: sha256(ACME), expiresAtMs }] }), deps)
  const keyed = { headers: { 'x-api-key': ACME } }
  assert.equal(ask(check, keyed).verdict.kind, 'continue')
  assert.equal(denialOf(ask(check, {}).verdict), '401 api-key-missing')
  assert.equal(denialOf(ask(check, { headers: { 'x-api-key': GLOBEX } }).verdict), '401 api-key-invalid')
  deps.advance(1_000)
  const { verdict, facts } = ask(check, keyed)
  assert.equal(denialOf(verdict), '401 api-key-expired')
  assert.equal(facts.client, undefined)
  assert.deepEqual(verdict.kind === 'deny' && [verdict.rule, verdict.headers], [
    'acme',
    [['www-authenticate', 'ApiKey']],
  ])
})

test('a key that is there and not good is refused also where none is required', () => {
  const check = checkOf(configOf({ required: false }))
  assert.equal(ask(check, {}).verdict.kind, 'continue')
  assert.equal(denialOf(ask(check, { headers: { 'x-api-key': 'guess' } }).verdict), '401 api-key-invalid')
  assert.equal(denialOf(ask(check, { headers: { 'x-api-key': '' } }).verdict), '401 api-key-invalid')
})

test('T24: more than one key in a request is 400, good or not', () => {
  const check = checkOf(
    configOf({
      locations: [
        { kind: 'header', name: 'x-api-key' },
        { kind: 'cookie', name: 'key' },
      ],
    }),
  )
  for (const headers of [
    { 'x-api-key': [ACME, ACME] },
    { 'x-api-key': [ACME, 'guess'] },
    { 'x-api-key': `${ACME}, ${GLOBEX}` },
    { 'x-api-key': ACME, cookie: `key=${ACME}` },
    { cookie: [`key=${ACME}`, `key=${GLOBEX}`] },
  ]) {
    assert.equal(denialOf(ask(check, { headers }).verdict), '400 two-api-keys', JSON.stringify(headers))
  }
})

test('a key in a cookie goes, and the other cookies stay', () => {
  const check = checkOf(configOf({ locations: [{ kind: 'cookie', name: 'key' }] }))
  const { facts } = ask(check, { headers: { cookie: `a=1; key=${ACME}; b=2` } })
  assert.equal(facts.client?.id, 'acme')
  assert.deepEqual(facts.setRequestHeaders, [['cookie', 'a=1; b=2']])
})

test('behind a scheme, a header with another scheme holds no key and stays', () => {
  const check = checkOf(
    configOf({ required: false, locations: [{ kind: 'header', name: 'authorization', scheme: 'apikey' }] }),
  )
  const other = ask(check, { headers: { authorization: 'Bearer a.b.c' } })
  assert.equal(other.verdict.kind, 'continue')
  assert.equal(other.facts.removeRequestHeaders, undefined)
  const own = ask(check, { headers: { authorization: `ApiKey ${ACME}` } })
  assert.equal(own.facts.client?.id, 'acme')
  assert.deepEqual(own.facts.removeRequestHeaders, ['authorization'])
})

test('T12: the application is told who calls by a header that no client can set', () => {
  const check = checkOf(configOf({ required: false, clientHeader: 'x-client' }))
  const keyed = ask(check, { headers: { 'x-api-key': ACME, 'x-client': 'globex' } }).facts
  assert.deepEqual(keyed.removeRequestHeaders, ['x-api-key', 'x-client'])
  assert.deepEqual(keyed.setRequestHeaders, [['x-client', 'acme']])
  const anonymous = ask(check, { headers: { 'x-client': 'globex' } }).facts
  assert.deepEqual(anonymous.removeRequestHeaders, ['x-client'])
  assert.equal(anonymous.setRequestHeaders, undefined)
})

test('an exempt request needs no key, and a key that it has says nothing and goes no further', () => {
  const check = checkOf(configOf({ exempt: [{ methods: ['GET'], paths: ['/healthz'] }] }))
  const { verdict, facts } = ask(check, { path: '/healthz', headers: { 'x-api-key': 'anything' } })
  assert.equal(verdict.kind, 'continue')
  assert.equal(facts.exempt, true)
  assert.equal(facts.client, undefined)
  assert.deepEqual(facts.removeRequestHeaders, ['x-api-key'])
  assert.equal(denialOf(ask(check, { method: 'POST', path: '/healthz' }).verdict), '401 api-key-missing')
})

test('a text that is too long for a key is refused without being hashed', () => {
  const deps = depsOf()
  const hashed: string[] = []
  const crypto = {
    ...deps.crypto,
    sha256(text: string) {
      hashed.push(text)
      return sha256(text)
    },
  }
  const check = checkOf(configOf(), { ...deps, crypto })
  const long = 'k'.repeat(MAX_KEY_LENGTH + 1)
  assert.equal(denialOf(ask(check, { headers: { 'x-api-key': long } }).verdict), '401 api-key-invalid')
  assert.deepEqual(hashed, [])
})

test('T31: no refusal and no explanation holds a key or its hash', () => {
  const deps = depsOf()
  const config = configOf({ keys: [{ client: 'acme', sha256: sha256(ACME), expiresAtMs: 0 }] })
  const check = checkOf(config, deps)
  for (const key of [ACME, GLOBEX, 'guess']) {
    const words = { headers: { 'x-api-key': key } }
    const said = JSON.stringify([ask(check, words).verdict, apiKey.explain(config, requestOf(words), {})])
    for (const secret of [key, sha256(key), ...config.keys.map(({ sha256: each }) => each)]) {
      assert.ok(!said.includes(secret), said)
    }
  }
})

test('a config with one key for two clients is refused', () => {
  const keys = ['acme', 'globex'].map((client) => ({ client, sha256: sha256(ACME) }))
  const compiled = apiKey.compile(configOf({ keys }), depsOf())
  assert.deepEqual(!compiled.ok && compiled.issues.map(({ code, path }) => [code, path]), [
    ['duplicate-api-key', 'keys[1]'],
  ])
})

test('what explain says is what the check does, once it is known whose key is good', () => {
  const keysSent = fc.constantFrom(undefined, ACME, ACME_NEXT, GLOBEX, 'guess', [ACME, ACME], '')
  const paths = fc.constantFrom('/', '/healthz', '/orders')
  const methods = fc.constantFrom('GET', 'POST')
  const entries = fc.array(
    fc.record({
      methods: fc.constantFrom<string[]>(['GET'], []),
      paths: fc.constantFrom<string[]>(['/healthz'], ['/{**}']),
    }),
    {
      maxLength: 2,
    },
  )
  const configs = fc
    .record({
      required: fc.boolean(),
      exempt: entries,
      exemptWithin: fc.array(entries, { maxLength: 2 }),
      knows: fc.constantFrom(0, 1, 3),
    })
    .map(({ knows, ...words }) => configOf({ ...words, keys: configOf().keys.slice(0, knows) }))
  fc.assert(
    fc.property(configs, keysSent, paths, methods, (config, key, path, method) => {
      const words = { path, method, headers: key === undefined ? {} : { 'x-api-key': key } }
      const { verdict, facts } = ask(checkOf(config), words)
      const known: Facts = facts.client === undefined ? {} : { client: facts.client }
      const lines = apiKey.explain(config, requestOf(words), known)
      const [denied, ...others] = lines.filter(({ outcome }) => outcome === 'denied')
      assert.deepEqual(others, [])
      assert.equal(denied?.denial, verdict.kind === 'deny' ? verdict.denial.name : undefined)
      assert.deepEqual([known.client?.id, known.exempt], [facts.client?.id, facts.exempt])
    }),
    { numRuns: 200 },
  )
})
