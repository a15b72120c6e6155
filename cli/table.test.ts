import assert from 'node:assert/strict'
import { Writable } from 'node:stream'
import { test } from 'node:test'
import { styleText } from 'node:util'
import { printList } from './output-format.ts'
import { formatTable } from './table.ts'

const ROWS = [
  { name: 'a', words: 'one' },
  { name: 'änderung', words: '' },
]
const COLUMNS = [
  { title: 'NAME', cell: (row: (typeof ROWS)[number]) => styleText('red', row.name, { validateStream: false }) },
  { title: 'WORDS', cell: (row: (typeof ROWS)[number]) => row.words },
]

test('columns line up by what is seen of them', () => {
  const [title, ...rows] = formatTable(ROWS, COLUMNS).split('\n')
  assert.equal(title, 'NAME       WORDS')
  assert.deepEqual(rows, ['\u001b[31ma\u001b[39m          one', '\u001b[31mänderung\u001b[39m', ''])
})

test('programs get the rows whole, as JSON or YAML', () => {
  const printed = (format: 'json' | 'yaml') => {
    const chunks: string[] = []
    const out = new Writable({
      write(chunk, _encoding, done) {
        chunks.push(String(chunk))
        done()
      },
    })
    printList(ROWS, { format, columns: COLUMNS, out })
    return chunks.join('')
  }
  assert.deepEqual(JSON.parse(printed('json')), ROWS)
  assert.equal(printed('yaml'), '- name: a\n  words: one\n- name: änderung\n  words: ""\n')
})
