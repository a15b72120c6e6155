import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Attached, Levels, SectionContext } from '../../model/section.ts'
import { attached, contextOf, levelsOf, meshWide } from '../testing/context.ts'
import { tokenExchangeSection } from './exchange-section.ts'
import { tokenRelaySection } from './relay-section.ts'
import { internalTokenSection } from './section.ts'

type Spec = Readonly<Record<string, unknown>>

const GATEWAY = contextOf({ role: 'gateway' })

/** What whole specs, by level, come to for one of the two sections. */
function settledBy(
  section: typeof internalTokenSection | typeof tokenExchangeSection | typeof tokenRelaySection,
  words: Partial<Levels<Spec>>,
  context: SectionContext,
) {
  const pick = (level: readonly Attached<Spec>[] = []) =>
    level.flatMap((each) => {
      const spec = section.pick(each.spec)
      return spec === undefined ? [] : [{ ...each, spec }]
    })
  const levels = levelsOf({ floor: pick(words.floor), policies: pick(words.policies), defaults: pick(words.defaults) })
  const combined = section.combine(levels as never, context)
  if (combined === undefined) {
    const told = section.unapplied?.(levels as never, context) ?? []
    return { config: undefined, told: told.map(({ path }) => path) }
  }
  const config = section.translate(combined.value as never, context)
  const told = (combined.notApplied ?? []).map(({ path, weakensFloor }) => (weakensFloor ? `${path}!` : path))
  return {
    config: config.ok ? config.value : config.issues[0]?.path,
    told,
    origins: combined.origins.map(({ name }) => name),
  }
}

const atService = (words: Partial<Levels<Spec>>) => settledBy(internalTokenSection, words, contextOf())
const atGateway = (words: Partial<Levels<Spec>>) => settledBy(tokenExchangeSection, words, GATEWAY)

const JWT = { issuers: [{ name: 'corp' }] }
const EXCHANGE = { authentication: { jwt: { ...JWT, forward: 'Exchange' } } }

describe('internalToken at a service', () => {
  it('is strict where nothing more is said', () => {
    const { config } = atService({ policies: [attached('a', { internalToken: {} })] })
    assert.ok(typeof config === 'object')
    const { issuers, ...rest } = config as { issuers: readonly object[] }
    assert.deepEqual(rest, { required: true, scope: [], subject: 'user', binding: 'caller', forward: 'strip' })
    assert.deepEqual(
      issuers.map((issuer) => (issuer as { readonly issuer: string }).issuer),
      ['mesh'],
    )
  })

  it('is as strict as anybody says, and tells whoever asks for less than the floor', () => {
    const { config, told } = atService({
      floor: [meshWide('floor', { internalToken: { required: true, subject: 'User', scope: 'mesh' } })],
      policies: [
        attached('a', {
          internalToken: { required: false, subject: 'Any', binding: 'None', forward: 'Keep', scope: 'b a' },
        }),
      ],
      defaults: [meshWide('defaults', { internalToken: { scope: 'unheard' } })],
    })
    const { issuers: _, ...rest } = config as { issuers: unknown }
    assert.deepEqual(rest, {
      required: true,
      scope: ['a', 'b', 'mesh'],
      subject: 'user',
      binding: 'none',
      forward: 'keep',
    })
    assert.deepEqual(told, ['internalToken.required!', 'internalToken.subject!'])
  })

  it('can be a floor that workloads without a user pass', () => {
    const { config } = atService({
      floor: [meshWide('floor', { internalToken: { required: true, subject: 'Any' } })],
    })
    const { issuers: _, ...rest } = config as { issuers: unknown }
    assert.deepEqual(rest, { required: true, scope: [], subject: 'any', binding: 'caller', forward: 'strip' })
    const bounding = { floor: [meshWide('floor', { internalToken: { binding: 'Caller' } })] }
    assert.equal(atService(bounding).config, undefined)
  })

  it('says nothing of opaque ports, and at a gateway tells that it does not', () => {
    const policies = [attached('a', { internalToken: { required: true, binding: 'None', ttl: '60s' } })]
    assert.deepEqual(settledBy(internalTokenSection, { policies }, contextOf({ protocol: 'tcp' })).told, [])
    assert.deepEqual(settledBy(internalTokenSection, { policies }, GATEWAY), {
      config: undefined,
      told: ['internalToken.required', 'internalToken.binding'],
    })
    const context = [attached('a', { internalToken: { context: { claims: ['/tenant'] } } })]
    assert.deepEqual(atService({ policies: context }).told, ['internalToken.context'])
  })

  it('takes lives from 60 s to 300 s, and pointers that can be read', () => {
    const paths = (spec: Spec) => internalTokenSection.review(internalTokenSection.pick(spec)!).map(({ path }) => path)
    assert.deepEqual(paths({ internalToken: { ttl: '59s' } }), ['internalToken.ttl'])
    assert.deepEqual(paths({ internalToken: { ttl: '301s' } }), ['internalToken.ttl'])
    assert.deepEqual(paths({ internalToken: { ttl: '5m', context: { claims: ['/a', '/~2'] } } }), [
      'internalToken.context.claims[1]',
    ])
  })
})

describe("tokens of a workload's own calls", () => {
  const ofCalls = (words: Partial<Levels<Spec>>) => settledBy(tokenRelaySection, words, contextOf({ port: 0 })).config

  it('are there wherever internal tokens are taken', () => {
    assert.deepEqual(ofCalls({ policies: [attached('a', { internalToken: {} })] }), { ttlSeconds: 120 })
    const floor = [meshWide('floor', { internalToken: { required: true, subject: 'Any', ttl: '60s' } })]
    assert.deepEqual(ofCalls({ floor }), { ttlSeconds: 60 })
    assert.equal(ofCalls({ floor: [meshWide('floor', { internalToken: { binding: 'Caller' } })] }), undefined)
  })

  it('have the scope that the nearest policy says', () => {
    const policies = [
      attached('far', { internalToken: { calls: { scope: 'a' }, ttl: '300s' } }),
      attached('near', { internalToken: { calls: { scope: 'c b' } } }, { specificity: 2 }),
    ]
    assert.deepEqual(ofCalls({ policies }), { scope: ['b', 'c'], ttlSeconds: 300 })
    assert.deepEqual(ofCalls({ policies: [attached('a', { internalToken: { calls: { scope: '' } } })] }), {
      scope: [],
      ttlSeconds: 120,
    })
  })
})

describe('forward: Exchange', () => {
  it('says at a gateway what tokens are like, by the nearest policy within the floor', () => {
    const { config, told, origins } = atGateway({
      floor: [meshWide('floor', { internalToken: { ttl: '90s' } })],
      policies: [
        attached(
          'near',
          { internalToken: { scope: 'b a', context: { claims: ['/tenant', '/org/dept'] } } },
          { specificity: 2 },
        ),
        attached('far', { ...EXCHANGE, internalToken: { scope: 'c', ttl: '300s' } }),
      ],
    })
    assert.deepEqual(config, { scope: ['a', 'b'], ttlSeconds: 90, claims: ['/org/dept', '/tenant'] })
    assert.deepEqual(told, ['internalToken.scope'])
    assert.deepEqual(origins?.toSorted(), ['far', 'floor', 'near'])
  })

  it("lasts two minutes by default, and keeps the scope of the user's token", () => {
    assert.deepEqual(atGateway({ policies: [attached('a', EXCHANGE)] }).config, { ttlSeconds: 120, claims: [] })
  })

  it('can be a floor, and then nobody keeps or merely strips tokens where any are looked at', () => {
    const floor = [meshWide('floor', { authentication: { jwt: { forward: 'Exchange' } } })]
    const keeping = [attached('a', { authentication: { jwt: { ...JWT, forward: 'Keep' } } })]
    assert.deepEqual(atGateway({ floor, policies: keeping }).config, { ttlSeconds: 120, claims: [] })
    assert.equal(atGateway({ floor }).config, undefined)
  })

  it('is no more than Strip at a service, and tells so', () => {
    assert.equal(
      settledBy(tokenExchangeSection, { policies: [attached('a', EXCHANGE)] }, contextOf()).config,
      undefined,
    )
  })

  it('is what internalToken at a gateway needs to have an effect', () => {
    const policies = [attached('a', { internalToken: { scope: 'a' } })]
    assert.deepEqual(atGateway({ policies }), { config: undefined, told: ['internalToken'] })
  })
})
