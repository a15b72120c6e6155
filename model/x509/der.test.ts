import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from '#fast-check'
import {
  checkDer,
  childrenOf,
  contentOf,
  DerError,
  encodingOf,
  readBitString,
  readBoolean,
  readNode,
  readOid,
  readTime,
  TAG,
} from './der.ts'
import { encodeDer } from './der-write.ts'

const bytes = (hex: string) => Uint8Array.from(hex.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16))
const ascii = (text: string) => new TextEncoder().encode(text)
const whole = (der: Uint8Array) => readNode(der, 0, der.length)

describe('DER', () => {
  it('is read as it was written, of any length', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 8 }), (contents) => {
        const der = encodeDer(TAG.sequence, ...contents.map((content) => encodeDer(TAG.octetString, content)))
        const children = childrenOf(der, checkDer(der))
        assert.deepEqual(
          children.map((child) => [...contentOf(der, child)]),
          contents.map((content) => [...content]),
        )
        assert.equal(encodingOf(der, checkDer(der)).length, der.length)
      }),
    )
  })

  it('is read or refused with a DerError, whatever the bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (noise) => {
        try {
          checkDer(noise)
        } catch (error) {
          assert.ok(error instanceof DerError)
        }
      }),
      { numRuns: 2_000 },
    )
  })

  const refused: Readonly<Record<string, string>> = {
    nothing: '',
    'a tag alone': '30',
    'content that is cut short': '3003020100'.slice(0, 8),
    'bytes after the end': '300000',
    'an indefinite length': '30800000',
    'a length in more octets than it needs': '30810100',
    'a length with a leading zero': '3082000100',
    'a length over 16 MiB': '308401000000',
    'a high tag number': '1f0100',
    'a child that reaches over its parent': '30020205',
  }
  for (const [what, hex] of Object.entries(refused)) {
    it(`refuses ${what}`, () => assert.throws(() => checkDer(bytes(hex)), DerError))
  }

  it('T03: refuses deep nesting without following it', () => {
    let bomb: Uint8Array = new Uint8Array()
    for (let depth = 0; depth < 2_000; depth++) bomb = encodeDer(TAG.sequence, bomb)
    assert.throws(() => checkDer(bomb), /nested deeper/)
  })

  it('T03: refuses a structure of too many values', () => {
    const wide = encodeDer(TAG.sequence, ...Array.from({ length: 2_000 }, () => bytes('0500')))
    assert.throws(() => checkDer(wide), /more than 1024/)
  })
})

describe('DER values', () => {
  it('has object identifiers in dotted form', () => {
    for (const [hex, dotted] of [
      ['0603551d11', '2.5.29.17'],
      ['06082b06010505070302', '1.3.6.1.5.5.7.3.2'],
      ['0602883703'.slice(0, 8), '2.999'],
    ] as const) {
      assert.equal(readOid(bytes(hex), whole(bytes(hex))), dotted)
    }
  })

  it('refuses object identifiers with a second spelling', () => {
    for (const hex of ['0600', '0603558011', '060255f1', '0607ffffffffffff7f']) {
      assert.throws(() => readOid(bytes(hex), whole(bytes(hex))), DerError, hex)
    }
  })

  it('refuses booleans other than the two of DER', () => {
    assert.equal(readBoolean(bytes('0101ff'), whole(bytes('0101ff'))), true)
    assert.equal(readBoolean(bytes('010100'), whole(bytes('010100'))), false)
    for (const hex of ['010101', '0100', '0102ffff', '0201ff']) {
      assert.throws(() => readBoolean(bytes(hex), whole(bytes(hex))), DerError, hex)
    }
  })

  it('refuses malformed bit strings', () => {
    for (const hex of ['0300', '030108', '030101', '0401ff'])
      assert.throws(() => readBitString(bytes(hex), whole(bytes(hex))), DerError, hex)
  })

  it('reads both forms of time', () => {
    const utc = encodeDer(TAG.utcTime, ascii('261122204400Z'))
    assert.equal(readTime(utc, whole(utc)), Date.UTC(2026, 10, 22, 20, 44, 0))
    const old = encodeDer(TAG.utcTime, ascii('500101000000Z'))
    assert.equal(readTime(old, whole(old)), Date.UTC(1950, 0, 1))
    const general = encodeDer(TAG.generalizedTime, ascii('20500229000000Z'.replace('0229', '0228')))
    assert.equal(readTime(general, whole(general)), Date.UTC(2050, 1, 28))
  })

  it('refuses times that no clock shows or that have another spelling', () => {
    const times: readonly (readonly [number, string])[] = [
      [TAG.utcTime, '260230000000Z'],
      [TAG.utcTime, '261322204400Z'],
      [TAG.utcTime, '261122250000Z'],
      [TAG.utcTime, '2611222044Z'],
      [TAG.utcTime, '261122204400+0100'],
      [TAG.generalizedTime, '20261122204400.5Z'],
      [TAG.generalizedTime, '20261122204400'],
      [TAG.octetString, '261122204400Z'],
    ]
    for (const [tag, text] of times) {
      const der = encodeDer(tag, ascii(text))
      assert.throws(() => readTime(der, whole(der)), DerError, text)
    }
  })
})
