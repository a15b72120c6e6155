import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from '#fast-check'
import type { Levels, SectionContext } from '../../model/section.ts'
import { attached, contextOf, levelsOf, meshWide } from '../testing/context.ts'
import { testDeps } from '../testing/deps.ts'
import { requestOf } from '../testing/request.ts'
import { schemaFaults } from '../testing/schema-conventions.ts'
import { MTLS_MODES, type MtlsMode } from './config.ts'
import { mtls } from './filter.ts'
import { type MtlsSpec, mtlsSection } from './section.ts'

function settle(words: Partial<Levels<MtlsSpec>>, context: Partial<SectionContext> = {}) {
  const combined = mtlsSection.combine(levelsOf(words), contextOf(context))
  assert.ok(combined)
  return combined
}

function modeOf(words: Partial<Levels<MtlsSpec>>, context: Partial<SectionContext> = {}): MtlsMode {
  return settle(words, context).value.mode
}

describe('the mode of a port', () => {
  it('is Strict where nobody says anything', () => {
    assert.equal(modeOf({}), 'Strict')
    assert.equal(modeOf({ policies: [attached('p', { ports: [{ port: 9090, mode: 'Disabled' }] })] }), 'Strict')
  })

  it('is what the policy says of the port, before what it says of all', () => {
    const policies = [attached('p', { mode: 'Strict' as const, ports: [{ port: 9090, mode: 'Permissive' as const }] })]
    assert.equal(modeOf({ policies }), 'Strict')
    assert.equal(modeOf({ policies }, { port: 9090 }), 'Permissive')
  })

  it('is what the more specific policy says, and the other one is told so', () => {
    const near = attached('near', { mode: 'Permissive' as const }, { specificity: 2 })
    const far = attached('far', { mode: 'Strict' as const }, { specificity: 1 })
    const combined = settle({ policies: [near, far] })
    assert.equal(combined.value.mode, 'Permissive')
    assert.deepEqual(combined.overridden, [{ loser: far.origin, winner: near.origin }])
  })

  it('is the strictest of what equals say', () => {
    const strict = attached('a', { mode: 'Strict' as const })
    const open = attached('b', { mode: 'Disabled' as const })
    assert.equal(modeOf({ policies: [strict, open] }), 'Strict')
    assert.equal(modeOf({ policies: [open, strict] }), 'Strict')
  })

  it('is raised to the floor, and never lowered by it', () => {
    const floor = [meshWide('base', { mode: 'Permissive' as const })]
    const own = (mode: MtlsMode) => [attached('p', { mode })]
    assert.equal(modeOf({ floor, policies: own('Disabled') }), 'Permissive')
    assert.equal(modeOf({ floor, policies: own('Strict') }), 'Strict')
    assert.equal(modeOf({ floor }), 'Strict')
    const { overridden } = settle({ floor, policies: own('Disabled') })
    assert.equal(overridden?.[0]?.winner.name, 'base')
    assert.equal(overridden?.[0]?.weakensFloor, true)
  })

  it('is said to weaken the floor only where it is less strict than that', () => {
    const floor = [meshWide('base', { mode: 'Permissive' as const })]
    const policies = [
      attached('near', { ports: [{ port: 80, mode: 'Disabled' as const }] }),
      attached('far', { mode: 'Strict' as const }),
    ]
    const { overridden = [] } = settle({ floor, policies })
    assert.deepEqual(
      overridden.map(({ loser, weakensFloor }) => [loser.name, weakensFloor]),
      [
        ['near', true],
        ['far', undefined],
      ],
    )
    const between = settle({ policies })
    assert.equal(
      between.overridden?.some(({ weakensFloor }) => weakensFloor),
      false,
    )
  })

  it('falls back to the defaults for a port that no policy speaks of', () => {
    const defaults = [meshWide('base', { mode: 'Permissive' as const })]
    assert.equal(modeOf({ defaults }), 'Permissive')
    assert.equal(modeOf({ defaults, policies: [attached('p', { mode: 'Strict' as const })] }), 'Strict')
    const other = [attached('p', { ports: [{ port: 9090, mode: 'Strict' as const }] })]
    assert.equal(modeOf({ defaults, policies: other }), 'Permissive')
  })

  it('means nothing at a gateway, and the policy is told so', () => {
    assert.equal(mtlsSection.combine(levelsOf({}), contextOf({ role: 'gateway' })), undefined)
    const combined = settle({ policies: [attached('p', { mode: 'Strict' as const })] }, { role: 'gateway' })
    assert.equal(combined.value.mode, 'Disabled')
    assert.equal(combined.notApplied?.[0]?.path, 'mtls')
  })

  it('does not depend on the order of policies, and is never below the floor', () => {
    const mode = fc.constantFrom(...MTLS_MODES)
    const spec = fc.oneof(
      mode.map((word): MtlsSpec => ({ mode: word })),
      mode.map((word): MtlsSpec => ({ ports: [{ port: 80, mode: word }] })),
    )
    const level = fc.array(
      fc.tuple(spec, fc.nat(2)).map(([said, specificity]) => attached('p', said, { specificity })),
      { maxLength: 3 },
    )
    fc.assert(
      fc.property(level, level, level, (floor, policies, defaults) => {
        const settled = modeOf({ floor, policies, defaults })
        assert.equal(
          modeOf({ floor: floor.toReversed(), policies: policies.toReversed(), defaults: defaults.toReversed() }),
          settled,
        )
        for (const { spec: said } of floor) {
          const raised = said.mode ?? said.ports?.[0]?.mode ?? 'Disabled'
          assert.ok(MTLS_MODES.indexOf(settled) >= MTLS_MODES.indexOf(raised))
        }
      }),
    )
  })
})

describe('mtls', () => {
  const judge = (mode: MtlsMode, from?: string) => {
    const decoded = mtls.decode({ mode })
    assert.ok(decoded.ok)
    const check = mtls.compile(decoded.value, testDeps())
    assert.ok(check.ok)
    const request = requestOf(from === undefined ? {} : { from })
    const verdict = check.value(request, {})
    assert.ok(!(verdict instanceof Promise))
    const isDenied = mtls.explain({ mode }, request, {}).some(({ outcome }) => outcome === 'denied')
    assert.equal(isDenied, verdict.kind === 'deny', 'explained as decided')
    return verdict.kind === 'deny' ? verdict.denial.name : verdict.kind
  }

  it('T07: under Strict refuses a caller without a verified identity', () => {
    assert.equal(judge('Strict'), 'mtls-required')
    assert.equal(judge('Strict', 'shop/storefront'), 'continue')
  })

  it('lets anybody pass under Permissive and Disabled', () => {
    assert.equal(judge('Permissive'), 'continue')
    assert.equal(judge('Disabled'), 'continue')
  })

  it('refuses a mode that it does not know', () => {
    assert.ok(!mtls.decode({ mode: 'Lax' }).ok)
    assert.ok(!mtls.decode({ mode: 'Strict', more: 1 }).ok)
  })
})

describe('the mtls section', () => {
  it('keeps to the conventions of our CRDs', () => {
    assert.deepEqual(schemaFaults('mtls', mtlsSection.schema['mtls'] ?? {}), [])
  })

  it('finds a port that is listed twice', () => {
    const ports = [
      { port: 80, mode: 'Strict' as const },
      { port: 80, mode: 'Disabled' as const },
    ]
    assert.deepEqual(
      mtlsSection.review({ ports }).map(({ path }) => path),
      ['mtls.ports[1].port'],
    )
  })
})
