import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from '#fast-check'
import type { Facts } from '../../model/request.ts'
import { requestOf } from '../testing/request.ts'
import type { TokenLocation } from './config.ts'
import { findToken, SEVERAL, tokenPlaceOf } from './token-location.ts'

const BEARER: TokenLocation = { kind: 'header', name: 'authorization', scheme: 'bearer' }
const WHOLE: TokenLocation = { kind: 'header', name: 'x-token' }
const SID: TokenLocation = { kind: 'cookie', name: 'sid' }

type Headers = Record<string, string | string[]>

function found(headers: Headers, ...locations: TokenLocation[]) {
  const places = (locations.length === 0 ? [BEARER] : locations).map(tokenPlaceOf)
  const token = findToken(places, requestOf({ headers }), {})
  return token === SEVERAL ? 'several' : token?.text
}

function stripped(headers: Headers, ...locations: TokenLocation[]): Facts {
  const facts: Facts = {}
  const request = requestOf({ headers })
  for (const location of locations) tokenPlaceOf(location).strip(request, facts)
  return facts
}

test('a token follows its scheme, in any case and after any number of spaces', () => {
  for (const value of ['Bearer abc', 'bearer abc', 'BEARER   abc']) assert.equal(found({ authorization: value }), 'abc')
  for (const value of ['Basic abc', 'Bearerabc', 'Bearer\tabc', 'abc', 'Bear']) {
    assert.equal(found({ authorization: value }), undefined, value)
  }
  assert.equal(found({ authorization: 'Bearer' }), '', 'a scheme without a token is a bad token, not none')
  assert.equal(found({ 'x-token': 'abc' }, WHOLE), 'abc')
})

test('a cookie is found among others, by its exact name', () => {
  assert.equal(found({ cookie: 'a=1; sid=abc; b=2' }, SID), 'abc')
  assert.equal(found({ cookie: ['a=1', 'sid=abc'] }, SID), 'abc')
  assert.equal(found({ cookie: 'SID=abc; xsid=1; sid ; s=id' }, SID), undefined)
  assert.equal(found({ cookie: 'sid=' }, SID), '')
})

test('T24: two lines, two places, two cookies or a list are more than one token, even if equal', () => {
  assert.equal(found({ authorization: ['Bearer a', 'Bearer a'] }), 'several')
  assert.equal(found({ authorization: ['Basic a', 'Bearer b'] }), 'several')
  assert.equal(found({ authorization: 'Bearer a, Bearer b' }), 'several')
  assert.equal(found({ authorization: 'Bearer a,b' }), 'several')
  assert.equal(found({ 'x-token': 'a.b.c , d.e.f' }, WHOLE), 'several')
  assert.equal(found({ authorization: 'Bearer {"a":1,"b":2}' }), '{"a":1,"b":2}', 'one bad token')
  assert.equal(found({ authorization: 'Bearer a', cookie: 'sid=a' }, BEARER, SID), 'several')
  assert.equal(found({ authorization: 'Bearer a', 'x-token': 'b' }, BEARER, WHOLE), 'several')
  assert.equal(found({ cookie: 'sid=a; sid=a' }, SID), 'several')
  assert.equal(found({ cookie: ['sid=a', 'sid=b'] }, SID), 'several')
  assert.equal(found({ authorization: 'Basic a', cookie: 'sid=a' }, BEARER, SID), 'a')
})

test('stripping takes the token and leaves the rest', () => {
  assert.deepEqual(stripped({ authorization: 'Bearer a' }, BEARER), { removeRequestHeaders: ['authorization'] })
  assert.deepEqual(stripped({ authorization: 'Basic a' }, BEARER), {})
  assert.deepEqual(stripped({ cookie: 'sid=a' }, SID), { removeRequestHeaders: ['cookie'] })
  assert.deepEqual(stripped({ cookie: ['x=1;sid=a', 'y=2; sid=b'] }, SID), {
    setRequestHeaders: [['cookie', 'x=1; y=2']],
  })
  assert.deepEqual(stripped({ cookie: 'x=1' }, SID), {})
  assert.deepEqual(stripped({ cookie: 'sid=a; t=b; x=1' }, SID, { kind: 'cookie', name: 't' }), {
    setRequestHeaders: [['cookie', 'x=1']],
  })
})

test('after stripping no cookie of that name is left, and every other is', () => {
  const pair = fc.tuple(
    fc.constantFrom('sid', 'a', 'sid2', ' sid', 'S'),
    fc.string({ unit: fc.constantFrom(...'xyz= '), maxLength: 3 }),
  )
  fc.assert(
    fc.property(fc.array(fc.array(pair, { minLength: 1, maxLength: 4 }), { maxLength: 3 }), (lines) => {
      const cookie = lines.map((pairs) => pairs.map(([name, value]) => `${name}=${value}`).join('; '))
      const facts = stripped({ cookie }, SID)
      const left = facts.removeRequestHeaders ? [] : facts.setRequestHeaders ? [facts.setRequestHeaders[0]![1]] : cookie
      assert.equal(found({ cookie: left }, SID), undefined)
      const others = cookie
        .flatMap((line) => line.split(';').map((text) => text.trim()))
        .filter((text) => !/^sid\s*=/.test(text))
      assert.deepEqual(
        left.flatMap((line) => line.split(';').map((text) => text.trim())).filter(Boolean),
        others.filter(Boolean),
      )
    }),
  )
})
