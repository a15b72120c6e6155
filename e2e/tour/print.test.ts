import assert from 'node:assert/strict'
import { PassThrough } from 'node:stream'
import { text } from 'node:stream/consumers'
import { test } from 'node:test'
import { plainHttp } from '../scenarios/01-plain-http.ts'
import { createTourPrinter, sentenceOf } from './print.ts'

test('a pipe gets one bare line a step, and nothing that moves', async () => {
  const stream = new PassThrough()
  const print = createTourPrinter(stream)
  print.note('A mesh.')
  print.doing('starting')
  print.begin(plainHttp)
  print.step({ sent: 'GET /', got: '200', said: 'shop/catalog: browse (shop/catalog@1)' })
  print.step({ sent: 'GET /other', got: '404' })
  print.failed(new Error('not so\nat all'))
  print.end({ passed: 1, failed: 1, tookMs: 1_234 })
  stream.end()
  assert.deepEqual((await text(stream)).split('\n'), [
    'A mesh.',
    '',
    'Plain HTTP gets one answer: come back with TLS',
    ` ✓ GET /${' '.repeat(53)} → 200  shop/catalog: browse (shop/catalog@1)`,
    ` ✓ GET /other${' '.repeat(48)} → 404`,
    ' ✗ not so',
    '   at all',
    '',
    '✗ 1 of 2 as written, in 1.2 s',
    '',
  ])
})

test('a title is printed as a sentence', () => {
  assert.equal(sentenceOf(['T21, F08', 'a token is refused: always'].join(': ')), 'A token is refused: always')
  assert.equal(sentenceOf('plain HTTP is: sent away'), 'Plain HTTP is: sent away')
})
