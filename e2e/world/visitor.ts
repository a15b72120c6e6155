import assert from 'node:assert/strict'
import { type Answer, headerOf } from './answer.ts'
import type { Ask, Gateway } from './gateway.ts'

/** A page that was loaded. */
export interface Page extends Answer {
  readonly url: URL
}

/** Somebody with a browser's habits: keeps cookies, follows redirects on this origin, fills in forms. */
export interface Visitor {
  /** Loads a page. A redirect to elsewhere is returned as it is. */
  open(path: string, request?: Pick<Ask, 'method' | 'body'>): Promise<Page>
  /** Fills in the form of the page that goes to `action` and sends it. */
  submit(page: Page, action: string, fields: Readonly<Record<string, string>>): Promise<Page>
  /** Values by name. */
  readonly cookies: ReadonlyMap<string, string>
}

const MAX_REDIRECTS = 10

export function createVisitor(gateway: Gateway): Visitor {
  const cookies = new Map<string, string>()

  const load = async (url: URL, request: Pick<Ask, 'method' | 'body'>): Promise<Page> => {
    const cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join('; ')
    const answer = await gateway.ask({
      ...request,
      path: `${url.pathname}${url.search}`,
      headers: { accept: 'text/html', ...(cookie !== '' && { cookie }) },
    })
    const lines = answer.headers['set-cookie']
    for (const line of Array.isArray(lines) ? lines : []) keep(cookies, line)
    return { ...answer, url }
  }

  const open: Visitor['open'] = async (path, request = {}) => {
    let page = await load(new URL(path, gateway.origin), request)
    for (let hops = 0; page.status >= 300 && page.status < 400; hops++) {
      assert.ok(hops < MAX_REDIRECTS, 'the redirects do not end')
      const next = new URL(headerOf(page, 'location') ?? '', page.url)
      if (next.origin !== gateway.origin) return page
      page = await load(next, {})
    }
    return page
  }

  return {
    open,
    cookies,
    submit(page, action, fields) {
      const { target, hidden } = formOf(page, action)
      return open(target, { method: 'POST', body: new URLSearchParams({ ...hidden, ...fields }) })
    },
  }
}

function keep(cookies: Map<string, string>, line: string): void {
  const [pair = '', ...attributes] = line.split(';').map((part) => part.trim())
  const at = pair.indexOf('=')
  const isGone = attributes.some((attribute) => /^(?:max-age=0|expires=Thu, 01 Jan 1970.*)$/i.test(attribute))
  if (isGone) cookies.delete(pair.slice(0, at))
  else cookies.set(pair.slice(0, at), pair.slice(at + 1))
}

function formOf(page: Page, action: string): { readonly target: string; readonly hidden: Record<string, string> } {
  for (const [form] of page.body.matchAll(/<form[^>]*>[\s\S]*?<\/form>/g)) {
    const target = plainText(/action="([^"]*)"/.exec(form)?.[1] ?? '')
    if (!target.includes(action)) continue
    const hidden: Record<string, string> = {}
    for (const [input] of form.matchAll(/<input[^>]*type="hidden"[^>]*>/g)) {
      const name = /name="([^"]*)"/.exec(input)?.[1]
      if (name !== undefined) hidden[name] = plainText(/value="([^"]*)"/.exec(input)?.[1] ?? '')
    }
    return { target, hidden }
  }
  throw new assert.AssertionError({ message: `no form for ${action} on ${page.url.pathname} (${page.status})` })
}

function plainText(markup: string): string {
  return markup.replaceAll('&quot;', '"').replaceAll('&#39;', "'").replaceAll('&lt;', '<').replaceAll('&amp;', '&')
}
