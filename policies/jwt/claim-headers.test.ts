import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from '#fast-check'
import type { Facts, VerifiedToken } from '../../model/request.ts'
import { compileClaimHeaders, headerValueOf, mayCarryClaims } from './claim-headers.ts'

const tokenWith = (claims: Record<string, unknown>): VerifiedToken => ({
  issuer: 'corp',
  iss: 'corp',
  claims,
  expiresAt: 0,
})

function applied(entries: Record<string, string>, token: VerifiedToken | undefined, facts: Facts = {}): Facts {
  const compiled = compileClaimHeaders(Object.entries(entries).map(([header, claim]) => ({ header, claim })))
  assert.ok(compiled.ok)
  compiled.value.apply(facts, token)
  return facts
}

test('nested claims become headers, and what the client sent under their names goes', () => {
  assert.deepEqual(
    applied({ 'x-dept': '/org/dept', 'x-sub': '/sub' }, tokenWith({ sub: 'u1', org: { dept: 'books' } })),
    {
      removeRequestHeaders: ['x-dept', 'x-sub'],
      setRequestHeaders: [
        ['x-dept', 'books'],
        ['x-sub', 'u1'],
      ],
    },
  )
})

test('T12: without a token, or without the claim, the copy of the client goes all the same', () => {
  assert.deepEqual(applied({ 'x-dept': '/org/dept' }, undefined), { removeRequestHeaders: ['x-dept'] })
  assert.deepEqual(applied({ 'x-dept': '/org/dept' }, tokenWith({})), {
    removeRequestHeaders: ['x-dept'],
    setRequestHeaders: [],
  })
})

test('what other checks asked for stays, and nothing that is shared is written to', () => {
  const token = tokenWith({ sub: 'u1' })
  const set: [string, string][] = [['x-a', '1']]
  const facts: Facts = { setRequestHeaders: set, removeRequestHeaders: ['x-b'] }
  applied({ 'x-sub': '/sub' }, token, facts)
  assert.deepEqual(facts, {
    setRequestHeaders: [
      ['x-a', '1'],
      ['x-sub', 'u1'],
    ],
    removeRequestHeaders: ['x-b', 'x-sub'],
  })
  assert.deepEqual(set, [['x-a', '1']])
})

test('scalars are written as JSON writes them, lists are joined by commas', () => {
  for (const [claim, value] of [
    ['books', 'books'],
    ['', ''],
    [7, '7'],
    [1.5, '1.5'],
    [true, 'true'],
    [['a', 'b'], 'a,b'],
    [['a', 1, false], 'a,1,false'],
    ['Café au lait', 'Café au lait'],
  ] as const) {
    assert.equal(headerValueOf(claim), value)
  }
})

test('what a header cannot hold unchanged, or could be read as something else, is no header', () => {
  for (const claim of [
    undefined,
    null,
    {},
    [],
    [[]],
    [null],
    ['a', { b: 1 }],
    ['a,b'],
    ['a', ''],
    ['a', ' b'],
    'a\r\nx-admin: true',
    'a\nb',
    'a\0b',
    'a\tb',
    'a\x7fb',
    'a\x85b',
    '日本',
    ' a',
    'a ',
    'a\u00a0',
    'x'.repeat(2_049),
  ]) {
    assert.equal(headerValueOf(claim), undefined, JSON.stringify(claim))
  }
})

test('whatever a claim is, its header is one line of latin1 without outer spaces', () => {
  fc.assert(
    fc.property(fc.jsonValue(), (claim) => {
      const value = headerValueOf(claim)
      if (value === undefined) return
      assert.match(value, /^[\x20-\x7e\xa0-\xff]*$/)
      assert.equal(value, value.trim())
    }),
  )
})

test('names of HTTP, of the mesh and of identity carry no claims', () => {
  for (const name of [
    'host',
    'authorization',
    'cookie',
    'content-length',
    'x-forwarded-for',
    'x-forwarded-client-cert',
    'sec-fetch-site',
    'x-hauberk-decision',
    'proxy-authorization',
    'traceparent',
  ]) {
    assert.equal(mayCarryClaims(name), false, name)
  }
  for (const name of ['x-dept', 'x-user', 'tenant']) assert.equal(mayCarryClaims(name), true, name)
})

test('a pointer that does not parse does not compile', () => {
  const compiled = compileClaimHeaders([{ header: 'x-dept', claim: 'org.dept' }])
  assert.deepEqual(compiled.ok ? [] : compiled.issues.map(({ path, code }) => [path, code]), [
    ['claimHeaders[0].claim', 'malformed-json-pointer'],
  ])
})
