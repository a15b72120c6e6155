import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from '#fast-check'
import type { Facts, PostgresOpening } from '../../model/request.ts'
import type { Levels, SectionContext } from '../../model/section.ts'
import type { Verdict } from '../../model/verdict.ts'
import { attached, contextOf, levelsOf, meshWide } from '../testing/context.ts'
import { testDeps } from '../testing/deps.ts'
import { requestOf } from '../testing/request.ts'
import { schemaFaults } from '../testing/schema-conventions.ts'
import type { PostgresConfig } from './config.ts'
import { postgres } from './filter.ts'
import { type PostgresSpec, postgresSection, type UserSpec } from './section.ts'

const PORT = { protocol: 'tcp', database: 'postgres', port: 5432 } as const

function user(name: string, words: Partial<UserSpec> = {}): UserSpec {
  return { name, from: { serviceAccounts: ['orders'] }, user: 'orders', databases: ['orders'], ...words }
}

function configOf(words: Partial<Levels<PostgresSpec>>, context: Partial<SectionContext> = PORT) {
  const place = contextOf(context)
  const combined = postgresSection.combine(levelsOf(words), place)
  if (combined === undefined) return undefined
  const config = postgresSection.translate(combined.value, place)
  assert.ok(config.ok, JSON.stringify(config))
  const decoded = postgres.decode(JSON.parse(JSON.stringify(config.value)))
  assert.ok(decoded.ok, JSON.stringify(decoded))
  return decoded.value
}

function policyOf(...users: readonly UserSpec[]) {
  return attached('db', { users })
}

function session(name: string, database = name, isReplication = false): PostgresOpening {
  return { kind: 'session', user: name, database, isReplication }
}

/** What becomes of a caller, and that its explanation says the same. */
function judged(config: PostgresConfig, from: string | undefined, opening?: PostgresOpening) {
  const check = postgres.compile(config, testDeps())
  assert.ok(check.ok)
  const request = requestOf({
    protocol: 'tcp',
    port: 5432,
    ...(from !== undefined && { from }),
    ...(opening && { postgres: opening }),
  })
  const facts: Facts = {}
  const verdict = check.value(request, facts) as Verdict
  const explained: Facts = {}
  const considerations = postgres.explain(config, request, explained)
  const denied = considerations.filter(({ outcome }) => outcome === 'denied')
  assert.deepEqual(
    denied.map(({ denial, rule, origin }) => [denial, rule, origin]),
    verdict.kind === 'deny' ? [[verdict.denial.name, verdict.rule, verdict.origin]] : [],
    'explained as decided',
  )
  assert.deepEqual(explained.postgres, facts.postgres, 'explained as whom it is let in')
  assert.equal(
    considerations.filter(({ outcome }) => outcome === 'allowed').length,
    verdict.kind === 'continue' ? 1 : 0,
  )
  if (verdict.kind === 'deny') return verdict.denial.name
  const { postgres: login } = facts
  return login === undefined ? 'continue' : `${login.user}/${login.database} by ${facts.rule}`
}

describe('postgres', () => {
  const config = configOf({
    policies: [
      policyOf(
        user('app', { databases: ['orders', 'archive'] }),
        user('reports', {
          from: { spiffeIds: ['spiffe://mesh/ns/bi/sa/reports'] },
          user: 'reader',
          databases: ['archive', 'orders'],
          otherNames: 'Replace',
        }),
      ),
    ],
  })!

  it('lets a caller be the user that is mapped to it, in the databases that are listed', () => {
    assert.equal(judged(config, 'shop/orders', session('orders')), 'orders/orders by app')
    assert.equal(judged(config, 'shop/orders', session('orders', 'archive')), 'orders/archive by app')
  })

  it('refuses another user, another database, and replication', () => {
    assert.equal(judged(config, 'shop/orders', session('reader', 'orders')), 'database-user-refused')
    assert.equal(judged(config, 'shop/orders', session('orders', 'postgres')), 'database-refused')
    assert.equal(judged(config, 'shop/orders', session('orders', 'orders', true)), 'replication-refused')
    assert.equal(judged(config, 'bi/reports', session('reader', 'orders', true)), 'replication-refused')
  })

  it('compares names to the letter, as Postgres does', () => {
    for (const name of ['Orders', 'orders ', 'orders\u0301', `orders${'x'.repeat(80)}`]) {
      assert.equal(judged(config, 'shop/orders', session(name, 'orders')), 'database-user-refused')
    }
  })

  it('refuses whom no rule is about, whoever they say they are', () => {
    for (const from of [undefined, 'shop/catalog', 'orders/shop', 'spiffe://other/ns/shop/sa/orders']) {
      assert.equal(judged(config, from, session('orders')), 'database-user-refused')
      assert.equal(judged(config, from, { kind: 'cancel' }), 'database-user-refused')
    }
  })

  it('replaces what a client asks for where the rule says so, and keeps a database that is listed', () => {
    assert.equal(judged(config, 'bi/reports', session('postgres')), 'reader/archive by reports')
    assert.equal(judged(config, 'bi/reports', session('postgres', 'orders')), 'reader/orders by reports')
  })

  it('prefers the rule that says what was asked for to the one that replaces it', () => {
    const both = configOf({
      policies: [policyOf(user('any', { user: 'guest', databases: ['public'], otherNames: 'Replace' }), user('app'))],
    })!
    assert.equal(judged(both, 'shop/orders', session('orders')), 'orders/orders by app')
    assert.equal(judged(both, 'shop/orders', session('orders', 'x')), 'guest/public by any')
  })

  it('passes a cancel request of whoever has a user here: whose session it is, the sidecar knows', () => {
    assert.equal(judged(config, 'shop/orders', { kind: 'cancel' }), 'continue')
  })

  it('refuses a connection whose beginning nobody has read', () => {
    assert.equal(judged(config, 'shop/orders'), 'database-user-refused')
  })

  it('explains each rule by the first thing in it that is not what was asked for', () => {
    const request = requestOf({ protocol: 'tcp', from: 'shop/orders', postgres: session('reader', 'archive') })
    const [reports, end] = postgres.explain(config, request, {})
    assert.deepEqual([reports?.rule, reports?.outcome, reports?.field], ['reports', 'not-matched', 'from'])
    assert.equal(end?.field, 'user')
    assert.equal(end?.expected, 'orders')
    assert.match(end?.change ?? '', /^connect as orders/)
  })

  it('refuses words that it does not know', () => {
    assert.ok(!postgres.decode({ grants: [], limits: [], more: 1 }).ok)
    assert.ok(!postgres.decode({ grants: [{ ...config.grants[0], otherNames: 'keep' }], limits: [] }).ok)
  })

  it('explains as it decides, and lets nobody be whom no rule about them names', () => {
    const callers = ['orders', 'catalog'] as const
    const names = ['orders', 'reader', 'archive'] as const
    const rule = fc.record({
      name: fc.constantFrom('a', 'b', 'c'),
      from: fc.constantFrom(...callers).map((account) => ({ serviceAccounts: [account] })),
      user: fc.constantFrom(...names),
      databases: fc.uniqueArray(fc.constantFrom(...names), { minLength: 1 }),
      otherNames: fc.constantFrom('Refuse' as const, 'Replace' as const),
    })
    const level = fc.array(
      fc.array(rule, { minLength: 1, maxLength: 3 }).map((users) => policyOf(...users)),
      { maxLength: 2 },
    )
    const opening: fc.Arbitrary<PostgresOpening | undefined> = fc.oneof(
      fc.constant(undefined),
      fc.constant({ kind: 'cancel' as const }),
      fc
        .tuple(fc.constantFrom(...names), fc.constantFrom(...names), fc.boolean())
        .map(([name, database, isReplication]) => session(name, database, isReplication)),
    )
    fc.assert(
      fc.property(level, level, fc.constantFrom(undefined, ...callers), opening, (floor, policies, caller, asked) => {
        const written = configOf({ floor, policies })
        if (written === undefined) return assert.deepEqual([floor, policies], [[], []])
        const came = judged(written, caller && `shop/${caller}`, asked)
        const [, name, database] = /^(.*)\/(.*) by/.exec(came) ?? []
        if (name === undefined) return
        for (const words of [written.grants, ...written.limits]) {
          const granted = words.some(
            (each) =>
              each.callers.includes(`spiffe://mesh/ns/shop/sa/${caller}`) &&
              each.user === name &&
              each.databases.includes(database ?? ''),
          )
          assert.ok(granted, came)
        }
      }),
    )
  })
})

describe('the postgres section', () => {
  it('keeps to the conventions of our CRDs', () => {
    assert.deepEqual(schemaFaults('postgres', postgresSection.schema['postgres'] ?? {}), [])
  })

  it('adds up the rules of policies, and asks defaults where there is none', () => {
    const reader = user('reader', { user: 'reader' })
    const defaults = [meshWide('base', { users: [user('default', { user: 'nobody' })] })]
    const both = configOf({ policies: [policyOf(user('app')), policyOf(reader)], defaults })!
    assert.deepEqual(
      both.grants.map(({ name }) => name),
      ['app', 'reader'],
    )
    const [only] = configOf({ defaults })!.grants
    assert.deepEqual([only?.name, only?.callers], ['default', ['spiffe://mesh/ns/shop/sa/orders']])
  })

  it('lets nobody in whom a floor does not let in, too', () => {
    const floor = [meshWide('base', { users: [user('known', { databases: ['orders'] })] })]
    const own = [policyOf(user('app', { databases: ['orders', 'archive'] }), user('root', { user: 'postgres' }))]
    const config = configOf({ floor, policies: own })!
    assert.equal(judged(config, 'shop/orders', session('orders')), 'orders/orders by app')
    assert.equal(judged(config, 'shop/orders', session('orders', 'archive')), 'database-refused')
    assert.equal(judged(config, 'shop/orders', session('postgres', 'orders')), 'database-user-refused')
    const alone = configOf({ floor })!
    assert.equal(judged(alone, 'shop/orders', session('orders')), 'orders/orders by known')
  })

  it('has a floor and defaults speak only of ports that are said to speak Postgres; a policy names its target itself', () => {
    const redis = { protocol: 'tcp', port: 6379 } as const
    const base = [meshWide('base', { users: [user('known')] })]
    assert.equal(configOf({ floor: base, defaults: base }, redis), undefined)
    assert.equal(configOf({ floor: base, policies: [policyOf(user('app'))] }, redis)?.limits.length, 0)
  })

  it('says nothing where nobody says anything', () => {
    assert.equal(configOf({}), undefined)
  })

  it('means nothing at a gateway, and refuses there', () => {
    const place = contextOf({ ...PORT, role: 'gateway' })
    const combined = postgresSection.combine(levelsOf({ policies: [policyOf(user('app'))] }), place)
    assert.ok(combined)
    const config = postgresSection.translate(combined.value, place)
    assert.ok(!config.ok)
    assert.equal(config.issues[0]?.code, 'no-database-at-gateway')
  })

  it('finds a name that is there twice, and names that Postgres would cut', () => {
    const long = 'é'.repeat(32)
    const issues = postgresSection.review({ users: [user('a'), user('a', { user: long, databases: ['x', long] })] })
    assert.deepEqual(
      issues.map(({ code, path }) => [code, path]),
      [
        ['duplicate-rule', 'postgres.users[1].name'],
        ['database-name-too-long', 'postgres.users[1].user'],
        ['database-name-too-long', 'postgres.users[1].databases[1]'],
      ],
    )
  })

  it('finds an identity that is none', () => {
    const issues = postgresSection.review({ users: [user('a', { from: { spiffeIds: ['spiffe://mesh/a//b'] } })] })
    assert.equal(issues[0]?.path, 'postgres.users[0].from.spiffeIds[0]')
  })
})
