import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { attached, contextOf, levelsOf, meshWide, secretsOf } from '../testing/context.ts'
import { type IntrospectionAuthenticationSpec, introspectionSection } from './section.ts'

const TOKEN_ISSUER = {
  issuer: 'https://corp.example',
  audiences: ['https://api.example'],
  introspection: {
    backendRef: { name: 'server', namespace: 'auth', port: 80 },
    path: '/introspect',
    clientId: 'mesh:1',
    clientSecretRef: { namespace: 'auth', name: 'mesh-client' },
    timeout: '250ms',
    maxAge: '30s',
  },
}

const context = contextOf({
  tokenIssuer: (name) =>
    name === 'corp' ? TOKEN_ISSUER : name === 'keys' ? { ...TOKEN_ISSUER, introspection: undefined } : undefined,
  secret: secretsOf({ 'auth/mesh-client': { 'client-secret': 'se cret\n' } }),
})

type Words = Parameters<typeof levelsOf<IntrospectionAuthenticationSpec>>[0]

const asks = (...names: readonly string[]): IntrospectionAuthenticationSpec => ({
  introspection: { issuers: names.map((name) => ({ name })) },
})

function translated(words: Words, place = context) {
  const combined = introspectionSection.combine(levelsOf<IntrospectionAuthenticationSpec>(words), place)
  assert.ok(combined !== undefined)
  return { combined, config: introspectionSection.translate(combined.value, place) }
}

describe('authentication.introspection', () => {
  it('says whom to ask, with the credentials of the mesh', () => {
    const { config } = translated({ policies: [attached('a', asks('corp'))] })
    assert.ok(config.ok, JSON.stringify(config))
    assert.deepEqual(config.value, {
      required: true,
      issuers: [
        {
          name: 'corp',
          issuer: 'https://corp.example',
          audiences: ['https://api.example'],
          requiresAudience: true,
          clockSkewMs: 60_000,
          upstream: 'auth/server:80',
          authority: 'server.auth.svc:80',
          path: '/introspect',
          authorization: `Basic ${btoa('mesh%3A1:se+cret')}`,
          timeoutMs: 250,
          maxAgeMs: 30_000,
        },
      ],
      locations: [{ kind: 'header', name: 'authorization', scheme: 'bearer' }],
      forward: 'strip',
      claimHeaders: [],
      exempt: [],
      exemptWithin: [],
    })
  })

  it('is single-valued: a floor, then the nearest policy, then defaults', () => {
    const { combined } = translated({
      floor: [meshWide('floor', asks('corp'))],
      policies: [attached('team', { introspection: { ...asks('corp').introspection!, required: false } })],
      defaults: [meshWide('defaults', asks('corp'))],
    })
    assert.equal(combined.value.origin.name, 'floor')
    assert.deepEqual(
      combined.overridden?.map(({ loser }) => loser.name),
      ['team'],
    )
    const nothing = levelsOf<IntrospectionAuthenticationSpec>({
      policies: [attached('a', { exempt: [{ paths: ['/x'] }] })],
    })
    assert.equal(introspectionSection.combine(nothing, context), undefined)
  })

  it('is closed where an issuer is not there, has nobody to ask, or its secret is missing', () => {
    const without = contextOf({ tokenIssuer: context.tokenIssuer })
    for (const [names, place] of [
      [['gone'], context],
      [['keys'], context],
      [['corp'], without],
    ] as const) {
      const { config } = translated({ policies: [attached('a', asks(...names))] }, place)
      assert.ok(!config.ok, names.join())
      assert.equal(config.issues[0]?.path, 'authentication.introspection.issuers[0]')
      assert.equal(config.issues[0]?.resource, 'SecurityPolicy/shop/a')
    }
  })

  it('tells of claim headers that it may not set', () => {
    const spec = { introspection: { issuers: [{ name: 'corp' }], claimHeaders: [{ claim: '/sub', header: 'Host' }] } }
    assert.deepEqual(
      introspectionSection.review(spec).map(({ path }) => path),
      ['authentication.introspection.claimHeaders[0].header'],
    )
  })
})
