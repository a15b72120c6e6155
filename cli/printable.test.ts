import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { printable, printableIn, printableLines } from './printable.ts'

describe('text that somebody else chose', () => {
  it('writes nothing to the terminal that it is shown on', () => {
    assert.equal(
      printable('\u001b[2Jall is well\r\n\u009b1A\u202e'),
      '\\u{1b}[2Jall is well\\u{d}\\u{a}\\u{9b}1A\\u{202e}',
    )
    assert.equal(printable('Bestellungen für Zoë ✓'), 'Bestellungen für Zoë ✓')
  })

  it('keeps its lines where it has some', () => {
    assert.equal(printableLines('one\ntwo\u001b[31m\tthree\u2028'), 'one\ntwo\\u{1b}[31m\\u{9}three\\u{2028}')
  })

  it('is escaped at every depth of a document, and nothing else is changed', () => {
    const given = { name: 'a\u001b', list: [{ text: 'b\r' }, 1, null, true], none: undefined }
    assert.deepEqual(printableIn(given), {
      name: 'a\\u{1b}',
      list: [{ text: 'b\\u{d}' }, 1, null, true],
      none: undefined,
    })
  })
})
