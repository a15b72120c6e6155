import assert from 'node:assert/strict'

/** A cookie as the browser keeps it. */
export interface Cookie {
  readonly value: string
  readonly path: string
  /** The attributes in lower case, without the path: `['httponly', 'secure', 'samesite=lax']`. */
  readonly attributes: readonly string[]
}

/** A page that was loaded. */
export interface Page {
  readonly url: string
  readonly status: number
  readonly headers: Headers
  readonly text: string
}

/**
 * Someone who uses the shop by hand: keeps cookies, follows redirects on request, fills in forms.
 *
 * It stands where the gateway stands: paths lead to services, which learn the outside host and scheme from
 * X-Forwarded-*.
 */
export class Browser {
  readonly origin: string
  readonly cookies = new Map<string, Cookie>()
  readonly #routes: readonly (readonly [prefix: string, base: string])[]

  /** `routes`: path prefix -> base URL of a service, the longest prefix first. */
  constructor(routes: readonly (readonly [string, string])[], origin = 'https://shop.localhost:8443') {
    this.#routes = routes
    this.origin = origin
  }

  /** Sends one request and keeps its cookies; redirects are not followed. */
  async request(location: string, init: RequestInit = {}): Promise<Page> {
    const url = new URL(location, this.origin)
    assert.equal(url.origin, this.origin, `the browser is sent away, to ${url}`)
    const base = this.#routes.find(([prefix]) => url.pathname === prefix || url.pathname.startsWith(prefix))?.[1]
    assert.ok(base, `no route for ${url.pathname}`)

    const headers = new Headers(init.headers)
    headers.set('x-forwarded-proto', url.protocol.slice(0, -1))
    headers.set('x-forwarded-host', url.host)
    headers.set('x-forwarded-for', headers.get('x-forwarded-for') ?? '192.0.2.7')
    if (!headers.has('accept')) headers.set('accept', 'text/html')
    const cookie = this.#cookiesFor(url.pathname)
    if (cookie) headers.set('cookie', cookie)

    const response = await fetch(base + url.pathname + url.search, { ...init, headers, redirect: 'manual' })
    for (const line of response.headers.getSetCookie()) this.#keep(line)
    return { url: url.href, status: response.status, headers: response.headers, text: await response.text() }
  }

  /** Loads a page, following redirects as long as they stay on this origin. */
  async open(location: string, init?: RequestInit): Promise<Page> {
    let page = await this.request(location, init)
    for (let hops = 0; page.status >= 300 && page.status < 400; hops++) {
      assert.ok(hops < 10, 'the redirects do not end')
      const next = new URL(page.headers.get('location') ?? '', page.url)
      if (next.origin !== this.origin) return page
      page = await this.request(next.href)
    }
    return page
  }

  /** Fills in the page's form whose action contains `action` and sends it. */
  async submit(page: Page, fields: Readonly<Record<string, string>>, action = ''): Promise<Page> {
    const { target, hidden } = findForm(page, action)
    return this.open(target, { method: 'POST', body: new URLSearchParams({ ...hidden, ...fields }) })
  }

  #keep(line: string): void {
    const [pair = '', ...rest] = line.split(';').map((part) => part.trim())
    const name = pair.slice(0, pair.indexOf('='))
    const path = rest.find((part) => /^path=/i.test(part))?.slice(5) ?? '/'
    const gone = rest.some((part) => /^max-age=0$/i.test(part) || /^expires=Thu, 01 Jan 1970/i.test(part))
    if (gone) this.cookies.delete(name)
    else {
      const attributes = rest.filter((part) => !/^path=/i.test(part)).map((part) => part.toLowerCase())
      this.cookies.set(name, { value: pair.slice(pair.indexOf('=') + 1), path, attributes })
    }
  }

  #cookiesFor(path: string): string {
    return [...this.cookies]
      .filter(([, cookie]) => path === cookie.path || path.startsWith(cookie.path.replace(/\/?$/, '/')))
      .map(([name, { value }]) => `${name}=${value}`)
      .join('; ')
  }
}

function findForm(page: Page, action: string): { target: string; hidden: Record<string, string> } {
  for (const [form] of page.text.matchAll(/<form[^>]*>[\s\S]*?<\/form>/g)) {
    const target = unescapeText(/action="([^"]*)"/.exec(form)?.[1] ?? '')
    if (!target.includes(action)) continue
    const hidden: Record<string, string> = {}
    for (const [input] of form.matchAll(/<input[^>]*type="hidden"[^>]*>/g)) {
      const name = /name="([^"]*)"/.exec(input)?.[1]
      if (name) hidden[name] = unescapeText(/value="([^"]*)"/.exec(input)?.[1] ?? '')
    }
    return { target: new URL(target, page.url).href, hidden }
  }
  throw new assert.AssertionError({ message: `no form with action ${action} on ${page.url} (${page.status})` })
}

function unescapeText(text: string): string {
  return text.replaceAll('&quot;', '"').replaceAll('&#39;', "'").replaceAll('&lt;', '<').replaceAll('&amp;', '&')
}
