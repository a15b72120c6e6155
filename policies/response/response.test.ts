import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Facts } from '../../model/request.ts'
import { attached, contextOf, levelsOf } from '../testing/context.ts'
import { testDeps } from '../testing/deps.ts'
import { type RequestWords, requestOf } from '../testing/request.ts'
import { schemaFaults } from '../testing/schema-conventions.ts'
import { response } from './filter.ts'
import { type ResponseSpec, responseSection } from './section.ts'

function factsOf(spec: ResponseSpec, words: RequestWords = {}, facts: Facts = {}): Facts {
  const combined = responseSection.combine(levelsOf({ policies: [attached('p', spec)] }), contextOf())
  assert.ok(combined)
  const decoded = response.decode(JSON.parse(JSON.stringify(combined.value)))
  assert.ok(decoded.ok)
  const check = response.compile(decoded.value, testDeps())
  assert.ok(check.ok)
  const verdict = check.value(requestOf(words), facts)
  assert.ok(!(verdict instanceof Promise))
  assert.equal(verdict.kind, 'continue')
  return facts
}

const SPEC: ResponseSpec = {
  hsts: { maxAge: '8760h', includeSubDomains: true, preload: true },
  headers: [{ name: 'x-content-type-options', value: 'nosniff' }],
}

describe('response', () => {
  it('says how refusals are told, before anybody refuses', () => {
    assert.deepEqual(factsOf({ deniedStatus: 404, format: 'Empty' }).refusalForm, {
      deniedStatus: 404,
      format: 'empty',
      hidesExistence: false,
    })
    assert.deepEqual(factsOf({ hideExistence: true }).refusalForm, {
      deniedStatus: 403,
      format: 'problem-json',
      hidesExistence: true,
    })
  })

  it('sets headers on every response, and HSTS over HTTPS only', () => {
    assert.deepEqual(factsOf(SPEC, { scheme: 'https' }).setResponseHeaders, [
      ['x-content-type-options', 'nosniff'],
      ['strict-transport-security', 'max-age=31536000; includeSubDomains; preload'],
    ])
    assert.deepEqual(factsOf(SPEC, { scheme: 'http' }).setResponseHeaders, [['x-content-type-options', 'nosniff']])
    assert.equal(factsOf({ format: 'Text' }).setResponseHeaders, undefined)
  })

  it('leaves what another filter set, and shares nothing between requests', () => {
    const first = factsOf(SPEC, {}, { setResponseHeaders: [['x-own', '1']] })
    assert.equal(first.setResponseHeaders?.[0]?.[0], 'x-own')
    first.setResponseHeaders?.push(['x-more', '2'])
    assert.equal(factsOf(SPEC).setResponseHeaders?.length, 2)
  })
})

describe('the response section', () => {
  it('keeps to the conventions of our CRDs', () => {
    assert.deepEqual(schemaFaults('response', responseSection.schema['response'] ?? {}), [])
  })

  it('finds headers that a policy cannot set, and an HSTS that no browser preloads', () => {
    const issues = responseSection.review({
      hideExistence: true,
      deniedStatus: 404,
      hsts: { maxAge: '24h', preload: true },
      headers: [
        { name: 'transfer-encoding', value: 'chunked' },
        { name: 'set-cookie', value: 'a=b' },
        { name: 'x-ok', value: 'fine' },
        { name: 'x-split', value: 'a\r\nset-cookie: b' },
      ],
    })
    assert.deepEqual(
      issues.map(({ path }) => path),
      [
        'response.deniedStatus',
        'response.hsts.preload',
        'response.headers[0].name',
        'response.headers[1].name',
        'response.headers[3].value',
      ],
    )
  })
})
