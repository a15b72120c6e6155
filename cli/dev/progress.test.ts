import assert from 'node:assert/strict'
import { Writable } from 'node:stream'
import { test } from 'node:test'
import { stripVTControlCharacters } from 'node:util'
import type { Output } from '../paint.ts'
import { createProgress } from './progress.ts'

function output(options: Partial<Output>) {
  const chunks: string[] = []
  const stream = new Writable({
    write(chunk, _encoding, done) {
      chunks.push(String(chunk))
      done()
    },
  })
  return { out: Object.assign(stream, options) as Output, text: () => chunks.join('') }
}

test('on a pipe each step is one plain line when it is done', () => {
  const { out, text } = output({})
  const progress = createProgress(out)
  progress.begin('operator')
  progress.begin('apps (6)')
  progress.done('operator', 312.4)
  progress.failed('apps (6)', 60_000)
  progress.close()
  assert.equal(text(), ' ✓ operator                             312ms\n ✗ apps (6)                           60000ms\n')
})

test('on a terminal what is under way is shown, never wider than the terminal, and gone at the end', () => {
  const { out, text } = output({ isTTY: true, columns: 30 })
  const progress = createProgress(out)
  progress.begin('a step with a name that is long')
  progress.begin('another one')
  const shown = text().split('\r\u001b[K').at(-1) ?? ''
  assert.match(stripVTControlCharacters(shown), /^ ⠋ a step with a name that…$/)
  progress.close()
  assert.ok(text().endsWith('\r\u001b[K'))
})
