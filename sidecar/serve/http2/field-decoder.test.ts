import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from '#fast-check'
import { FieldDecoder, type SectionKind } from './field-decoder.ts'
import { codedSection, GET, integer, section } from './testing/frames.ts'

const LIMITS = { maxHeadBytes: 16_384, maxHeaders: 100 }

function decode(decoder: FieldDecoder, bytes: Buffer, kind: SectionKind = 'request'): string {
  return decoder.decode(bytes, 0, bytes.length, kind)
}

/** All that a section says, pseudo-fields first. */
function said(decoder: FieldDecoder): readonly string[] {
  const { method, scheme, path, authority, status, lines } = decoder
  const pseudo = { ':status': status, ':method': method, ':scheme': scheme, ':path': path, ':authority': authority }
  return [
    ...Object.entries(pseudo).flatMap(([name, value]) => (value === undefined ? [] : [`${name}: ${value}`])),
    ...[...lines!].map(([name, value]) => `${name}: ${value}`),
  ]
}

function readsInTurn(
  kind: SectionKind,
  steps: readonly (readonly [hex: string, fields: readonly string[], table: number])[],
) {
  const decoder = new FieldDecoder(LIMITS)
  for (const [hex, fields, table] of steps) {
    assert.equal(decode(decoder, Buffer.from(hex.replaceAll(' ', ''), 'hex'), kind), 'ok')
    assert.deepEqual(said(decoder), fields)
    assert.equal(decoder.tableBytes, table)
  }
}

const FIRST = [':method: GET', ':scheme: http', ':path: /', ':authority: www.example.com']
const THIRD = [':method: GET', ':scheme: https', ':path: /index.html', ':authority: www.example.com']

test('requests of RFC 7541, C.3, are read, without Huffman codes', () => {
  readsInTurn('request', [
    ['828684410f7777772e6578616d706c652e636f6d', FIRST, 57],
    ['828684be58086e6f2d6361636865', [...FIRST, 'cache-control: no-cache'], 110],
    ['828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565', [...THIRD, 'custom-key: custom-value'], 164],
  ])
})

test('requests of RFC 7541, C.4, are read, with Huffman codes', () => {
  readsInTurn('request', [
    ['828684418cf1e3c2e5f23a6ba0ab90f4ff', FIRST, 57],
    ['828684be5886a8eb10649cbf', [...FIRST, 'cache-control: no-cache'], 110],
    ['828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf', [...THIRD, 'custom-key: custom-value'], 164],
  ])
})

test('responses of RFC 7541, C.5 and C.6, are read with a table of 256 bytes, which evicts', () => {
  const date1 = 'date: Mon, 21 Oct 2013 20:13:21 GMT'
  const date2 = 'date: Mon, 21 Oct 2013 20:13:22 GMT'
  const location = 'location: https://www.example.com'
  const first = [':status: 302', 'cache-control: private', date1, location]
  const second = [':status: 307', 'cache-control: private', date1, location]
  const third = [
    ':status: 200',
    'cache-control: private',
    date2,
    location,
    'content-encoding: gzip',
    'set-cookie: foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1',
  ]
  // 3fe101: the size update that the examples take for granted.
  readsInTurn('response', [
    [
      '3fe101 4803333032580770726976617465611d4d6f6e2c203231204f637420323031332032303a31333a323120474d546e1768747470733a2f2f7777772e6578616d706c652e636f6d',
      first,
      222,
    ],
    ['4803333037c1c0bf', second, 222],
    [
      '88c1611d4d6f6e2c203231204f637420323031332032303a31333a323220474d54c05a04677a69707738666f6f3d4153444a4b48514b425a584f5157454f50495541585157454f49553b206d61782d6167653d333630303b2076657273696f6e3d31',
      third,
      215,
    ],
  ])
  readsInTurn('response', [
    [
      '3fe101 488264025885aec3771a4b6196d07abe941054d444a8200595040b8166e082a62d1bff6e919d29ad171863c78f0b97c8e9ae82ae43d3',
      first,
      222,
    ],
    ['4883640effc1c0bf', second, 222],
    [
      '88c16196d07abe941054d444a8200595040b8166e084a62d1bffc05a839bd9ab77ad94e7821dd7f2e6c7b335dfdfcd5b3960d5af27087f3672c1ab270fb5291f9587316065c003ed4ee5b1063d5007',
      third,
      215,
    ],
  ])
})

test('what is no HPACK is told from what is no message', () => {
  for (const hex of [
    '80',
    'be',
    'ff8080808001',
    '40',
    '4001',
    '400161',
    '40016102',
    '7f8080808001',
    '0f80808080',
    '3fe21f',
    '8220',
  ]) {
    assert.equal(decode(new FieldDecoder(LIMITS), Buffer.from(hex, 'hex')), 'broken', hex)
  }
  // Sizes up to ours may be asked for, again and again, before the first field.
  assert.equal(decode(new FieldDecoder(LIMITS), Buffer.from('203fe11f82', 'hex')), 'ok')
})

test('T15: fields that HTTP/2 forbids make a message malformed, in a table or not', () => {
  const cases: readonly (readonly [string, string, string])[] = [
    ['X-A', '1', 'bad-field-name'],
    ['x a', '1', 'bad-field-name'],
    ['', '1', 'bad-field-name'],
    ['x:a', '1', 'bad-field-name'],
    ['x-a', 'a\r\nb: c', 'bad-field-value'],
    ['x-a', 'a\nb', 'bad-field-value'],
    ['x-a', 'a\0', 'bad-field-value'],
    ['x-a', ' a', 'bad-field-value'],
    ['x-a', 'a\t', 'bad-field-value'],
    ['x-a', 'a\x7fb', 'bad-field-value'],
    ['connection', 'close', 'connection-specific-field'],
    ['transfer-encoding', 'chunked', 'connection-specific-field'],
    ['keep-alive', '1', 'connection-specific-field'],
    ['proxy-connection', '1', 'connection-specific-field'],
    ['upgrade', 'h2c', 'connection-specific-field'],
    ['te', 'gzip', 'bad-te'],
    ['content-length', '+1', 'bad-content-length'],
    ['content-length', '01', 'bad-content-length'],
    ['content-length', '1, 1', 'bad-content-length'],
    [':path', '/b', 'bad-pseudo-field'],
    [':status', '200', 'bad-pseudo-field'],
    [':unknown', 'a', 'bad-pseudo-field'],
    [':path', '/\r\n', 'bad-field-value'],
  ]
  for (const [name, value, reason] of cases) {
    for (const encode of [section, codedSection]) {
      const decoder = new FieldDecoder(LIMITS)
      assert.equal(decode(decoder, encode(...GET, [name, value])), 'ok')
      assert.equal(decoder.malformed, reason, JSON.stringify([name, value]))
      if (encode !== codedSection) continue
      // From the table it is as bad as it was.
      assert.equal(decode(decoder, Buffer.concat([section(...GET), Buffer.from([0xbe])])), 'ok')
      assert.equal(decoder.malformed, reason, `${name} from the table`)
      assert.equal(decode(decoder, section(...GET)), 'ok')
      assert.equal(decoder.malformed, undefined)
    }
  }
  const decoder = new FieldDecoder(LIMITS)
  assert.equal(decode(decoder, section(...GET, ['x-a', '1'], [':protocol', 'websocket'])), 'ok')
  assert.equal(decoder.malformed, 'bad-pseudo-field', 'a pseudo-field after others')
})

test('T12: what HTTP/1.1 refuses of fields is refused here', () => {
  const cases: readonly (readonly [readonly (readonly [string, string])[], string])[] = [
    [[['x_forwarded_for', '1']], 'underscore-header'],
    [
      [
        ['authorization', 'a'],
        ['authorization', 'b'],
      ],
      'duplicate-authorization',
    ],
    [
      [
        ['host', 'a'],
        ['host', 'a'],
      ],
      'duplicate-host',
    ],
    [
      [
        ['content-type', 'a'],
        ['content-type', 'a'],
      ],
      'duplicate-header',
    ],
    [[['expect', 'more']], 'unknown-expectation'],
  ]
  for (const [fields, reason] of cases) {
    const decoder = new FieldDecoder(LIMITS)
    assert.equal(decode(decoder, section(...GET, ...fields)), 'ok')
    assert.equal(decoder.malformed, undefined)
    assert.equal(decoder.problem, reason)
  }
})

test('T12, T15: a name holds the octets of a token in lower case and no other, NUL least of all', () => {
  const isTokenInLowerCase = (octet: number) => /[a-z0-9!#$%&'*+\-.^_`|~]/.test(String.fromCharCode(octet))
  for (let octet = 0; octet < 256; octet++) {
    for (const name of [`x${String.fromCharCode(octet)}a`, `authorization${String.fromCharCode(octet)}`]) {
      for (const kind of ['request', 'trailers'] as const) {
        const decoder = new FieldDecoder(LIMITS)
        const fields = section(...(kind === 'request' ? GET : []), [name, '1'])
        assert.equal(decode(decoder, fields, kind), 'ok')
        const said = decoder.malformed ?? decoder.problem
        assert.equal(said, isTokenInLowerCase(octet) ? undefined : 'bad-field-name', JSON.stringify(name))
      }
    }
  }
})

test('T15: no expectation but 100-continue is taken for it', () => {
  for (const [value, problem] of [
    ['100-Continue', undefined],
    ['100_continue', 'unknown-expectation'],
    ['100-continu', 'unknown-expectation'],
  ] as const) {
    const decoder = new FieldDecoder(LIMITS)
    assert.equal(decode(decoder, section(...GET, ['expect', value])), 'ok')
    assert.equal(decoder.problem, problem, value)
  }
})

test('T15: pieces of a cookie without anything in them leave no space at its end, which the next hop would refuse', () => {
  for (const [crumbs, cookie] of [
    [['a=1', ''], 'a=1'],
    [['', 'a=1', '', '', 'b=2', ''], 'a=1; b=2'],
    [['', ''], ''],
  ] as const) {
    const first = new FieldDecoder(LIMITS)
    decode(first, section(...GET, ...crumbs.map((crumb): [string, string] => ['cookie', crumb])))
    assert.deepEqual([...first.lines!], [['cookie', cookie]])
    const next = new FieldDecoder(LIMITS)
    decode(next, section(...GET, ...first.lines!))
    assert.equal(next.malformed, undefined)
  }
})

test('cookies that came in pieces are one line, the others stay as and where they were', () => {
  const decoder = new FieldDecoder(LIMITS)
  decode(decoder, codedSection(...GET, ['cookie', 'a=1'], ['x', 'y'], ['cookie', 'b=2']))
  assert.deepEqual(
    [...decoder.lines!],
    [
      ['x', 'y'],
      ['cookie', 'a=1; b=2'],
    ],
  )
  const { block, origin, marks } = decoder.lines!
  assert.equal(block.toString('latin1', origin + marks[1]!), 'x: y\r\ncookie: a=1; b=2\r\n')
})

test('trailers hold no pseudo-fields, no framing, no credentials', () => {
  for (const name of [':path', 'content-length', 'authorization', 'host', 'te', 'trailer', 'cookie', 'set-cookie']) {
    const decoder = new FieldDecoder(LIMITS)
    assert.equal(decode(decoder, section(['grpc-status', '0'], [name, 'trailers']), 'trailers'), 'ok')
    assert.notEqual(decoder.malformed, undefined, name)
  }
})

test('T16: a section beyond the limits is a problem, its table entries are kept, and memory is not', () => {
  const decoder = new FieldDecoder(LIMITS)
  const many = Array.from({ length: 101 }, (_, index): [string, string] => [`x-${index}`, ''])
  assert.equal(decode(decoder, section(...GET, ...many)), 'ok')
  assert.equal(decoder.problem, 'too-many-headers')
  assert.equal(decode(decoder, section(...GET, ...many.slice(1))), 'ok')
  assert.equal(decoder.problem, undefined)
  assert.equal(decoder.lines!.count, 100)

  const long: readonly (readonly [string, string])[] = [
    ['x-long', 'a'.repeat(16_384)],
    ['x-last', 'kept'],
  ]
  assert.equal(decode(decoder, codedSection(...GET, ...long)), 'ok')
  assert.equal(decoder.problem, 'head-too-long')
  assert.equal(decode(decoder, Buffer.concat([section(...GET), Buffer.from([0xbe])])), 'ok')
  assert.deepEqual([...decoder.lines!], [['x-last', 'kept']])

  const cookies = Array.from({ length: 50 }, (): [string, string] => ['cookie', 'a'.repeat(500)])
  assert.equal(decode(decoder, section(...GET, ...cookies)), 'ok')
  assert.equal(decoder.problem, 'head-too-long')
})

test('T18: a section of few octets that stand for very many is a bomb', () => {
  const decoder = new FieldDecoder(LIMITS)
  decode(decoder, codedSection(['x-bomb', 'a'.repeat(4_000)]))
  assert.equal(decode(decoder, Buffer.alloc(16_000, 0xbe)), 'bomb')
  // Fields of no length are none of that, but their number is.
  assert.equal(decode(new FieldDecoder(LIMITS), Buffer.alloc(16_000, 0x90)), 'bomb')
})

test('the table of a decoder never holds more than it may, whatever is added', () => {
  const decoder = new FieldDecoder(LIMITS)
  for (let round = 0; round < 300; round++) {
    decode(decoder, section(...GET))
    decode(
      decoder,
      Buffer.concat([
        Buffer.from([0x40]),
        integer(0, 0x7f, 1),
        Buffer.from('x'),
        integer(0, 0x7f, round % 97),
        Buffer.alloc(round % 97, 'v'),
      ]),
    )
    assert.ok(decoder.tableBytes <= 4_096)
    assert.ok(decoder.tableEntries <= 128)
  }
})

test('any octets are decoded or refused, and lines that come out cannot split', () => {
  const decoder = new FieldDecoder(LIMITS)
  const piece = fc.oneof(
    fc.uint8Array({ maxLength: 8 }),
    fc.constantFrom(0x82, 0x84, 0x86, 0xbe, 0xbf, 0xc0, 0x41, 0x0f, 0x20).map((octet) => Uint8Array.of(octet)),
    fc
      .tuple(fc.constantFrom('x-a', 'cookie', ':path', 'TE', 'content-length'), fc.string({ maxLength: 6 }))
      .map((field) => codedSection(field)),
  )
  fc.assert(
    fc.property(
      fc.array(piece, { maxLength: 12 }),
      fc.constantFrom('request', 'response', 'trailers'),
      (pieces, kind) => {
        const bytes = Buffer.concat(pieces)
        if (decode(decoder, bytes, kind) !== 'ok') return
        if (decoder.lines === undefined) return
        const { block, origin, marks, count } = decoder.lines
        assert.equal(block.toString('latin1', origin).split('\r\n').length, count + 1)
        for (let mark = 0; mark < marks.length; mark += 5) {
          assert.match(block.toString('latin1', marks[mark + 1]!, marks[mark + 4]! + 2), /^[^\r\n:]+: [^\r\n\0]*\r\n$/)
        }
      },
    ),
    { numRuns: 5_000 },
  )
})
