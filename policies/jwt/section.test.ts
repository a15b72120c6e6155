import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Ajv } from 'ajv'
import fc from '#fast-check'
import type { Attached, JsonSchema, Levels } from '../../model/section.ts'
import type { ExemptSpec } from '../exemptions/combine.ts'
import { compileExemptions } from '../exemptions/compile.ts'
import { attached, contextOf, levelsOf, meshWide } from '../testing/context.ts'
import { requestOf } from '../testing/request.ts'
import { AUTHENTICATION_FLOOR_SCHEMA, AUTHENTICATION_SCHEMA } from './schema.ts'
import { type AuthenticationSpec, type JwtSpec, jwtSection } from './section.ts'
import type { TokenIssuerSpec } from './token-issuer.ts'

const TOKEN_ISSUER: TokenIssuerSpec = {
  issuer: 'https://corp.example',
  audiences: ['api'],
  jwks: { uri: 'http://auth.identity/jwks' },
}
const context = contextOf({ tokenIssuer: (name) => (name === 'gone' ? undefined : TOKEN_ISSUER) })

function combined(levels: Partial<Levels<AuthenticationSpec>>) {
  return jwtSection.combine(levelsOf(levels), context)
}

function settled(levels: Partial<Levels<AuthenticationSpec>>) {
  const value = combined(levels)?.value
  assert.ok(value, 'nothing is enforced')
  return { ...value.config, issuers: value.issuers.map(({ name }) => name) }
}

const issuers = (...names: string[]) => names.map((name) => ({ name }))
const policy = (
  jwt: JwtSpec | undefined,
  exempt?: readonly ExemptSpec[],
  words: Partial<Attached<AuthenticationSpec>> = {},
) => attached('orders', { ...(jwt && { jwt }), ...(exempt && { exempt }) }, words)
const floor = (spec: AuthenticationSpec, name = 'floor') => meshWide(name, spec)
const asSpecific = {
  specificity: 1,
  origin: { kind: 'SecurityPolicy', namespace: 'shop', name: 'port', generation: 1 },
}
const HEALTH: ExemptSpec = { methods: ['GET'], paths: ['/healthz'] }

test('left out everywhere: a token is required, in the Authorization header, and stripped', () => {
  assert.deepEqual(settled({ policies: [policy({ issuers: issuers('corp') })] }), {
    required: true,
    issuers: ['corp'],
    locations: [{ kind: 'header', name: 'authorization', scheme: 'bearer' }],
    forward: 'strip',
    claimHeaders: [],
    exempt: [],
    exemptWithin: [],
  })
})

test('a policy without authentication says nothing, and nothing is enforced where nobody asks', () => {
  assert.equal(jwtSection.pick({ authorization: {} }), undefined)
  assert.equal(jwtSection.pick({ authentication: {} }), undefined)
  assert.deepEqual(jwtSection.pick({ authentication: { jwt: {}, apiKeys: {} } }), { jwt: {} })
  assert.equal(combined({}), undefined)
  assert.equal(combined({ policies: [policy(undefined, [HEALTH])] }), undefined)
  assert.equal(combined({ floor: [floor({ allowExempt: [HEALTH] })] }), undefined)
  assert.equal(combined({ floor: [floor({ jwt: { onlyIssuers: ['corp'], forward: 'Strip' } })] }), undefined)
})

test('a port of opaque TCP has no tokens to ask for', () => {
  const levels = levelsOf({ policies: [policy({ issuers: issuers('corp') })] })
  assert.equal(jwtSection.combine(levels, { ...context, protocol: 'tcp' }), undefined)
})

test('issuers of floor and policies add up, in order of their names', () => {
  const levels = {
    floor: [floor({ jwt: { issuers: issuers('staff') } })],
    policies: [
      policy({ issuers: issuers('corp') }),
      policy({ issuers: issuers('partner', 'corp') }, undefined, asSpecific),
    ],
    defaults: [floor({ jwt: { issuers: issuers('default') } })],
  }
  assert.deepEqual(settled(levels).issuers, ['corp', 'partner', 'staff'])
})

test('a floor that fixes the set leaves out what policies name beyond it, and says so', () => {
  const levels = {
    floor: [floor({ jwt: { onlyIssuers: ['corp', 'staff'] } })],
    policies: [policy({ issuers: issuers('corp', 'own') })],
  }
  assert.deepEqual(settled(levels).issuers, ['corp'])
  assert.deepEqual(combined(levels)?.notApplied, [
    {
      origin: { kind: 'SecurityPolicy', namespace: 'shop', name: 'orders', generation: 1 },
      path: 'authentication.jwt.issuers',
      reason: 'the floor floor@1 does not admit the issuer own',
      weakensFloor: true,
    },
  ])
})

test('two floors fix the set together, and the set stands where nobody names an issuer', () => {
  const floors = [floor({ jwt: { onlyIssuers: ['a', 'b'] } }), floor({ jwt: { onlyIssuers: ['b', 'c'] } }, 'other')]
  assert.deepEqual(settled({ floor: floors, policies: [policy({})] }).issuers, ['b'])
  assert.deepEqual(settled({ floor: floors, policies: [policy({ issuers: issuers('a') })] }).issuers, [])
})

test('without any issuer that is admitted the section does not resolve, so the route is closed', () => {
  for (const levels of [
    { policies: [policy({ required: false })] },
    { floor: [floor({ jwt: { onlyIssuers: ['corp'] } })], policies: [policy({ issuers: issuers('own') })] },
  ]) {
    const { value } = combined(levels)!
    const translated = jwtSection.translate(value, context)
    assert.deepEqual(translated.ok ? [] : translated.issues.map(({ code }) => code), ['no-token-issuer'])
  }
})

test('a token is required if anybody says so, and by who leaves it out', () => {
  const corp = issuers('corp')
  const optional = policy({ issuers: corp, required: false })
  const unsaid = policy({ issuers: corp }, undefined, asSpecific)
  assert.equal(settled({ policies: [optional] }).required, false)
  assert.equal(settled({ policies: [optional, unsaid] }).required, true)
  assert.equal(settled({ policies: [optional], floor: [floor({ jwt: { required: true } })] }).required, true)
  assert.equal(settled({ policies: [optional], floor: [floor({ jwt: { onlyIssuers: ['corp'] } })] }).required, false)
  assert.equal(settled({ policies: [unsaid], floor: [floor({ jwt: { required: false } })] }).required, true)
  assert.equal(settled({ policies: [optional], defaults: [floor({ jwt: { required: true } })] }).required, false)
  assert.equal(settled({ defaults: [floor({ jwt: { issuers: corp } })] }).required, true)
  assert.equal(settled({ floor: [floor({ jwt: { issuers: corp } })] }).required, true)
  assert.equal(settled({ floor: [floor({ jwt: { issuers: corp, required: false } })] }).required, false)
})

test('a field that policies leave out falls through to the defaults', () => {
  const defaults = [
    floor({
      jwt: {
        issuers: issuers('corp'),
        from: [{ cookie: 'sid' }],
        forward: 'Keep',
        claimHeaders: [{ claim: '/sub', header: 'X-Sub' }],
      },
      exempt: [HEALTH],
    }),
  ]
  const {
    issuers: names,
    locations,
    forward,
    claimHeaders,
    exempt,
  } = settled({ policies: [policy({ required: true })], defaults })
  assert.deepEqual(
    { names, locations, forward, claimHeaders, exempt },
    {
      names: ['corp'],
      locations: [{ kind: 'cookie', name: 'sid' }],
      forward: 'keep',
      claimHeaders: [{ claim: '/sub', header: 'x-sub' }],
      exempt: [HEALTH],
    },
  )
})

test('the most specific policy says where tokens are, the floor before all, and the others are told', () => {
  const whole = policy({ issuers: issuers('corp'), from: [{ cookie: 'sid' }] })
  const port = policy({ from: [{ header: 'X-Token' }] }, undefined, asSpecific)
  const { value, notApplied } = combined({ policies: [port, whole] })!
  assert.deepEqual(value.config.locations, [{ kind: 'header', name: 'x-token' }])
  assert.deepEqual(
    notApplied?.map(({ origin, reason }) => [origin.name, reason]),
    [['orders', 'shop/port@1 says where tokens are']],
  )
  const withFloor = {
    floor: [floor({ jwt: { from: [{ header: 'authorization', scheme: 'DPoP' }] } })],
    policies: [port],
  }
  assert.deepEqual(settled(withFloor).locations, [{ kind: 'header', name: 'authorization', scheme: 'dpop' }])
})

test('Strip in a floor cannot be changed, Keep in a floor can', () => {
  const keep = policy({ forward: 'Keep' })
  const strip = policy({ forward: 'Strip' })
  assert.equal(settled({ policies: [keep] }).forward, 'keep')
  assert.equal(settled({ policies: [keep], floor: [floor({ jwt: { forward: 'Strip' } })] }).forward, 'strip')
  assert.equal(settled({ policies: [strip], floor: [floor({ jwt: { forward: 'Keep' } })] }).forward, 'strip')
  assert.equal(settled({ policies: [policy({})], floor: [floor({ jwt: { forward: 'Keep' } })] }).forward, 'keep')
})

test('claim headers add up; of two claims for one header the more specific counts', () => {
  const whole = policy({
    claimHeaders: [
      { claim: '/a', header: 'X-A' },
      { claim: '/b', header: 'x-b' },
    ],
  })
  const port = policy({ claimHeaders: [{ claim: '/other', header: 'x-a' }] }, undefined, asSpecific)
  const { value, notApplied } = combined({ policies: [port, whole] })!
  assert.deepEqual(value.config.claimHeaders, [
    { claim: '/other', header: 'x-a' },
    { claim: '/b', header: 'x-b' },
  ])
  assert.deepEqual(
    notApplied?.map(({ reason }) => reason),
    ['shop/port@1 says that x-a holds /other'],
  )
})

test('exemptions count where no floor speaks, and where one does only what it permits', () => {
  const exempting = policy({ issuers: issuers('corp') }, [HEALTH])
  const admits = (levels: Partial<Levels<AuthenticationSpec>>) => {
    const { exempt, exemptWithin } = settled(levels)
    const exemptions = compileExemptions(exempt, exemptWithin)
    assert.ok(exemptions.ok)
    return exemptions.value.admits(requestOf({ path: '/healthz' }))
  }
  assert.equal(admits({ policies: [exempting] }), true)
  assert.equal(admits({ policies: [exempting], floor: [floor({ jwt: { required: true } })] }), false)
  assert.equal(admits({ policies: [exempting], floor: [floor({ allowExempt: [] })] }), false)
  assert.equal(admits({ policies: [exempting], floor: [floor({ allowExempt: [{ paths: ['/{**}'] }] })] }), true)
  assert.equal(admits({ policies: [exempting], floor: [floor({ allowExempt: [{ paths: ['/other'] }] })] }), false)
  const plain = policy({ issuers: issuers('corp') })
  assert.equal(admits({ policies: [plain], floor: [floor({ jwt: { required: true }, exempt: [HEALTH] })] }), true)
  assert.equal(admits({ policies: [plain], defaults: [floor({ exempt: [HEALTH] })] }), true)
  assert.equal(admits({ policies: [policy({}, [])], defaults: [floor({ exempt: [HEALTH] })] }), false)
})

test('an exemption that the floor forbids is told of', () => {
  const { notApplied } = combined({
    policies: [policy({ issuers: issuers('corp') }, [HEALTH])],
    floor: [floor({ jwt: { required: true } })],
  })!
  assert.deepEqual(
    notApplied?.map(({ origin, path, reason, weakensFloor }) => [origin.name, path, reason, weakensFloor]),
    [['orders', 'authentication.exempt', 'the floor floor@1 permits no exemption', true]],
  )
})

test('a TokenIssuer that is gone closes the section and is named, whatever else resolves', () => {
  const { value } = combined({ policies: [policy({ issuers: issuers('corp', 'gone') })] })!
  const translated = jwtSection.translate(value, context)
  assert.ok(!translated.ok)
  assert.deepEqual(translated.issues, [
    {
      code: 'unresolved-token-issuer',
      severity: 'error',
      path: 'authentication.jwt.issuers',
      message: 'names the TokenIssuer gone, which does not exist or does not admit namespace shop',
      fix: 'create it, or add the namespace to its allowedNamespaces',
      resource: 'SecurityPolicy/shop/orders',
    },
  ])
})

test('the config holds what the TokenIssuer says, and the lifetime of the mesh', () => {
  const { value } = combined({ policies: [policy({ issuers: issuers('corp') })] })!
  const translated = jwtSection.translate(value, { ...context, maxTokenLifetimeSeconds: 3_600 })
  assert.ok(translated.ok, JSON.stringify(translated))
  assert.deepEqual(translated.value.issuers, [
    {
      name: 'corp',
      issuer: 'https://corp.example',
      audiences: ['api'],
      algorithms: ['ES256', 'EdDSA', 'PS256', 'RS256'],
      types: ['at+jwt', 'jwt'],
      clockSkewMs: 60_000,
      maxLifetimeMs: 3_600_000,
      maxTokenBytes: 8_192,
      maxDepth: 16,
      cache: { maxEntries: 60_000, maxBytes: 16_777_216, maxAgeMs: 300_000 },
    },
  ])
})

test('any field of a TokenIssuer made senseless closes the section', () => {
  const senseless = fc.constantFrom<unknown>(null, 7, 'x', [], {}, ['HS256'], [''], '-1s', '1000h')
  const field = fc.constantFrom('issuer', 'audiences', 'algorithms', 'typ', 'clockSkew', 'limits', 'cache')
  const { value } = combined({ policies: [policy({ issuers: issuers('corp') })] })!
  fc.assert(
    fc.property(field, senseless, (name, nonsense) => {
      const spec = { ...TOKEN_ISSUER, [name]: nonsense }
      const translated = jwtSection.translate(value, { ...context, tokenIssuer: () => spec })
      if (!translated.ok) return
      const [issuer] = translated.value.issuers
      assert.ok(issuer && issuer.audiences.length > 0 && issuer.algorithms.every((alg) => !alg.startsWith('HS')))
      assert.ok(issuer.clockSkewMs <= 300_000)
    }),
  )
})

test('review finds what a schema cannot', () => {
  const found = jwtSection.review({
    jwt: {
      from: [{ header: 'X-Token' }, { header: 'x-token', scheme: 'T' }],
      claimHeaders: [
        { claim: 'sub', header: 'x-sub' },
        { claim: '/sub', header: 'X-Sub' },
        { claim: '/sub', header: 'Host' },
        { claim: '/sub', header: 'X-Forwarded-User' },
        { claim: '/sub', header: 'x-token' },
      ],
    },
    exempt: [{ paths: ['/ok', '/a/{**}/b'] }],
    allowExempt: [{ paths: ['no-slash'] }],
  })
  assert.deepEqual(
    found.map(({ path, code }) => `${path} ${code}`),
    [
      'authentication.jwt.from[1] duplicate-place',
      'authentication.jwt.claimHeaders[0].claim malformed-json-pointer',
      'authentication.jwt.claimHeaders[1].header duplicate-header',
      'authentication.jwt.claimHeaders[2].header reserved-header',
      'authentication.jwt.claimHeaders[3].header reserved-header',
      'authentication.jwt.claimHeaders[4].header reserved-header',
      'authentication.exempt[0].paths[1] malformed-path',
      'authentication.allowExempt[0].paths[0] malformed-path',
    ],
  )
  assert.deepEqual(jwtSection.review({ jwt: { issuers: issuers('corp') }, exempt: [HEALTH] }), [])
})

/* Against any policies. */

const name = fc.constantFrom('a', 'b', 'c')
const exemptSpec = fc.record({ paths: fc.subarray(['/x', '/y', '/z', '/{*}'], { minLength: 1 }) })
const jwtSpec = fc.record(
  {
    required: fc.boolean(),
    issuers: fc.uniqueArray(name, { minLength: 1 }).map((names) => issuers(...names)),
    from: fc.constantFrom([{ cookie: 'sid' }], [{ header: 'x-token' }]),
    forward: fc.constantFrom('Strip' as const, 'Keep' as const),
    claimHeaders: fc.constantFrom([{ claim: '/a', header: 'x-a' }], [{ claim: '/b', header: 'x-a' }]),
  },
  { requiredKeys: [] },
)
const specOf = (jwt: fc.Arbitrary<JwtSpec>, more: Record<string, fc.Arbitrary<readonly ExemptSpec[]>> = {}) =>
  fc.record(
    { jwt, exempt: fc.array(exemptSpec, { maxLength: 2 }), ...more },
    { requiredKeys: [] },
  ) as fc.Arbitrary<AuthenticationSpec>
const floorSpec = specOf(
  fc
    .tuple(jwtSpec, fc.option(fc.uniqueArray(name, { minLength: 1 }), { nil: undefined }))
    .map(([jwt, onlyIssuers]) => ({ ...jwt, ...(onlyIssuers && { onlyIssuers }) })),
  { allowExempt: fc.array(exemptSpec, { maxLength: 2 }) },
)
const level = (kind: string, spec: fc.Arbitrary<AuthenticationSpec>) =>
  fc.array(fc.tuple(spec, fc.nat(1)), { maxLength: 3 }).map((specs) =>
    specs.map(([said, specificity], i) => ({
      spec: said,
      origin: { kind, name: `${kind}-${i}`, generation: 1 },
      specificity,
      createdAt: '',
    })),
  )
const anyLevels = fc.record({
  floor: level('floor', floorSpec),
  policies: level('policy', specOf(jwtSpec)),
  defaults: level('default', specOf(jwtSpec)),
})
const PATHS = ['/x', '/y', '/z', '/other', '/x/deep']

function exemptPaths(levels: Levels<AuthenticationSpec>): string[] {
  const { exempt, exemptWithin } = settled(levels)
  const exemptions = compileExemptions(exempt, exemptWithin)
  assert.ok(exemptions.ok)
  return PATHS.filter((path) => exemptions.value.admits(requestOf({ path })))
}

test('the order in which policies are told does not matter', () => {
  fc.assert(
    fc.property(anyLevels, fc.func(fc.integer()), (levels, keyOf) => {
      const shuffled = (list: readonly Attached<AuthenticationSpec>[]) =>
        list.toSorted((a, b) => keyOf(a.origin.name) - keyOf(b.origin.name))
      const other = {
        floor: shuffled(levels.floor),
        policies: shuffled(levels.policies),
        defaults: shuffled(levels.defaults),
      }
      assert.deepEqual(combined(other), combined(levels))
    }),
  )
})

test('what policies come to is what a naive reader of the rules says', () => {
  fc.assert(
    fc.property(anyLevels, (levels) => {
      const { floor: floors, policies, defaults } = levels
      const someJwt = (list: readonly Attached<AuthenticationSpec>[]) => list.some(({ spec }) => spec.jwt)
      const below = someJwt(policies) ? policies : defaults
      const floorAsks = floors.some(({ spec }) => spec.jwt?.required !== undefined || spec.jwt?.issuers)
      if (!floorAsks && !someJwt(below)) {
        assert.equal(combined(levels), undefined)
        return
      }
      const value = settled(levels)

      const saysTrue = floors.some(({ spec }) => spec.jwt?.required === true)
      const belowRequires = below.some(({ spec }) => spec.jwt && spec.jwt.required !== false)
      const nobodyBelow = !someJwt(below)
      const floorLeavesOpen = floors.some(({ spec }) => spec.jwt?.issuers && spec.jwt.required === undefined)
      assert.equal(value.required, saysTrue || belowRequires || (nobodyBelow && floorLeavesOpen))

      const namesIn = (list: readonly Attached<AuthenticationSpec>[]) =>
        list.flatMap(({ spec }) => (spec.jwt?.issuers ?? []).map((issuer) => issuer.name))
      const ofPolicies = namesIn(policies)
      const named = [...namesIn(floors), ...(ofPolicies.length > 0 ? ofPolicies : namesIn(defaults))]
      const bounds = floors.flatMap(({ spec }) => (spec.jwt?.onlyIssuers ? [spec.jwt.onlyIssuers] : []))
      const expected = (named.length > 0 ? named : bounds.flat()).filter((one) =>
        bounds.every((list) => list.includes(one)),
      )
      assert.deepEqual(value.issuers, [...new Set(expected)].sort())

      const matches = (entries: readonly ExemptSpec[], path: string) =>
        entries.some(({ paths }) =>
          paths.some((pattern) => pattern === path || (pattern === '/{*}' && /^\/[^/]+$/.test(path))),
        )
      const saying = policies.some(({ spec }) => spec.exempt) ? policies : defaults
      const asked = [...floors, ...saying].flatMap(({ spec }) => spec.exempt ?? [])
      const speaking = floors.filter(({ spec }) => spec.jwt || spec.exempt || spec.allowExempt)
      assert.deepEqual(
        exemptPaths(levels),
        PATHS.filter(
          (path) =>
            matches(asked, path) &&
            speaking.every(({ spec }) => matches([...(spec.exempt ?? []), ...(spec.allowExempt ?? [])], path)),
        ),
      )
    }),
    { numRuns: 500 },
  )
})

test('a floor that names no issuer and exempts nothing only makes things stricter', () => {
  const bounding = fc.record(
    {
      jwt: fc.record(
        {
          required: fc.boolean(),
          forward: fc.constant('Strip' as const),
          onlyIssuers: fc.uniqueArray(name, { minLength: 1 }),
        },
        { requiredKeys: [] },
      ),
      allowExempt: fc.array(exemptSpec, { maxLength: 2 }),
    },
    { requiredKeys: [] },
  )
  fc.assert(
    fc.property(anyLevels, bounding, (levels, added) => {
      if (combined(levels) === undefined) return
      const before = settled(levels)
      const stricter = { ...levels, floor: [...levels.floor, floor(added as AuthenticationSpec, 'added')] }
      const after = settled(stricter)
      assert.ok(after.required || !before.required)
      assert.ok(after.forward === 'strip' || before.forward === 'keep')
      const admitted = new Set(exemptPaths(levels))
      assert.ok(exemptPaths(stricter).every((path) => admitted.has(path)))
      if (before.issuers.length > 0) assert.ok(after.issuers.every((one) => before.issuers.includes(one)))
    }),
    { numRuns: 500 },
  )
})

/* The schema. */

function fieldsWithoutDescription(schema: JsonSchema, path: string): string[] {
  const properties = (schema['properties'] ?? {}) as Record<string, JsonSchema>
  const items = schema['items'] as JsonSchema | undefined
  return [
    ...Object.entries(properties).flatMap(([field, child]) => [
      ...(String(child['description']).startsWith(`${field} `) ? [] : [`${path}.${field}`]),
      ...fieldsWithoutDescription(child, `${path}.${field}`),
    ]),
    ...(items ? fieldsWithoutDescription(items, `${path}[]`) : []),
  ]
}

test('every field has a description that begins with its name', () => {
  assert.deepEqual(fieldsWithoutDescription(AUTHENTICATION_SCHEMA, 'authentication'), [])
  // jwt is described by the schema that this one is merged into.
  assert.deepEqual(fieldsWithoutDescription(AUTHENTICATION_FLOOR_SCHEMA, 'authentication'), ['authentication.jwt'])
})

test('the schema takes what POLICY-API shows and refuses what has no effect', () => {
  const validate = new Ajv({ strict: false }).compile(closed(AUTHENTICATION_SCHEMA))
  const jwt = {
    required: true,
    issuers: [{ name: 'corp' }],
    from: [{ header: 'authorization', scheme: 'Bearer' }, { cookie: 'sid' }],
    forward: 'Strip',
    claimHeaders: [{ claim: '/org/dept', header: 'x-dept' }],
  }
  assert.equal(
    validate({ jwt, exempt: [{ methods: ['GET'], paths: ['/healthz'] }] }),
    true,
    JSON.stringify(validate.errors),
  )
  for (const change of [
    { forward: 'Pass' },
    { issuers: [] },
    { issuers: ['corp'] },
    { onlyIssuers: ['corp'] },
    { from: [] },
  ]) {
    assert.equal(validate({ jwt: { ...jwt, ...change } }), false, JSON.stringify(change))
  }
  assert.equal(validate({ exempt: [{ methods: ['GET'] }] }), false)
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
