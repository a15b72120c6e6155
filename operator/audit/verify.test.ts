import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from '#fast-check'
import type { AuditEvent } from './audit.ts'
import { type ChainedRecord, chained, endWith, newChain } from './record.ts'
import { verifyText } from './testing/verify-text.ts'
import { parseAnchor, type Verification, type VerifierOptions } from './verify.ts'

function recordsOf(count: number, last?: AuditEvent): readonly ChainedRecord[] {
  let end = newChain('operator-0', Date.UTC(2026, 0, 1))
  return Array.from({ length: count }, (_, i) => {
    const event: AuditEvent = {
      action: 'certificate-issued',
      fields: { 'x509.serial_number': String(i), 'user.name': 'Zoë "\\' },
    }
    const record = chained(i === count - 1 ? (last ?? event) : event, Date.UTC(2026, 0, 1, 0, 0, i), end)
    end = endWith(record)
    return record
  })
}

const RECORDS = recordsOf(6)
const LINES = RECORDS.map((record) => JSON.stringify(record))

function textOf(lines: readonly string[]): string {
  return lines.map((line) => `${line}\n`).join('')
}

function told({ broken }: Verification): readonly string[] {
  return broken.map(({ line, sequence, reason }) => `${line} ${sequence}: ${reason}`)
}

const anchorOf = (index: number) => ({ sequence: index + 1, hash: RECORDS[index]!['event.hash'] })

test('a log that nobody has touched holds, and says where it ends', () => {
  const { chains, broken, cutAtEnd } = verifyText(textOf(LINES), { anchors: [anchorOf(2)] })
  assert.deepEqual([broken, cutAtEnd], [[], undefined])
  assert.deepEqual(chains, [
    {
      chain: 'operator-0@2026-01-01T00:00:00.000Z',
      from: 1,
      records: 6,
      lost: 0,
      cuts: 0,
      isEnded: false,
      end: endWith(RECORDS[5]!),
    },
  ])
  const ended = recordsOf(3, { action: 'audit-ended', fields: {} })
  assert.equal(verifyText(textOf(ended.map((record) => JSON.stringify(record)))).chains[0]?.isEnded, true)
})

test('what was changed, taken out, put in or moved is found where it is, and said what is wrong with', () => {
  const at = (lines: readonly string[], options?: VerifierOptions) => told(verifyText(textOf(lines), options))
  const other = JSON.stringify({ ...RECORDS[2], 'x509.serial_number': '99' })
  assert.deepEqual(at(LINES.with(2, other)), ['3 3: its hash is that of another record: it was changed'])
  assert.deepEqual(at(LINES.toSpliced(2, 2)), ['3 5: records 3 to 4 are missing before it'])
  assert.deepEqual(at(LINES.toSpliced(2, 1)), ['3 4: record 3 is missing before it'])
  assert.deepEqual(at([LINES[0]!, LINES[2]!, LINES[1]!, ...LINES.slice(3)]), [
    '2 3: record 2 is missing before it',
    '3 2: record 3 stands before it: it was put in, or moved',
  ])
  assert.deepEqual(at(LINES.toSpliced(3, 0, LINES[1]!)), ['4 2: record 3 stands before it: it was put in, or moved'])
  assert.deepEqual(at(LINES.toSpliced(3, 0, 'hello')), ['4 undefined: it is no record: it was changed, or put in'])
  assert.deepEqual(at(LINES.with(3, LINES[3]!.slice(0, 200))), [
    '4 undefined: it is no record: it was changed, or put in',
  ])
  // A record that is whole in itself, made by somebody who knows how, does not fit to the next one.
  const forged = chained(
    { action: 'certificate-issued', fields: { 'x509.serial_number': 'x' } },
    0,
    endWith(RECORDS[0]!),
  )
  assert.deepEqual(at(LINES.with(1, JSON.stringify(forged))), [
    '3 3: it does not follow the record 2 that stands before it: one of both was replaced',
  ])
  // The same values, for us; another reader may take the first of two members.
  const twice = `{"x509.serial_number":"99",${LINES[1]!.slice(1)}`
  assert.deepEqual(at(LINES.with(1, twice)), ['2 2: its hash is that of another record: it was changed'])
})

test('whichever byte of a log becomes another one, it is found', () => {
  const bytes = Buffer.from(textOf(LINES))
  fc.assert(
    fc.property(fc.nat(bytes.length - 1), fc.nat(255), (at, value) => {
      if (bytes[at] === value) return
      const changed = Buffer.from(bytes)
      changed[at] = value
      assert.notDeepEqual(verifyText(changed).broken, [], `byte ${at} became ${value}`)
    }),
    { numRuns: 150 },
  )
})

test('whichever records are taken out, but those at the end alone, and however they are moved, it is found', () => {
  fc.assert(
    fc.property(fc.subarray(LINES, { minLength: 1 }), (kept) => {
      const first = LINES.indexOf(kept[0]!)
      const isRun = kept.every((line, i) => line === LINES[first + i])
      const { broken, chains } = verifyText(textOf(kept))
      assert.equal(broken.length === 0, isRun)
      // Those before may be in an older file: it is said where the chain begins, and where it ends.
      if (isRun) assert.deepEqual([chains[0]?.from, chains[0]?.end.sequence], [first + 1, first + kept.length])
    }),
  )
  fc.assert(
    fc.property(fc.shuffledSubarray(LINES, { minLength: LINES.length }), (moved) => {
      const isMoved = moved.some((line, i) => line !== LINES[i])
      assert.equal(verifyText(textOf(moved)).broken.length > 0, isMoved)
    }),
  )
})

test('wherever a log is cut off, an anchor tells; within a record it shows without one', () => {
  const bytes = Buffer.from(textOf(LINES))
  fc.assert(
    fc.property(fc.integer({ min: 1, max: bytes.length - 1 }), (length) => {
      const cut = bytes.subarray(0, length)
      const whole = cut
        .toString()
        .split('\n')
        .filter((line) => LINES.includes(line)).length
      const { broken, cutAtEnd } = verifyText(cut)
      assert.deepEqual(broken, [])
      // The last record without its newline is there.
      const isWithin = cut.at(-1) !== 0x0a && !LINES.includes(cut.toString().split('\n').at(-1) ?? '')
      assert.equal(cutAtEnd !== undefined, isWithin)
      const anchored = verifyText(cut, { anchors: [anchorOf(5)] })
      assert.equal(anchored.broken.length > 0, whole < 6)
    }),
  )
  assert.deepEqual(told(verifyText(textOf(LINES.slice(0, 4)), { anchors: [anchorOf(5)] })), [
    '0 6: records 5 to 6 are missing at the end: record 6 is known to have been written',
  ])
  const other = { sequence: 3, hash: 'f'.repeat(64) }
  assert.deepEqual(told(verifyText(textOf(LINES), { anchors: [other] })), [
    '0 3: record 3 is not the one that is known to have been written',
  ])
  assert.deepEqual(verifyText(textOf(LINES.slice(3)), { anchors: [anchorOf(0)] }).unseenAnchors, [anchorOf(0)])
})

test('half a record at the end that is none of the next one was changed, and not cut', () => {
  const text = textOf(LINES.slice(0, 3))
  const cut = (half: string) => verifyText(text + half)
  assert.equal(cut(LINES[3]!.slice(0, 500)).cutAtEnd?.bytes, 500)
  assert.equal(cut('{"@time').cutAtEnd?.line, 4)
  for (const half of ['hello', LINES[4]!.slice(0, 500), `${LINES[3]}x`]) {
    assert.equal(cut(half).cutAtEnd, undefined, half)
    assert.notDeepEqual(cut(half).broken, [], half)
  }
})

test('in a log that was printed other lines are passed over, and the chains of several operators stand side by side', () => {
  let end = newChain('operator-1', 0)
  const others = Array.from({ length: 3 }, () => {
    const record = chained({ action: 'policy-changed', fields: {} }, 0, end)
    end = endWith(record)
    return JSON.stringify(record)
  })
  const talk = JSON.stringify({ message: 'the dataset hauberk.audit is written' })
  const lines = ['{"message":"translated"}', others[0]!, LINES[0]!, 'no JSON', LINES[1]!, others[1]!, talk, others[2]!]
  const mixed = verifyText(textOf(lines), { isMixed: true })
  assert.deepEqual(mixed.broken, [])
  assert.deepEqual(
    mixed.chains.map(({ records }) => records),
    [3, 2],
  )
  assert.equal(verifyText(textOf(lines)).brokenCount, 3)
  const gone = verifyText(textOf(lines.toSpliced(5, 1)), { isMixed: true })
  assert.deepEqual(told(gone), ['7 3: record 2 is missing before it'])
})

test('an anchor is a number and a hash, and nothing else', () => {
  const hash = 'a1'.repeat(32)
  assert.deepEqual(parseAnchor(`12:${hash}`), { sequence: 12, hash })
  for (const wrong of ['', hash, `0:${hash}`, `12:${hash}0`, `-1:${hash}`, `12:${hash.toUpperCase()}`]) {
    assert.equal(parseAnchor(wrong), undefined, wrong)
  }
})
