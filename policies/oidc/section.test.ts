import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { fail, issue } from '../../model/result.ts'
import { attached, contextOf, levelsOf, meshWide, secretsOf } from '../testing/context.ts'
import { schemaFaults } from '../testing/schema-conventions.ts'
import { oidc } from './filter.ts'
import { OIDC_SCHEMA } from './schema.ts'
import { type OidcAuthenticationSpec, type OidcSpec, oidcSection } from './section.ts'

const TOKEN_ISSUER = {
  issuer: 'https://id.example/realms/shop/',
  audiences: ['https://api.example'],
  algorithms: ['ES256'],
  jwks: { uri: 'http://auth.identity/jwks' },
}

const SECRETS = secretsOf({
  'shop/oidc-client': { 'client-secret': 's3cret\n' },
  'shop/cookie-keys': { 'key-9': `${'n'.repeat(43)}\n`, 'key-10': 't'.repeat(43), 'key-2': 'o'.repeat(43) },
  'shop/short': { 'key-1': 'short' },
  'shop/none': {},
})

const gateway = contextOf({
  role: 'gateway',
  maxTokenLifetimeSeconds: 60,
  secret: SECRETS,
  tokenIssuer: (name) => {
    if (name === 'corp') return TOKEN_ISSUER
    if (name === 'opaque') return { ...TOKEN_ISSUER, jwks: undefined }
    return name === 'named' ? { ...TOKEN_ISSUER, issuer: 'corp' } : undefined
  },
})

const spec = (words: Partial<OidcSpec> = {}): OidcAuthenticationSpec => ({
  oidc: {
    issuer: { name: 'corp' },
    provider: { backendRef: { name: 'auth', namespace: 'identity', port: 80 } },
    clientId: 'shop',
    clientSecretRef: { name: 'oidc-client' },
    cookieKeysRef: { name: 'cookie-keys' },
    ...words,
  },
})

function translated(words: OidcAuthenticationSpec, place = gateway) {
  const combined = oidcSection.combine(levelsOf<OidcAuthenticationSpec>({ policies: [attached('a', words)] }), place)
  assert.ok(combined !== undefined)
  return oidcSection.translate(combined.value, place)
}

describe('authentication.oidc', () => {
  it('says all that a gateway needs to know, with the newest cookie key first', () => {
    const config = translated(spec({ scopes: ['offline_access', 'openid'], maxAge: '1h' }))
    assert.ok(config.ok, JSON.stringify(config))
    const { issuer, ...others } = config.value
    assert.deepEqual([issuer.issuer, issuer.audiences], ['https://id.example/realms/shop/', ['shop']])
    assert.equal(issuer.maxLifetimeMs, undefined, 'an ID token is no access token')
    assert.deepEqual(others, {
      required: true,
      upstreams: [{ upstream: 'identity/auth:80', authority: 'auth.identity.svc:80' }],
      discoveryPath: '/realms/shop/.well-known/openid-configuration',
      timeoutMs: 5_000,
      clientId: 'shop',
      clientSecret: 's3cret',
      clientAuthentication: 'basic',
      scopes: ['openid', 'offline_access'],
      parameters: [],
      cookieKeys: ['t'.repeat(43), 'n'.repeat(43), 'o'.repeat(43)],
      cookieName: 'hauberk',
      maxAgeMs: 3_600_000,
      paths: {
        callback: '/oauth2/callback',
        login: '/oauth2/login',
        logout: '/oauth2/logout',
        backChannelLogout: '/oauth2/backchannel-logout',
      },
      trustedOrigins: [],
      exempt: [],
      exemptWithin: [],
    })
    const again = oidc.decode(JSON.parse(JSON.stringify(config.value)))
    assert.deepEqual(again, config, 'the wire holds it')
  })

  it('is for gateways alone', () => {
    const config = translated(spec(), { ...gateway, role: 'sidecar' })
    assert.ok(!config.ok)
    assert.deepEqual(
      config.issues.map(({ code, path, resource }) => [code, path, resource]),
      [['not-at-a-gateway', 'authentication.oidc', 'SecurityPolicy/shop/a']],
    )
    assert.equal(
      oidcSection.combine(levelsOf({ policies: [attached('a', spec())] }), { ...gateway, protocol: 'tcp' }),
      undefined,
    )
  })

  it('does not resolve without its issuer, provider, or Secrets', () => {
    const context = { ...gateway, upstream: () => fail(issue('backend-not-resolved', '', 'there is none')) }
    const cases: readonly [Partial<OidcSpec>, string, string, typeof gateway?][] = [
      [{ issuer: { name: 'nobody' } }, 'unresolved-token-issuer', 'issuer'],
      [{ issuer: { name: 'opaque' } }, 'unresolved-token-issuer', 'issuer'],
      [{ issuer: { name: 'named' } }, 'unresolved-token-issuer', 'issuer'],
      [{ cookieKeysRef: { name: 'nobody' } }, 'secret-not-resolved', 'cookieKeysRef'],
      [{ cookieKeysRef: { name: 'short' } }, 'secret-not-resolved', 'cookieKeysRef'],
      [{ cookieKeysRef: { name: 'none' } }, 'secret-not-resolved', 'cookieKeysRef'],
      [{ clientSecretRef: { name: 'cookie-keys' } }, 'secret-not-resolved', 'clientSecretRef'],
      [{}, 'backend-not-resolved', 'provider.backendRef', context],
    ]
    for (const [words, code, path, place] of cases) {
      const config = translated(spec(words), place)
      assert.ok(!config.ok, code)
      assert.deepEqual(
        config.issues.map((found) => [found.code, found.path]),
        [[code, `authentication.oidc.${path}`]],
      )
    }
  })

  it('tells of what cannot be meant', () => {
    const review = (words: Partial<OidcSpec>) => oidcSection.review(spec(words)).map(({ code, path }) => [code, path])
    assert.deepEqual(review({}), [])
    assert.deepEqual(review({ maxAge: '30s' }), [['out-of-range', 'authentication.oidc.maxAge']])
    const parameters = [
      { name: 'resource', value: 'https://api.example' },
      { name: 'redirect_uri', value: 'https://evil.example' },
    ]
    assert.deepEqual(review({ parameters }), [['reserved-parameter', 'authentication.oidc.parameters[1].name']])
    assert.deepEqual(review({ paths: { logout: '/oauth2/login' } }), [
      ['duplicate-path', 'authentication.oidc.paths.logout'],
    ])
  })

  it('T29: names the Secrets that the operator reads, and a floor replaces a policy', () => {
    const named = { clientSecretRef: { name: 'c', namespace: 'identity', key: 'k' } }
    assert.deepEqual(oidcSection.secretRefs?.(spec(named)), [
      { name: 'cookie-keys' },
      { name: 'c', namespace: 'identity' },
    ])
    const levels = levelsOf<OidcAuthenticationSpec>({
      floor: [meshWide('baseline', spec({ clientId: 'mesh' }))],
      policies: [attached('a', spec())],
    })
    const combined = oidcSection.combine(levels, gateway)
    assert.equal(combined?.value.spec.clientId, 'mesh')
    assert.equal(combined?.overridden?.length, 1)
  })

  it('has a schema as all sections have', () => {
    assert.deepEqual(schemaFaults('authentication', OIDC_SCHEMA), [])
  })
})
