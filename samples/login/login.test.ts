import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { request } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { importJWK, SignJWT } from 'jose'
import { type LocalMesh, startLocalMesh } from '../../cli/dev/local-mesh.ts'

let state: string
let mesh: LocalMesh
let ca: Buffer

before(async () => {
  state = await mkdtemp(join(tmpdir(), 'hauberk-login-'))
  mesh = await startLocalMesh({
    files: [import.meta.dirname],
    stateDirectory: join(state, 'state'),
    httpsPort: 0,
    httpPort: 0,
  })
  ca = await readFile(mesh.caFile)
})

after(async () => {
  await mesh?.stop()
  await rm(state, { recursive: true, force: true })
})

interface Page {
  readonly url: string
  readonly status: number
  readonly body: string
  readonly location: string | undefined
}

/** What a browser is, as far as a login is concerned: cookies by path, redirects, and where a request comes from. */
class Browser {
  readonly cookies = new Map<string, { readonly value: string; readonly path: string }>()
  readonly visited: string[] = []

  get origin(): string {
    return `https://login.localhost:${mesh.httpsPort}`
  }

  send(method: string, url: string, headers: Readonly<Record<string, string>>, form?: string): Promise<Page> {
    const { pathname, search } = new URL(url, this.origin)
    this.visited.push(url)
    const cookie = [...this.cookies]
      .filter(([, { path }]) => pathname.startsWith(path))
      .map(([name, { value }]) => `${name}=${value}`)
      .join('; ')
    return new Promise((resolve, reject) => {
      const sent = request(
        {
          ...{ host: '127.0.0.1', port: mesh.httpsPort, servername: 'login.localhost', ca, agent: false },
          ...{ method, path: `${pathname}${search}` },
          headers: {
            host: `login.localhost:${mesh.httpsPort}`,
            ...(cookie !== '' && { cookie }),
            ...(form !== undefined && { 'content-type': 'application/x-www-form-urlencoded' }),
            ...headers,
          },
        },
        (response) => {
          for (const line of response.headers['set-cookie'] ?? []) this.#keep(line)
          let body = ''
          response.setEncoding('utf8').on('data', (chunk: string) => {
            body += chunk
          })
          const { location } = response.headers
          response.on('end', () => resolve({ url, status: response.statusCode ?? 0, body, location }))
          response.on('error', reject)
        },
      )
      sent.on('error', reject)
      sent.end(form)
    })
  }

  /** To a page, and wherever it leads, as long as that is at the same host. */
  async open(path: string, words: { readonly method?: string; readonly form?: string; readonly site?: string } = {}) {
    const { method = 'GET', form, site = 'none' } = words
    const headers = { 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document', 'sec-fetch-site': site }
    let page = await this.send(method, path, headers, form)
    for (let hops = 0; page.location !== undefined && hops < 10; hops++) {
      const next = new URL(page.location, new URL(page.url, this.origin))
      assert.equal(next.origin, this.origin, page.location)
      page = await this.send('GET', `${next.pathname}${next.search}`, headers)
    }
    return page
  }

  async logIn(path: string): Promise<Page> {
    const form = await this.open(path)
    assert.match(form.body, /Sign in/, `${form.status} ${form.url} ${form.body}`)
    const action = /action="([^"]+)"/.exec(form.body)?.[1] ?? ''
    const password = (await mesh.secret('login', 'auth', 'password')).trim()
    const filled = new URLSearchParams({ name: 'ann', password }).toString()
    return this.open(action, { method: 'POST', form: filled, site: 'same-origin' })
  }

  script(path: string, method = 'GET'): Promise<Page> {
    return this.send(method, path, {
      'sec-fetch-mode': 'cors',
      'sec-fetch-dest': 'empty',
      'sec-fetch-site': 'same-origin',
    })
  }

  #keep(line: string): void {
    const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(line) ?? []
    const path = /; *path=([^;]*)/i.exec(line)?.[1] ?? '/'
    const isOver = /max-age=0(;|$)/i.test(line) || /expires=Thu, 01 Jan 1970/i.test(line)
    if (isOver || value === '') this.cookies.delete(name)
    else this.cookies.set(name, { value, path })
  }
}

const ANN = 'GET /mine?a=1, token: none, cookie: none'

test('a person logs in at the gateway, and the application sees a name, and neither a token nor a cookie', async () => {
  assert.deepEqual(mesh.issues, [])
  const browser = new Browser()
  const page = await browser.logIn('/mine?a=1')
  assert.equal(page.status, 200, page.body)
  assert.match(page.body, /Hello, ann/)
  assert.ok(page.body.includes(ANN), page.body)
  assert.equal((await browser.script('/notes', 'POST')).status, 200)
  const forged = await browser.open('/notes', { method: 'POST', site: 'cross-site' })
  assert.match(forged.body, /cross-site-request/)
  const session = browser.cookies.get('__Host-hauberk')
  assert.match(session?.value ?? '', /^1:eyJ/, 'it is sealed, and one cookie')
})

test('who has no session is sent to log in if they are a page, and told so if they are not', async () => {
  const script = await new Browser().script('/mine')
  assert.equal(script.status, 401)
  assert.match(script.body, /login-required/)
  assert.match((await new Browser().open('/mine')).body, /Password/)
})

test('a logout ends the session here and at the provider', async () => {
  const browser = new Browser()
  await browser.logIn('/')
  const copy = browser.cookies.get('__Host-hauberk')
  const confirm = await browser.open('/oauth2/logout', { method: 'POST', site: 'same-origin' })
  assert.ok(confirm.url.startsWith('/id/end'), confirm.url)
  assert.equal(browser.cookies.has('__Host-hauberk'), false)
  const xsrf = /name="xsrf" value="([^"]+)"/.exec(confirm.body)?.[1] ?? ''
  const form = new URLSearchParams({ xsrf, logout: 'yes' }).toString()
  const end = await browser.open('/id/end/confirm', { method: 'POST', form, site: 'same-origin' })
  assert.match(end.body, /Password/, 'the provider sent the browser back, and nobody is logged in there any more')
  assert.ok(copy !== undefined)
  browser.cookies.set('__Host-hauberk', copy)
  assert.equal((await browser.script('/')).status, 401, 'a copy of the cookie opens nothing')
})

test('the provider ends a session by itself, with a token that it signs', async () => {
  const browser = new Browser()
  await browser.logIn('/')
  assert.equal((await browser.script('/')).status, 200)
  const { keys } = JSON.parse(await mesh.secret('login', 'auth', 'jwks.json')) as { keys: { kid: string }[] }
  const [key] = keys
  const tell = async (claims: Readonly<Record<string, unknown>>) => {
    const events = { 'http://schemas.openid.net/event/backchannel-logout': {} }
    const token = await new SignJWT({ events, jti: 'j', ...claims })
      .setProtectedHeader({ alg: 'ES256', kid: key?.kid ?? '', typ: 'logout+jwt' })
      .setIssuer('https://id.login.example')
      .setAudience('gateway')
      .setIssuedAt()
      .setExpirationTime('2m')
      .sign(await importJWK(key as never, 'ES256'))
    const form = new URLSearchParams({ logout_token: token }).toString()
    return new Browser().send('POST', '/oauth2/backchannel-logout', {}, form)
  }
  assert.equal((await tell({ sub: 'ann', nonce: 'n' })).status, 400)
  assert.equal((await browser.script('/')).status, 200)
  assert.equal((await tell({ sub: 'ann' })).status, 200)
  assert.equal((await browser.script('/')).status, 401)
})
