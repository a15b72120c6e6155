import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ResponseHead } from './message.ts'
import { RequestHeadParser } from './request-head.ts'
import { ResponseHeadParser } from './response-head.ts'
import { octets } from './testing/transcript.ts'
import { isUpgradeAccepted } from './websocket.ts'

/** The handshake of RFC 6455, 1.3. */
const request = new RequestHeadParser().parse(
  octets(
    'GET /chat HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n',
  ),
)
assert.ok(request?.kind === 'request')

function answer(...lines: readonly string[]): ResponseHead {
  const parser = new ResponseHeadParser()
  parser.expect({ method: 'GET', upgrade: 'websocket' })
  const status = lines.length === 0 ? '200 OK' : '101 Switching Protocols'
  const upgrade = lines.length === 0 ? [] : ['Upgrade: websocket', 'Connection: Upgrade']
  const head = parser.parse(octets([`HTTP/1.1 ${status}`, ...upgrade, ...lines, '', ''].join('\r\n')))
  assert.ok(head?.kind === 'response')
  return head
}

test('T19: a tunnel opens only for a 101 with the proof that belongs to this handshake', () => {
  assert.ok(request?.kind === 'request')
  const proof = 'Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo='
  assert.equal(isUpgradeAccepted(request, answer(proof)), true)
  assert.equal(isUpgradeAccepted(request, answer('x: y')), false)
  assert.equal(isUpgradeAccepted(request, answer(proof.replace('s3', 'S3'))), false)
  assert.equal(isUpgradeAccepted(request, answer(proof, proof)), false)
  assert.equal(isUpgradeAccepted(request, answer()), false)
  assert.equal(isUpgradeAccepted({ ...request, upgrade: undefined }, answer(proof)), false)
})
