import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Check, Filter } from '../../model/filter.ts'
import type { Facts, RequestView } from '../../model/request.ts'
import { ok } from '../../model/result.ts'
import { CONTINUE, type Denial, type Deny } from '../../model/verdict.ts'
import { decide } from './decide.ts'
import type { Step } from './pipeline.ts'

const request = {} as RequestView

function step(name: string, check: Check, dryRun = false): Step {
  const filter: Filter = {
    name,
    denials: [denialOf(name)],
    repeatable: false,
    tcp: false,
    decode: ok,
    compile: () => ok(check),
    explain: () => [],
  }
  return { filter, check, origins: [`shop/${name}@1`], config: undefined, dryRun }
}

const denials = new Map<string, Denial>()

function denialOf(name: string): Denial {
  const known = denials.get(name) ?? { name, status: 403, title: 'No.' }
  denials.set(name, known)
  return known
}

function deny(name: string): Deny {
  return { kind: 'deny', denial: denialOf(name) }
}

const yes: Check = () => CONTINUE

describe('decide', () => {
  it('lets pass what every check lets pass, and allocates no decision for it', () => {
    const chain = { enforced: [step('a', yes), step('b', yes)] }
    assert.equal(decide(chain, request, {}), decide(chain, request, {}))
  })

  it('stops at the first check that refuses', async () => {
    const asked: string[] = []
    const chain = {
      enforced: [
        step('a', async () => CONTINUE),
        step('b', () => deny('b')),
        step('c', () => {
          asked.push('c')
          return CONTINUE
        }),
      ],
    }
    const { verdict, step: by } = await decide(chain, request, {})
    assert.equal(verdict.kind, 'deny')
    assert.equal(by?.filter.name, 'b')
    assert.deepEqual(asked, [])
  })

  it('takes a check that throws or rejects for one that refuses', async () => {
    for (const check of [
      () => {
        throw new Error('broken')
      },
      () => Promise.reject(new Error('broken')),
    ]) {
      const { verdict } = await decide({ enforced: [step('a', check)] }, request, {})
      assert.equal(verdict.kind === 'deny' && verdict.denial.name, 'policy-error')
      assert.equal(verdict.kind === 'deny' && verdict.detail, 'broken')
    }
  })

  it('tells what the dry-run policies would refuse, on facts of their own, and lets it pass', async () => {
    const facts: Facts = {}
    const spoil: Check = (_, own) => {
      own.rule = 'spoilt'
      return deny('b')
    }
    const decision = await decide({ enforced: [step('a', yes)], shadow: [step('b', spoil, true)] }, request, facts)
    assert.equal(decision.verdict.kind, 'continue')
    assert.equal(decision.wouldDeny?.step.filter.name, 'b')
    assert.deepEqual(facts, {})
  })

  it('tells what a part of an enforced policy would refuse that is in dry run itself', async () => {
    const quiet: Check = (_, facts) => {
      facts.wouldDeny = { ...deny('b'), rule: 'per-user' }
      return CONTINUE
    }
    for (const chain of [
      { enforced: [step('a', yes), step('b', quiet)] },
      { enforced: [step('a', yes)], shadow: [step('b', quiet, true)] },
    ]) {
      const decision = await decide(chain, request, {})
      assert.equal(decision.verdict.kind, 'continue')
      assert.equal(decision.wouldDeny?.step.filter.name, 'b')
      assert.equal(decision.wouldDeny?.verdict.rule, 'per-user')
    }
  })

  it('asks no dry run about a request that is refused', () => {
    const chain = { enforced: [step('a', () => deny('a'))], shadow: [step('b', () => assert.fail('was asked'), true)] }
    const decision = decide(chain, request, { wouldDeny: deny('a') })
    assert.ok(!(decision instanceof Promise))
    assert.equal(decision.verdict.kind, 'deny')
    assert.equal(decision.wouldDeny, undefined)
  })
})
