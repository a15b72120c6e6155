import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { fail, issue } from '../../model/result.ts'
import { attached, contextOf, levelsOf, meshWide } from '../testing/context.ts'
import { type ExtAuthSpec, type ExternalAuthorizationSpec, externalAuthorizationSection } from './section.ts'

const SERVICE = { name: 'authorizer', port: 80 }
const EXT_AUTH: ExtAuthSpec = { backendRef: SERVICE }
const context = contextOf()

type Words = Parameters<typeof levelsOf<ExternalAuthorizationSpec>>[0]

function combined(words: Words, place = context) {
  return externalAuthorizationSection.combine(levelsOf<ExternalAuthorizationSpec>(words), place)
}

function configOf(words: Words, place = context) {
  const value = combined(words, place)?.value
  assert.ok(value !== undefined)
  const config = externalAuthorizationSection.translate(value, place)
  assert.ok(config.ok, JSON.stringify(config))
  return config.value
}

describe('authentication.extAuth', () => {
  it('asks as little as the policy says, closed, for a second, with the authorization header', () => {
    assert.deepEqual(configOf({ policies: [attached('a', { extAuth: EXT_AUTH })] }), {
      authorizers: [
        {
          upstream: 'shop/authorizer:80',
          authority: 'authorizer.shop.svc:80',
          protocol: 'http',
          timeoutMs: 1_000,
          failOpen: false,
          requestHeaders: ['authorization'],
          context: [],
        },
      ],
      workload: 'shop/orders',
      exempt: [],
      exemptWithin: [],
    })
  })

  it('says all that a policy can say', () => {
    const spec: ExtAuthSpec = {
      backendRef: { name: 'authorizer', namespace: 'auth', port: 9000 },
      protocol: 'GRPC',
      timeout: '250ms',
      requestHeaders: ['Authorization', 'X-Tenant', 'x-tenant'],
      upstreamHeaders: ['X-User'],
      clientHeaders: ['Location'],
      context: [{ name: 'a', value: 'b' }],
      cache: { key: ['identity', 'path'], ttl: '30s' },
    }
    assert.deepEqual(configOf({ policies: [attached('a', { extAuth: spec })] }).authorizers, [
      {
        upstream: 'auth/authorizer:9000',
        authority: 'authorizer.auth.svc:9000',
        protocol: 'grpc',
        timeoutMs: 250,
        failOpen: false,
        requestHeaders: ['authorization', 'x-tenant'],
        upstreamHeaders: ['x-user'],
        clientHeaders: ['location'],
        context: [['a', 'b']],
        cache: { key: ['identity', 'path'], ttlMs: 30_000 },
      },
    ])
  })

  it("asks the floor's service and the policy's; defaults count where no policy names one", () => {
    const named = (name: string): ExternalAuthorizationSpec => ({
      extAuth: { backendRef: { name, namespace: 'n', port: 1 } },
    })
    const floor = [meshWide('floor', named('floor'))]
    const defaults = [meshWide('defaults', named('defaults'))]
    const policies = [attached('near', named('near'), { specificity: 2 }), attached('far', named('far'))]
    const upstreamsOf = (words: Words) => configOf(words).authorizers.map(({ upstream }) => upstream)
    assert.deepEqual(upstreamsOf({ floor, policies, defaults }), ['n/floor:1', 'n/near:1'])
    assert.deepEqual(upstreamsOf({ floor, defaults }), ['n/floor:1', 'n/defaults:1'])
    assert.deepEqual(upstreamsOf({ defaults }), ['n/defaults:1'])
    assert.deepEqual(
      combined({ policies })?.overridden?.map(({ loser, winner }) => `${loser.name} by ${winner.name}`),
      ['far by near'],
    )
  })

  it('fails open for a policy only where each floor that speaks of it permits that', () => {
    const policies = [attached('a', { extAuth: { ...EXT_AUTH, failOpen: true } })]
    const isOpen = (floor: readonly ExternalAuthorizationSpec[]) => {
      const value = combined({ policies, floor: floor.map((spec, i) => meshWide(`floor-${i}`, spec)) })
      return [value?.value.authorizers.at(-1)?.failOpen, value?.notApplied?.some(({ weakensFloor }) => weakensFloor)]
    }
    assert.deepEqual(isOpen([]), [false, true])
    assert.deepEqual(isOpen([{ allowFailOpen: false }]), [false, true])
    assert.deepEqual(isOpen([{ allowFailOpen: true }, { allowFailOpen: false }]), [false, true])
    assert.deepEqual(isOpen([{ extAuth: { ...EXT_AUTH, failOpen: true } }]), [false, true])
    assert.deepEqual(isOpen([{ allowFailOpen: true }]), [true, undefined])
    const mesh = combined({ defaults: [meshWide('mesh', { extAuth: { ...EXT_AUTH, failOpen: true } })] })
    assert.equal(mesh?.value.authorizers[0]?.failOpen, true)
  })

  it('exempts what authentication exempts, where the floors that speak of it permit that', () => {
    const exempt = [{ paths: ['/healthz'] }]
    const policies = [attached('a', { extAuth: EXT_AUTH, exempt })]
    assert.deepEqual(configOf({ policies }).exempt, [{ methods: [], paths: ['/healthz'] }])
    assert.deepEqual(configOf({ policies, floor: [meshWide('f', { extAuth: EXT_AUTH })] }).exempt, [])
    const permitting = configOf({ policies, floor: [meshWide('f', { allowExempt: exempt })] })
    assert.deepEqual(permitting.exemptWithin, [[{ methods: [], paths: ['/healthz'] }]])
    assert.deepEqual(configOf({ policies, floor: [meshWide('f', { allowFailOpen: true })] }).exemptWithin, [])
  })

  it('says nothing on an opaque port, or where nobody has anyone asked', () => {
    const policies = [attached('a', { extAuth: EXT_AUTH })]
    assert.equal(combined({ policies }, contextOf({ protocol: 'tcp' })), undefined)
    assert.equal(combined({ policies: [attached('a', { exempt: [{ paths: ['/x'] }] })] }), undefined)
  })

  it('is closed where the service is not to be found or permitted, with the path of the reference', () => {
    const upstream = () => fail(issue('backend-not-resolved', '', 'there is no such Service'))
    const value = combined({ policies: [attached('a', { extAuth: EXT_AUTH })] })?.value
    assert.ok(value !== undefined)
    const config = externalAuthorizationSection.translate(value, contextOf({ upstream }))
    assert.ok(!config.ok)
    assert.equal(config.issues[0]?.path, 'authentication.extAuth.backendRef')
  })

  it('is closed where gRPC is to be spoken to who does not speak it', () => {
    const grpc: ExtAuthSpec = { backendRef: { host: 'authz.example', port: 443 }, protocol: 'GRPC' }
    const value = combined({ policies: [attached('a', { extAuth: grpc })] })?.value
    assert.ok(value !== undefined)
    const config = externalAuthorizationSection.translate(value, context)
    assert.ok(!config.ok)
    assert.match(config.issues[0]?.message ?? '', /not said to speak gRPC/)
    const http = configOf({ policies: [attached('a', { extAuth: { ...grpc, protocol: 'HTTP' } })] })
    assert.equal(http.authorizers[0]?.upstream, 'outside/authz.example:443')
  })

  it('tells of times out of range, and of headers that it may not touch', () => {
    const faults = (words: Partial<ExtAuthSpec>) =>
      externalAuthorizationSection.review({ extAuth: { ...EXT_AUTH, ...words } }).map(({ path }) => path)
    assert.deepEqual(faults({}), [])
    assert.deepEqual(faults({ timeout: '6s' }), ['authentication.extAuth.timeout'])
    assert.deepEqual(faults({ cache: { key: ['path'], ttl: '2h' } }), ['authentication.extAuth.cache.ttl'])
    assert.deepEqual(faults({ upstreamHeaders: ['x-user', 'Host', 'x-forwarded-for'] }), [
      'authentication.extAuth.upstreamHeaders[1]',
      'authentication.extAuth.upstreamHeaders[2]',
    ])
    assert.deepEqual(faults({ clientHeaders: ['connection'] }), ['authentication.extAuth.clientHeaders[0]'])
  })
})
