import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { test } from 'node:test'
import { Ajv } from 'ajv'
import type { JsonSchema } from '../../model/section.ts'
import {
  admitsNamespace,
  issuerConfigOf,
  reviewTokenIssuer,
  type TokenIssuerSpec,
  tokenIssuerSchema,
} from './token-issuer.ts'

const MINIMAL: TokenIssuerSpec = {
  issuer: 'https://corp.example',
  audiences: ['api'],
  jwks: { uri: 'http://auth.identity/jwks' },
}
const JWK = {
  ...(generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({ format: 'jwk' }) as Record<
    string,
    unknown
  >),
  kid: 'a',
}

test('an issuer without allowedNamespaces is for all, else for those named or selected', () => {
  const shop = { name: 'shop', labels: { team: 'books' } }
  const admits = (allowedNamespaces: NonNullable<TokenIssuerSpec['allowedNamespaces']>) =>
    admitsNamespace({ ...MINIMAL, allowedNamespaces }, shop)
  assert.equal(admitsNamespace(MINIMAL, { name: 'any', labels: undefined }), true)
  assert.equal(admits({ names: ['shop'] }), true)
  assert.equal(admits({ names: ['shopping', 'sho'] }), false)
  assert.equal(admits({ selector: { matchLabels: { team: 'books' } } }), true)
  assert.equal(admits({ selector: { matchLabels: { team: 'toys' } } }), false)
  assert.equal(admits({ names: ['other'], selector: {} }), true)
  assert.equal(admits({}), false)
  assert.equal(admits({ selector: { matchLabels: { 'not a key': 'x' } } }), false, 'what does not parse admits nobody')
})

test('durations, types and bounds are read once, here', () => {
  const config = issuerConfigOf(
    'corp',
    {
      ...MINIMAL,
      algorithms: ['ES256'],
      typ: ['application/at+JWT', ''],
      clockSkew: '1m30s',
      limits: { tokenBytes: 4_096, depth: 4 },
      cache: { maxEntries: 0, maxBytes: 0, maxAge: '0s' },
    },
    undefined,
  )
  assert.ok(config.ok)
  const { types, clockSkewMs, maxTokenBytes, maxDepth, cache, maxLifetimeMs } = config.value
  assert.deepEqual(types, ['at+jwt', ''])
  assert.deepEqual([clockSkewMs, maxTokenBytes, maxDepth, maxLifetimeMs], [90_000, 4_096, 4, undefined])
  assert.deepEqual(cache, { maxEntries: 0, maxBytes: 0, maxAgeMs: 0 })
})

test('a skew or age that no schema has seen is refused all the same', () => {
  for (const change of [{ clockSkew: '6m' }, { clockSkew: 'soon' }, { cache: { maxAge: '2h' } }]) {
    assert.equal(issuerConfigOf('corp', { ...MINIMAL, ...change }, undefined).ok, false, JSON.stringify(change))
  }
})

test('review names inline keys that could never verify anything', () => {
  const inline = { keys: [JWK, { ...JWK, d: 'AAAA' }, { ...JWK, alg: 'ES384' }, { kty: 'RSA', n: 'AQAB', e: 'AQAB' }] }
  assert.deepEqual(
    reviewTokenIssuer({ ...MINIMAL, jwks: { inline } }).map(({ severity, path, message }) => [severity, path, message]),
    [
      ['warning', 'jwks.inline.keys[1]', 'is not a public key'],
      ['warning', 'jwks.inline.keys[2]', 'has an alg that does not fit its type'],
      ['warning', 'jwks.inline.keys[3]', 'lacks a member, or has one of a wrong length'],
    ],
  )
  const none = { keys: inline.keys.slice(1) }
  assert.deepEqual(
    reviewTokenIssuer({ ...MINIMAL, jwks: { inline: none } }).map(({ severity }) => severity),
    ['error', 'error', 'error'],
  )
  assert.deepEqual(
    reviewTokenIssuer({ ...MINIMAL, allowedNamespaces: { selector: { matchLabels: { 'a b': 'c' } } } }).map(
      ({ path }) => path,
    ),
    ['allowedNamespaces.selector.matchLabels["a b"]'],
  )
  assert.deepEqual(reviewTokenIssuer({ ...MINIMAL, jwks: { inline: { keys: [JWK] } } }), [])
})

test('the schema takes each source of keys and its bounds', () => {
  const validate = new Ajv({ strict: false, useDefaults: true }).compile(closed(tokenIssuerSchema))
  const takes = (change: object) => validate(structuredClone({ ...MINIMAL, ...change }))
  for (const change of [
    {},
    { jwks: { inline: { keys: [JWK] } } },
    { jwks: { secretRef: { namespace: 'identity', name: 'keys' } } },
    { allowedNamespaces: { selector: { matchExpressions: [{ key: 'team', operator: 'Exists' }] } } },
    { typ: ['at+jwt', ''] },
    { jwks: { uri: 'https://login.example:8443/realms/a/certs?x=1' } },
  ]) {
    assert.equal(takes(change), true, `${JSON.stringify(change)} ${JSON.stringify(validate.errors)}`)
  }
  for (const change of [
    { issuer: '' },
    { issuer: 'two words' },
    { audiences: [] },
    { algorithms: [] },
    { algorithms: ['none'] },
    { algorithms: ['HS256'] },
    { clockSkew: '5' },
    { jwks: { uri: 'ftp://auth/jwks' } },
    { jwks: { uri: 'https://user:password@auth/jwks' } },
    { jwks: { inline: { keys: [] } } },
    { jwks: { inline: { keys: [{ kty: 'oct' }] } } },
    { jwks: { inline: { keys: [{ ...JWK, d: 'AAAA' }] } } },
    { limits: { tokenBytes: 8_193 } },
    { limits: { depth: 17 } },
    { surprise: 1 },
  ]) {
    assert.equal(takes(change), false, JSON.stringify(change))
  }
})

test('the defaults of the schema are those of the config', () => {
  const validate = new Ajv({ strict: false, useDefaults: true }).compile(tokenIssuerSchema)
  const defaulted = structuredClone({ ...MINIMAL, limits: {}, cache: {} }) as TokenIssuerSpec
  assert.ok(validate(defaulted))
  assert.deepEqual(issuerConfigOf('corp', defaulted, undefined), issuerConfigOf('corp', MINIMAL, undefined))
})

test('every field has a description that begins with its name', () => {
  const missing: string[] = []
  const walk = (schema: JsonSchema, path: string): void => {
    for (const [field, child] of Object.entries((schema['properties'] ?? {}) as Record<string, JsonSchema>)) {
      if (!String(child['description']).startsWith(`${field} `)) missing.push(`${path}.${field}`)
      walk(child, `${path}.${field}`)
    }
    if (schema['items']) walk(schema['items'] as JsonSchema, `${path}[]`)
  }
  walk(tokenIssuerSchema, 'spec')
  assert.deepEqual(missing, [])
})

/** As the API server prunes and our files source refuses: no property beyond the schema. */
function closed(schema: JsonSchema): JsonSchema {
  const properties = schema['properties'] as Record<string, JsonSchema> | undefined
  const items = schema['items'] as JsonSchema | undefined
  return {
    ...schema,
    ...(properties && {
      properties: Object.fromEntries(Object.entries(properties).map(([field, child]) => [field, closed(child)])),
      additionalProperties: false,
    }),
    ...(items && { items: closed(items) }),
  }
}
