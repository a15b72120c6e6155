import fc from '#fast-check'
import { octets } from './transcript.ts'

/** Messages in the grammar that our codec accepts, and what becomes of them when a few octets are changed. */

const token = fc.string({ unit: fc.constantFrom(..."abcXYZ019-!#$%&'*+.^`|~"), minLength: 1, maxLength: 12 })
const fieldValue = fc.string({ unit: fc.constantFrom(...'aZ09 \t,;:="\\/_\x80\xff'), maxLength: 20 })
const space = fc.constantFrom(' ', '', '  ', '\t', ' \t ')

/** Names that mean something are left out: those are put in deliberately. */
const plainName = token.map((name) => `x-${name}`)
const fieldLine = fc
  .tuple(plainName, space, fieldValue, space)
  .map(([name, before, value, after]) => `${name}:${before}${value.trim()}${after}\r\n`)

const fieldLines = fc.array(fieldLine, { maxLength: 6 }).map((lines) => lines.join(''))

const body = fc.string({ unit: fc.constantFrom(...'ab0\r\n:;\0\xff'), maxLength: 40 })

const chunkExtension = fc
  .array(
    fc.oneof(
      token.map((name) => `;${name}`),
      fc.tuple(token, token).map(([name, value]) => `;${name}=${value}`),
      fc.tuple(token, fc.constantFrom('', 'a b', '\\"', ';=')).map(([name, value]) => `;${name}="${value}"`),
    ),
    { maxLength: 2 },
  )
  .map((extensions) => extensions.join(''))

const chunk = fc
  .tuple(body, chunkExtension, fc.constantFrom('', '0', '00'), fc.boolean())
  .filter(([data]) => data.length > 0)
  .map(([data, extension, zeros, isUpper]) => {
    const size = data.length.toString(16)
    return `${zeros}${isUpper ? size.toUpperCase() : size}${extension}\r\n${data}\r\n`
  })

const chunkedBody = fc
  .tuple(fc.array(chunk, { maxLength: 3 }), fc.constantFrom('0', '000'), chunkExtension, fieldLines)
  .map(([chunks, last, extension, trailers]) => `${chunks.join('')}${last}${extension}\r\n${trailers}\r\n`)

/** The framing field and the body that it frames. */
const framed = fc.oneof(
  fc.constant(['', ''] as const),
  body.map((text) => [`Content-Length: ${text.length}\r\n`, text] as const),
  fc
    .tuple(fc.constantFrom('Transfer-Encoding: chunked\r\n', 'transfer-encoding:  CHUNKED \r\n'), chunkedBody)
    .map(([field, text]) => [field, text] as const),
)

const pathText = fc.string({ unit: fc.constantFrom(...'ab/.-_~!$&()*+,;=:@'), maxLength: 20 })
const queryText = fc.string({ unit: fc.constantFrom(...'ab/?=&[]{}|^`%20'), maxLength: 10 })
const target = fc.oneof(
  fc.tuple(pathText, queryText).map(([path, query]) => `/${path}${query === '' ? '' : `?${query}`}`),
  pathText.map((path) => `http://shop.example/${path}`),
)

const connection = fc.constantFrom(
  '',
  '',
  'Connection: keep-alive\r\n',
  'Connection: close\r\n',
  'Connection: x-a, TE\r\n',
)

const requestText = fc
  .tuple(
    fc.constantFrom('GET', 'POST', 'PUT', 'DELETE', 'OPTIONS', 'M-SEARCH', 'PROPFIND'),
    target,
    fc.constantFrom('1.1', '1.1', '1.1', '1.0'),
    fieldLines,
    framed,
    connection,
    fc.constantFrom('', '', '\r\n'),
  )
  .map(([method, path, version, fields, [framing, content], option, before]) =>
    [
      before,
      `${method} ${path} HTTP/${version}\r\nHost: shop.example\r\n`,
      fields,
      framing,
      option,
      '\r\n',
      content,
    ].join(''),
  )

/** One to three requests on one connection. */
export const requestOctets = fc
  .array(requestText, { minLength: 1, maxLength: 3 })
  .map((texts) => octets(texts.join('')))

export const responseOctets = fc
  .tuple(
    fc.constantFrom('', '', 'HTTP/1.1 100 Continue\r\n\r\n', 'HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n'),
    fc.constantFrom('1.1', '1.1', '1.0'),
    fc.constantFrom('200 OK', '404 ', '204', '304 Not Modified', '500 \x80', '205 Reset'),
    fieldLines,
    framed,
    connection,
  )
  .map(([interim, version, status, fields, [framing, content], option]) =>
    octets([interim, `HTTP/${version} ${status}\r\n`, fields, framing, option, '\r\n', content].join('')),
  )

const POISON = [
  ...[
    '\r',
    '\n',
    '\r\n',
    '\r\n\r\n',
    '\0',
    ' ',
    '\t',
    ':',
    ',',
    ';',
    '_',
    '-',
    '0',
    '1',
    'f',
    '+',
    '\x7f',
    '\x80',
    '"',
    '\\',
    '/',
  ],
  ...[
    'Content-Length: 1\r\n',
    'Transfer-Encoding: chunked\r\n',
    'Transfer-Encoding: x\r\n',
    'Host: b\r\n',
    'HTTP/1.1',
    'GET / ',
  ],
  ...['Connection: upgrade\r\nUpgrade: h2c\r\n', 'Expect: 100-continue\r\n', ' \r\n', '\r\n ', 'chunked', '0\r\n\r\n'],
].map(octets)

const mutation = fc.record({
  kind: fc.constantFrom('insert', 'remove', 'replace', 'duplicate'),
  /** Where, in thousandths of the length. */
  place: fc.integer({ min: 0, max: 999 }),
  length: fc.integer({ min: 1, max: 12 }),
  poison: fc.constantFrom(...POISON),
})

/** The same messages with one to four things wrong, or not. */
export function mutated(messages: fc.Arbitrary<Buffer>): fc.Arbitrary<Buffer> {
  return fc.tuple(messages, fc.array(mutation, { minLength: 1, maxLength: 4 })).map(([bytes, mutations]) => {
    let result = bytes
    for (const { kind, place, length, poison } of mutations) {
      const at = Math.floor((place / 1000) * result.length)
      const before = result.subarray(0, at)
      const after = result.subarray(at)
      if (kind === 'insert') result = Buffer.concat([before, poison, after])
      else if (kind === 'remove') result = Buffer.concat([before, after.subarray(length)])
      else if (kind === 'replace') result = Buffer.concat([before, poison, after.subarray(poison.length)])
      else result = Buffer.concat([before, after.subarray(0, length), after])
    }
    return result
  })
}
