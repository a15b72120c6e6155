/** Markup that is safe to send. Only `html` makes it; data of the same shape is not markup. */
export class Html {
  readonly markup: string

  constructor(markup: string) {
    this.markup = markup
  }
}

/**
 * A template of markup. What is put into it is escaped, unless it is markup itself; arrays are joined; undefined, null
 * and false are nothing.
 */
export function html(parts: TemplateStringsArray, ...values: readonly unknown[]): Html {
  let markup = parts[0] ?? ''
  values.forEach((value, i) => {
    markup += toMarkup(value) + (parts[i + 1] ?? '')
  })
  return new Html(markup)
}

function toMarkup(value: unknown): string {
  if (value === undefined || value === null || value === false) return ''
  if (Array.isArray(value)) return value.map(toMarkup).join('')
  if (value instanceof Html) return value.markup
  return escapeText(String(value))
}

const ESCAPES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
}

function escapeText(text: string): string {
  return text.replace(/[&<>"']/g, (character) => ESCAPES[character] ?? '')
}
