import { randomBytes } from 'node:crypto'
import { HeaderLines } from '../http1/header-lines.ts'
import type { RequestHead } from '../http1/message.ts'
import { hashOfName } from '../http1/octets.ts'

const NAME = 'sec-websocket-key'

/**
 * An extended CONNECT as the handshake that HTTP/1.1 has for it: with a key, which HTTP/2 has no use for (RFC 8441, 5), so
 * that the upstream's consent can be proven.
 */
export function withKey(head: RequestHead): RequestHead {
  const { headers } = head
  if (headers.has(NAME)) return head
  const { block, origin, marks } = headers
  const length = marks.length === 0 ? 0 : marks[marks.length - 1]! + 2
  const line = `${NAME}: ${randomBytes(16).toString('base64')}`
  const lines = Buffer.concat([block.subarray(origin, origin + length), Buffer.from(`${line}\r\n`, 'latin1')])
  const mark = [hashOfName(NAME), length, length + NAME.length, length + NAME.length + 2, length + line.length]

  return { ...head, headers: new HeaderLines(lines, 0, [...marks, ...mark]) }
}
