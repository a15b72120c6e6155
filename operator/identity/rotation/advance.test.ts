import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from '#fast-check'
import type { RootRef } from '../root.ts'
import { advance, distrust, type Member, type RotationFacts, waitingFor } from './advance.ts'
import { decodeState, encodeState, phaseOf, type RotationState, stableWith, trustedIn } from './state.ts'

function root(number: number): RootRef {
  return { name: `root-${number}`, fingerprint: String(number).padStart(64, '0') }
}

const [first, second, third] = [root(1), root(2), root(3)]

function member(name: string, trusts: readonly RootRef[] | undefined, leaf: RootRef | undefined): Member {
  return {
    name,
    trusts: trusts && new Set(trusts.map(({ fingerprint }) => fingerprint)),
    root: leaf?.fingerprint,
  }
}

function facts(wanted: RootRef, generation: number, members: readonly Member[], isSettled = true): RotationFacts {
  return { wanted, generation, members, isSettled }
}

const names = (members: readonly Member[]) => members.map(({ name }) => name)

describe('a rotation', () => {
  it('F05: has everybody trust the next root, then sign with it, then forget the old one', () => {
    const before = stableWith(first, 1)
    assert.equal(phaseOf(before), 'stable')
    const distributing = advance(before, facts(second, 2, []))
    assert.equal(phaseOf(distributing.state), 'distributing')
    assert.deepEqual(trustedIn(distributing.state), [first, second])
    assert.deepEqual(distributing.steps, [{ reason: 'RootDistributing', root: second }])

    const signing = advance(distributing.state, facts(second, 2, [member('a', [first, second], first)]))
    assert.equal(phaseOf(signing.state), 'signing')
    assert.deepEqual(trustedIn(signing.state), [second, first])

    const retiring = advance(signing.state, facts(second, 2, [member('a', [first, second], second)]))
    assert.equal(phaseOf(retiring.state), 'retiring')
    assert.deepEqual(trustedIn(retiring.state), [second])

    const after = advance(retiring.state, facts(second, 2, [member('a', [second], second)]))
    assert.deepEqual(after.state, stableWith(second, 2))
    assert.deepEqual(after.steps, [{ reason: 'RootRotated', root: second }])
    assert.equal(advance(after.state, facts(second, 2, [])).state, after.state)
  })

  it('F05: is blocked by one that is stuck or absent, in each phase, and names it', () => {
    const fine = member('fine', [first, second], second)
    const rid = member('rid', [second], second)
    const cases = [
      [advance(stableWith(first, 1), facts(second, 2, [])).state, fine, member('stuck', [first], first)],
      [{ signing: second, old: [first], leaving: [], generation: 2 }, fine, member('stuck', [first, second], first)],
      [{ signing: second, old: [], leaving: [first], generation: 2 }, rid, member('stuck', [first, second], second)],
      [{ signing: second, old: [], leaving: [first], generation: 2 }, rid, member('stuck', [second], first)],
    ] as const
    for (const [state, good, stuck] of cases) {
      const absent = member('absent', undefined, undefined)
      assert.deepEqual(names(waitingFor(state, [good, stuck, absent])), ['stuck', 'absent'])
      assert.equal(advance(state, facts(second, 2, [good, stuck])).state, state)
      assert.equal(advance(state, facts(second, 2, [good, absent])).state, state)
      assert.notEqual(advance(state, facts(second, 2, [good])).state, state)
    }
  })

  it('F05: waits for places that say whom to trust, and for no certificate of theirs', () => {
    const place = (...trusts: readonly RootRef[]): Member => ({ ...member('anchors', trusts, undefined), root: 'none' })
    const { state } = advance(stableWith(first, 1), facts(second, 2, []))
    assert.deepEqual(names(waitingFor(state, [place(first)])), ['anchors'])
    const signing = advance(state, facts(second, 2, [place(first, second)])).state
    assert.equal(phaseOf(signing), 'signing')
    const retiring = advance(signing, facts(second, 2, [place(first, second)])).state
    assert.equal(phaseOf(retiring), 'retiring')
    assert.deepEqual(names(waitingFor(retiring, [place(second, first)])), ['anchors'])
    assert.equal(phaseOf(advance(retiring, facts(second, 2, [place(second)])).state), 'stable')
  })

  it('takes no step before what it waited for has held for a while', () => {
    const { state } = advance(stableWith(first, 1), facts(second, 2, []))
    assert.equal(advance(state, facts(second, 2, [], false)).state, state)
  })

  it('ends before the next one begins', () => {
    const { state } = advance(stableWith(first, 1), facts(second, 2, []))
    const stuck = [member('stuck', [first], first)]
    assert.equal(advance(state, facts(third, 3, stuck)).state, state)
    assert.deepEqual(trustedIn(advance(state, facts(third, 3, [])).state), [second, first])
  })

  it('F06: drops the signing root at once, for one that nobody trusts yet', () => {
    const out = new Set([first.fingerprint])
    const { state, steps } = distrust(stableWith(first, 1), out, { root: second, generation: 2 })
    assert.deepEqual(trustedIn(state), [second])
    assert.equal(phaseOf(state), 'retiring')
    assert.deepEqual(
      steps.map(({ reason }) => reason),
      ['RootDistrusted', 'RootSigning'],
    )
    assert.deepEqual(names(waitingFor(state, [member('a', [first], first), member('b', [second], second)])), ['a'])
  })

  it('F06: signs with a root that is trusted already, where there is one', () => {
    const distributing = advance(stableWith(first, 1), facts(second, 2, [])).state
    const replacement = { root: third, generation: 3 }
    const forward = distrust(distributing, new Set([first.fingerprint]), replacement).state
    assert.deepEqual(trustedIn(forward), [second])

    const signing: RotationState = { signing: second, old: [first], leaving: [], generation: 2 }
    const back = distrust(signing, new Set([second.fingerprint]), replacement).state
    assert.deepEqual(trustedIn(back), [first])
    assert.deepEqual(back.leaving, [second])
  })

  it('F06: gives up a next root that is distrusted, and goes on with an old one only', () => {
    const distributing = advance(stableWith(first, 1), facts(second, 2, [])).state
    const given = distrust(distributing, new Set([second.fingerprint]), { root: third, generation: 3 }).state
    assert.deepEqual(trustedIn(given), [first])
    const signing: RotationState = { signing: second, old: [first], leaving: [], generation: 2 }
    const early = distrust(signing, new Set([first.fingerprint]), { root: third, generation: 3 }).state
    assert.deepEqual(trustedIn(early), [second])
    assert.equal(phaseOf(early), 'retiring')
  })

  it('leaves a state alone in which nothing is distrusted', () => {
    const state = stableWith(first, 1)
    assert.equal(distrust(state, new Set([second.fingerprint]), { root: third, generation: 3 }).state, state)
  })
})

describe('a rotation’s state', () => {
  it('is read as it was written, and anything else is refused', () => {
    const state: RotationState = { signing: second, next: third, old: [first], leaving: [], generation: 2 }
    assert.deepEqual(decodeState(encodeState(state)), { ok: true, value: state })
    for (const text of ['', '{}', 'null', '{"version":2}', encodeState(state).replace('root-2', '../root-2')]) {
      assert.equal(decodeState(text).ok, false, text)
    }
  })
})

/** Members that hear of the bundle and get leaves whenever they do, and an operator that takes what steps are due. */
describe('any mesh', () => {
  const move = fc.oneof(
    fc.record({ kind: fc.constant('hears' as const), who: fc.nat(4) }),
    fc.record({ kind: fc.constant('renews' as const), who: fc.nat(4) }),
    fc.record({ kind: fc.constant('steps' as const), settled: fc.boolean() }),
    fc.record({ kind: fc.constant('wants' as const), generation: fc.integer({ min: 1, max: 4 }) }),
    fc.record({ kind: fc.constant('vanishes' as const), who: fc.nat(4) }),
  )

  it('F05: trusts every leaf that any of its members shows, at every moment, as long as nothing is distrusted', () => {
    fc.assert(
      fc.property(fc.array(move, { maxLength: 120 }), (moves) => {
        const world = createWorld()
        for (const each of moves) {
          world.make(each)
          for (const one of world.members) {
            for (const other of world.members) {
              assert.ok(one.trusts.has(other.leaf), `${one.name} trusts the leaf of ${other.name}`)
            }
          }
        }
        world.finish()
        assert.equal(phaseOf(world.state()), 'stable')
        assert.equal(world.state().signing.fingerprint, root(world.state().generation).fingerprint)
      }),
      { numRuns: 300 },
    )
  })

  it('F06: never trusts what is distrusted, has always one that signs, and comes to rest', () => {
    const emergency = fc.record({ kind: fc.constant('distrusts' as const), number: fc.integer({ min: 1, max: 4 }) })
    fc.assert(
      fc.property(fc.array(fc.oneof(move, emergency), { maxLength: 120 }), (moves) => {
        const world = createWorld()
        for (const each of moves) {
          world.make(each)
          for (const { fingerprint } of trustedIn(world.state())) assert.equal(world.distrusted.has(fingerprint), false)
        }
        world.finish()
        assert.equal(phaseOf(world.state()), 'stable')
        for (const { trusts, leaf } of world.members) {
          assert.deepEqual([...trusts], [world.state().signing.fingerprint])
          assert.equal(leaf, world.state().signing.fingerprint)
        }
      }),
      { numRuns: 300 },
    )
  })

  type Move =
    | (typeof move extends fc.Arbitrary<infer M> ? M : never)
    | { readonly kind: 'distrusts'; readonly number: number }

  function createWorld() {
    let state = stableWith(first, 1)
    let wantedGeneration = 1
    const distrusted = new Set<string>()
    const members = Array.from({ length: 5 }, (_, i) => ({
      name: `m${i}`,
      trusts: new Set([first.fingerprint]) as ReadonlySet<string>,
      leaf: first.fingerprint,
      connected: true,
    }))
    const goal = () => {
      let generation = Math.max(wantedGeneration, state.generation)
      while (distrusted.has(root(generation).fingerprint)) generation += 1
      return { root: root(generation), generation }
    }
    const step = (isSettled: boolean) => {
      const { root: wanted, generation } = goal()
      const seen = members.map(({ name, trusts, leaf, connected }): Member => {
        return connected ? { name, trusts, root: leaf } : { name, trusts: undefined, root: undefined }
      })
      state = advance(state, { wanted, generation, members: seen, isSettled }).state
    }
    return {
      members,
      distrusted,
      state: () => state,
      make(each: Move) {
        switch (each.kind) {
          case 'hears': {
            const one = members[each.who]!
            one.connected = true
            one.trusts = new Set(trustedIn(state).map(({ fingerprint }) => fingerprint))
            return
          }
          case 'renews':
            members[each.who]!.leaf = state.signing.fingerprint
            return
          case 'steps':
            return step(each.settled)
          case 'wants':
            wantedGeneration = each.generation
            return
          case 'vanishes':
            members[each.who]!.connected = false
            return
          case 'distrusts':
            distrusted.add(root(each.number).fingerprint)
            state = distrust(state, distrusted, goal()).state
        }
      },
      /** Everybody does what they are told, again and again. */
      finish() {
        for (let i = 0; i < 40; i += 1) {
          for (let who = 0; who < members.length; who += 1) {
            this.make({ kind: 'hears', who })
            this.make({ kind: 'renews', who })
          }
          step(true)
        }
      },
    }
  }
})
