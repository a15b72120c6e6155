import assert from 'node:assert/strict'
import { test } from 'node:test'
import { grpcStatusLines, grpcTimeoutMs, isGrpc } from './grpc.ts'
import type { HeaderLines } from './http1/header-lines.ts'
import { RequestHeadParser } from './http1/request-head.ts'

function headers(...lines: readonly string[]): HeaderLines {
  const text = ['POST / HTTP/1.1', 'Host: a', ...lines, '', ''].join('\r\n')
  const head = new RequestHeadParser().parse(Buffer.from(text, 'latin1'))
  assert.ok(head?.kind === 'request')
  return head.headers
}

test('a call of gRPC is known by its content type, and gRPC-Web is none', () => {
  for (const type of ['application/grpc', 'application/grpc+proto', 'Application/GRPC; x=y', 'application/grpc ;x']) {
    assert.equal(isGrpc(headers(`Content-Type: ${type}`)), true, type)
  }
  for (const type of ['application/grpc-web', 'application/grpcx', 'text/plain', 'application/json']) {
    assert.equal(isGrpc(headers(`Content-Type: ${type}`)), false, type)
  }
  assert.equal(isGrpc(headers()), false)
})

test('refusals have the status that gRPC has for them', () => {
  for (const [http, grpc] of [
    [400, 13],
    [401, 16],
    [403, 7],
    [404, 12],
    [429, 8],
    [500, 2],
    [502, 14],
    [503, 14],
    [504, 4],
  ] as const) {
    assert.deepEqual(grpcStatusLines(http, 'x')[1], ['grpc-status', String(grpc)])
  }
})

test('a message is percent-encoded UTF-8, and its plain part can be read as it is', () => {
  const [, , message] = grpcStatusLines(403, 'no: 100% of "ö"\n')
  assert.deepEqual(message, ['grpc-message', 'no: 100%25 of "%C3%B6"%0A'])
})

test('a timeout is up to eight digits and a unit', () => {
  for (const [text, expected] of [
    ['5S', 5_000],
    ['2H', 7_200_000],
    ['3M', 180_000],
    ['250m', 250],
    ['1500u', 2],
    ['1n', 1],
    ['0m', 1],
    ['99999999H', 99_999_999 * 3_600_000],
    ['123456789S', undefined],
    ['-1S', undefined],
    ['5', undefined],
    ['5s', undefined],
    ['', undefined],
  ] as const) {
    assert.equal(grpcTimeoutMs(headers(`Grpc-Timeout: ${text}`)), expected, text)
  }
  assert.equal(grpcTimeoutMs(headers()), undefined)
})
