import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from '#fast-check'
import {
  formatTraceParent,
  isSampled,
  isTraceState,
  MAX_TRACE_STATE_LENGTH,
  MAX_TRACE_STATE_MEMBERS,
  parseTraceParent,
} from './trace-context.ts'

// W3C Trace Context, 3.2.2.5
const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736'
const PARENT = '00f067aa0ba902b7'

test('a traceparent is read as the recommendation has it', () => {
  const read = (flags: number) => ({ traceId: TRACE, parentId: PARENT, flags })
  assert.deepEqual(parseTraceParent(`00-${TRACE}-${PARENT}-01`), read(1))
  assert.deepEqual(parseTraceParent(`00-${TRACE}-${PARENT}-00`), read(0))
  assert.deepEqual(parseTraceParent(`00-${TRACE}-${PARENT}-03`), read(3))
  // 3.2.2.5: bits without a meaning are 0 for whoever passes it on.
  assert.deepEqual(parseTraceParent(`00-${TRACE}-${PARENT}-fd`), read(1))
})

test('of a later version what it has in common with the first one counts', () => {
  for (const text of [`01-${TRACE}-${PARENT}-01`, `cc-${TRACE}-${PARENT}-01-what-the-future-will-be-like`]) {
    assert.equal(parseTraceParent(text)?.traceId, TRACE, text)
  }
  for (const text of [`01-${TRACE}-${PARENT}-01.what`, `ff-${TRACE}-${PARENT}-01`]) {
    assert.equal(parseTraceParent(text), undefined, text)
  }
})

test('what is no traceparent is none, however near it comes', () => {
  for (const text of [
    '',
    '00',
    `00-${TRACE}-${PARENT}`,
    `00-${TRACE}-${PARENT}-1`,
    `00-${TRACE}-${PARENT}-01-`,
    `00-${TRACE}-${PARENT}-01 `,
    ` 00-${TRACE}-${PARENT}-01`,
    `00-${TRACE.toUpperCase()}-${PARENT}-01`,
    `00-${TRACE}-${PARENT.toUpperCase()}-01`,
    `0X-${TRACE}-${PARENT}-01`,
    `00-${TRACE}-${PARENT}-0x`,
    `00-${'0'.repeat(32)}-${PARENT}-01`,
    `00-${TRACE}-${'0'.repeat(16)}-01`,
    `00-${TRACE.slice(1)}-${PARENT}1-01`,
    `00_${TRACE}_${PARENT}_01`,
    `00-${TRACE.replace('4', '٤')}-${PARENT}-01`,
  ]) {
    assert.equal(parseTraceParent(text), undefined, JSON.stringify(text))
  }
})

test('what is written is read the same, and nothing that is read throws', () => {
  const hex = (length: number) =>
    fc
      .array(fc.constantFrom(...'0123456789abcdef'), { minLength: length, maxLength: length })
      .map((digits) => digits.join(''))
      .filter((text) => !/^0*$/.test(text))
  fc.assert(
    fc.property(hex(32), hex(16), fc.integer({ min: 0, max: 3 }), (traceId, parentId, flags) => {
      const written = { traceId, parentId, flags }
      assert.deepEqual(parseTraceParent(formatTraceParent(written)), written)
    }),
  )
  fc.assert(
    fc.property(fc.string({ maxLength: 80 }), fc.array(fc.string({ maxLength: 300 })), (text, lines) => {
      parseTraceParent(text)
      isTraceState(lines)
    }),
  )
})

test('a tracestate of the right form is passed on, in one line or in many', () => {
  for (const lines of [
    [],
    [''],
    ['rojo=00f067aa0ba902b7,congo=t61rcWkgMzE'],
    ['rojo=00f067aa0ba902b7 ,\tcongo=t61rcWkgMzE', 'third=a b'],
    ['fw529a3039@dt=FfAABBCC', ',', '1tenant@v=x'],
    [Array.from({ length: MAX_TRACE_STATE_MEMBERS }, (_, index) => `k${index}=v`).join(',')],
  ]) {
    assert.equal(isTraceState(lines), true, JSON.stringify(lines))
  }
})

test('a tracestate that breaks a limit is not', () => {
  for (const lines of [
    ['rojo'],
    ['rojo='],
    ['=v'],
    ['Rojo=1'],
    ['1rojo=1'],
    ['rojo=1,rojo=2'],
    ['rojo=1', 'rojo=2'],
    ['rojo=a=b'],
    ['rojo=\u00e9'],
    [`${'k'.repeat(257)}=v`],
    [`k=${'v'.repeat(257)}`],
    [Array.from({ length: MAX_TRACE_STATE_MEMBERS + 1 }, (_, index) => `k${index}=v`).join(',')],
    [Array.from({ length: 5 }, (_, index) => `k${index}=${'v'.repeat(MAX_TRACE_STATE_LENGTH / 5)}`).join(',')],
  ]) {
    assert.equal(isTraceState(lines), false, JSON.stringify(lines))
  }
})

test('a part of all traces is recorded, and of one trace either all or nothing', () => {
  assert.equal(isSampled(`${'0'.repeat(31)}1`, 0), false)
  assert.equal(isSampled('f'.repeat(32), 1), true)
  const half = '8'.padEnd(13, '0')
  assert.equal(isSampled(`${'0'.repeat(19)}${half}`, 0.5), false)
  assert.equal(isSampled(`${'f'.repeat(19)}7${'f'.repeat(12)}`, 0.5), true)
  assert.equal(isSampled(`${'f'.repeat(19)}${half}`, 0.500_001), true)
})
