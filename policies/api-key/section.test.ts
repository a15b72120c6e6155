import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Levels } from '../../model/section.ts'
import { attached, contextOf, levelsOf, meshWide, secretsOf } from '../testing/context.ts'
import { schemaFaults } from '../testing/schema-conventions.ts'
import { MAX_KEYS } from './config.ts'
import { formatKeyEntry, keyEntryName, parseKeyEntry } from './key-entry.ts'
import { API_KEYS_SCHEMA } from './schema.ts'
import { type ApiKeyAuthenticationSpec, apiKeySection } from './section.ts'

const hashOf = (letter: string) => letter.repeat(43)
const entry = (client: string, letter: string, expiresAtMs?: number) =>
  formatKeyEntry({ client, sha256: hashOf(letter), ...(expiresAtMs !== undefined && { expiresAtMs }) })

const secret = secretsOf({
  'shop/partners': { 'acme.1': entry('acme', 'a'), 'acme.2': entry('acme', 'b', 1_800_000_000_000) },
  'shop/others': { 'globex.1': entry('globex', 'c') },
  'shop/broken': { 'acme.1': entry('acme', 'a'), key: 'hauberk_in-the-clear' },
  'shop/copied': { mine: entry('mallory', 'a') },
  'shop/sooner': { 'acme.1': entry('acme', 'a', 1_700_000_000_000) },
  'hauberk-system/mesh': { 'platform.1': entry('platform', 'd') },
})

function come(levels: Partial<Levels<ApiKeyAuthenticationSpec>>) {
  const context = contextOf({ secret })
  const combined = apiKeySection.combine(levelsOf(levels), context)
  if (combined === undefined) return undefined
  return { combined, config: apiKeySection.translate(combined.value, context) }
}

function configOf(levels: Partial<Levels<ApiKeyAuthenticationSpec>>) {
  const { config } = come(levels) ?? assert.fail('nothing is asked')
  assert.ok(config.ok, JSON.stringify(config))
  return config.value
}

function issuesOf(levels: Partial<Levels<ApiKeyAuthenticationSpec>>) {
  const { config } = come(levels) ?? assert.fail('nothing is asked')
  assert.ok(!config.ok)
  return config.issues.map(({ code, path, resource }) => [code, path, resource])
}

const partners: ApiKeyAuthenticationSpec = { apiKeys: { secretRef: { name: 'partners' } } }

test('a policy that names a Secret asks for a key of it, in the header x-api-key', () => {
  assert.deepEqual(configOf({ policies: [attached('p', partners)] }), {
    required: true,
    keys: [
      { client: 'acme', sha256: hashOf('a') },
      { client: 'acme', sha256: hashOf('b'), expiresAtMs: 1_800_000_000_000 },
    ],
    locations: [{ kind: 'header', name: 'x-api-key' }],
    exempt: [],
    exemptWithin: [],
  })
})

test('nothing is asked where nobody speaks of keys, or where there are no requests', () => {
  assert.equal(come({ policies: [attached('p', { exempt: [{ paths: ['/healthz'] }] })] }), undefined)
  const tcp = contextOf({ secret, protocol: 'tcp' })
  assert.equal(apiKeySection.combine(levelsOf({ policies: [attached('p', partners)] }), tcp), undefined)
})

test('Secrets of policies add up, and those of defaults count where no policy names one', () => {
  const clients = (levels: Partial<Levels<ApiKeyAuthenticationSpec>>) =>
    configOf(levels).keys.map(({ client }) => client)
  const others = attached('q', { apiKeys: { secretRef: { name: 'others' } } })
  const defaults = [meshWide('m', { apiKeys: { secretRef: { name: 'mesh' } } })]
  assert.deepEqual(clients({ policies: [attached('p', partners), others], defaults }), ['acme', 'acme', 'globex'])
  assert.deepEqual(clients({ policies: [attached('p', { apiKeys: { required: true } })], defaults }), ['platform'])
})

test('where a floor says which keys there are, nobody below writes himself another', () => {
  const levels = {
    floor: [meshWide('f', { apiKeys: { secretRef: { name: 'mesh' } } })],
    policies: [attached('p', { apiKeys: { required: false, secretRef: { name: 'partners' } } })],
  }
  const { required, keys } = configOf(levels)
  assert.deepEqual([required, keys.map(({ client }) => client)], [true, ['platform']])
  assert.deepEqual(
    come(levels)?.combined.notApplied?.map(({ path, weakensFloor }) => [path, weakensFloor]),
    [['authentication.apiKeys.secretRef', true]],
  )
})

test('a key is required as soon as one policy says so, or leaves it open', () => {
  const optional = attached('p', { apiKeys: { ...partners.apiKeys, required: false } })
  assert.equal(configOf({ policies: [optional] }).required, false)
  assert.equal(configOf({ policies: [optional, attached('q', partners)] }).required, true)
  const floor = [meshWide('f', { apiKeys: { required: true } })]
  assert.equal(configOf({ floor, policies: [optional] }).required, true)
})

test('exemptions count where each floor that speaks of keys or exemptions permits them', () => {
  const exempt = [{ paths: ['/healthz'] }, { paths: ['no path'] }]
  const policies = [attached('p', partners), attached('q', { exempt })]
  assert.deepEqual(configOf({ policies }).exempt, [{ methods: [], paths: ['/healthz'] }])
  const floor = [meshWide('f', { apiKeys: { required: true } })]
  assert.deepEqual(configOf({ floor, policies }).exempt, [])
  const permitting = [meshWide('f', { apiKeys: { required: true }, allowExempt: [{ paths: ['/healthz'] }] })]
  assert.deepEqual(configOf({ floor: permitting, policies }).exemptWithin, [[{ methods: [], paths: ['/healthz'] }]])
})

test('a Secret that is not there, is not readable or copies a key closes the section, and says whose it is', () => {
  const by = (name: string) => ({ policies: [attached('p', { apiKeys: { secretRef: { name } } })] })
  const path = 'authentication.apiKeys.secretRef'
  const resource = 'SecurityPolicy/shop/p'
  assert.deepEqual(issuesOf(by('missing')), [['secret-not-resolved', path, resource]])
  assert.deepEqual(issuesOf(by('broken')), [['malformed-api-key', path, resource]])
  assert.deepEqual(
    issuesOf({ policies: [attached('p', partners), attached('q', { apiKeys: { secretRef: { name: 'copied' } } })] }),
    [['duplicate-api-key', path, 'SecurityPolicy/shop/q']],
  )
  assert.deepEqual(issuesOf({ policies: [attached('p', { apiKeys: { required: true } })] }), [
    ['no-api-keys', path, undefined],
  ])
})

test('T31: what is said of an entry that is no entry does not show what is in it', () => {
  const { config } =
    come({ policies: [attached('p', { apiKeys: { secretRef: { name: 'broken' } } })] }) ?? assert.fail()
  assert.ok(!JSON.stringify(config).includes('in-the-clear'))
})

test('of two entries for one key, the one that ends first counts', () => {
  const policies = ['partners', 'sooner'].map((name) => attached(name, { apiKeys: { secretRef: { name } } }))
  assert.deepEqual(configOf({ policies }).keys[0], {
    client: 'acme',
    sha256: hashOf('a'),
    expiresAtMs: 1_700_000_000_000,
  })
})

test('more keys than one place takes are refused', () => {
  const many = Object.fromEntries(
    Array.from({ length: MAX_KEYS + 1 }, (_, i) => [
      `k${i}`,
      formatKeyEntry({ client: 'acme', sha256: String(i).padStart(43, '0') }),
    ]),
  )
  const context = contextOf({ secret: secretsOf({ 'shop/many': many }) })
  const policies = [attached('p', { apiKeys: { secretRef: { name: 'many' } } })]
  const combined = apiKeySection.combine(levelsOf({ policies }), context) ?? assert.fail()
  const translated = apiKeySection.translate(combined.value, context)
  assert.deepEqual(!translated.ok && translated.issues.map(({ code }) => code), ['too-many-api-keys'])
})

test('a header that holds keys, or that HTTP uses, tells the application nothing', () => {
  const codes = (apiKeys: NonNullable<ApiKeyAuthenticationSpec['apiKeys']>) =>
    apiKeySection.review({ apiKeys }).map(({ code, path }) => [code, path])
  const path = 'authentication.apiKeys.clientHeader'
  assert.deepEqual(codes({ clientHeader: 'X-Client' }), [])
  assert.deepEqual(codes({ clientHeader: 'x-api-key' }), [['reserved-header', path]])
  assert.deepEqual(codes({ clientHeader: 'Host' }), [['reserved-header', path]])
  assert.deepEqual(codes({ from: [{ header: 'x-key' }], clientHeader: 'X-Key' }), [['reserved-header', path]])
  assert.deepEqual(codes({ from: [{ header: 'x-key' }, { header: 'X-Key', scheme: 'Key' }] }), [
    ['duplicate-place', 'authentication.apiKeys.from[1]'],
  ])
})

test('an entry reads back as it was written, and names its client and enough of its hash', () => {
  const key = { client: 'acme', sha256: 'AbCdEfGh'.padEnd(43, 'x'), expiresAtMs: 1_800_000_000_000 }
  const parsed = parseKeyEntry(formatKeyEntry(key))
  assert.deepEqual(parsed.ok && parsed.value, key)
  assert.equal(keyEntryName(key), 'acme.AbCdEfGh')
})

test('an entry with anything else in it is refused', () => {
  const good = { client: 'acme', sha256: hashOf('a') }
  for (const wrong of [
    'hauberk_key',
    '[]',
    'null',
    JSON.stringify({ ...good, client: 'Acme' }),
    JSON.stringify({ ...good, client: 'a'.repeat(64) }),
    JSON.stringify({ ...good, sha256: 'short' }),
    JSON.stringify({ ...good, expires: 'tomorrow' }),
    JSON.stringify({ ...good, expires: '2027-13-01T00:00:00Z' }),
    JSON.stringify({ ...good, notBefore: '2027-01-01T00:00:00Z' }),
  ]) {
    assert.equal(parseKeyEntry(wrong).ok, false, wrong)
  }
})

test('the schema keeps to the conventions of our CRDs', () => {
  const { apiKeys } = API_KEYS_SCHEMA['properties'] as { apiKeys: object }
  assert.deepEqual(schemaFaults('apiKeys', apiKeys as never), [])
})
