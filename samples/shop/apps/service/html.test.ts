import assert from 'node:assert/strict'
import { test } from 'node:test'
import { html } from './html.ts'

test('text is escaped, markup and lists of markup are not, nothing is nothing', () => {
  const list = ['<a>', "it's"].map((text) => html`<li title="${text}">${text}</li>`)
  assert.equal(
    html`<ul>${list}</ul>${undefined}${false}${0}`.markup,
    '<ul><li title="&lt;a&gt;">&lt;a&gt;</li><li title="it&#39;s">it&#39;s</li></ul>0',
  )
})

test('data in the shape of markup is not markup', () => {
  assert.equal(html`${JSON.parse('{"markup": "<script>"}')}`.markup, '[object Object]')
})
