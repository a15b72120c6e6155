import assert from 'node:assert/strict'
import { test } from 'node:test'
import { re2Fault } from './re2-fault.ts'

test('what RE2 does not take is told', () => {
  for (const pattern of [
    '^[a-z]{1,63}$',
    '^([0-9]{1,5}(h|m|s|ms)){1,4}$',
    '^([a-z]{1,128}( [a-z]{1,128})*)?$',
    'a{1000}',
    '[(){9}]{3}',
    '\\({600}b{600}',
  ]) {
    assert.equal(re2Fault(pattern), undefined, pattern)
  }
  assert.equal(re2Fault('^[a-z]{1,128}( [a-z]{1,128}){0,31}$'), 'repeats a part 3968 times')
  assert.equal(re2Fault('((a{10}){11}b){12}'), 'repeats a part 1320 times')
  assert.equal(re2Fault('a{1001}'), 'repeats a part 1001 times')
  assert.equal(re2Fault('^(?!x).*$'), 'looks around')
  assert.equal(re2Fault('(a)\\1'), 'refers to a group')
})
