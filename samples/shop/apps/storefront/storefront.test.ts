import assert from 'node:assert/strict'
import { once } from 'node:events'
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { type AddressInfo, connect, createServer as createTcpServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { decodeJwt } from 'jose'
import { startPostgres } from '../../../../cli/dev/postgres.ts'
import { startAuth } from '../auth/app.ts'
import { createCatalog } from '../catalog/app.ts'
import { startOrders } from '../orders/app.ts'
import { createPayments } from '../payments/app.ts'
import { makeAesKey } from '../service/key-rotation.ts'
import { type Running, serve } from '../service/serve.ts'
import { Browser, type Page } from '../testing/browser.ts'
import { captureLog } from '../testing/captured-log.ts'
import { eventually } from '../testing/eventually.ts'
import { type AuthSecrets, makeAuthSecrets } from '../testing/secrets.ts'
import { startStorefront } from './app.ts'

const AT = { host: '127.0.0.1', port: 0, logLevel: 'info' }
const ISSUER = 'https://auth.shop.example'

const captured = captureLog()
const cleanups: (() => unknown)[] = []
let secrets: AuthSecrets
let auth: Running
let storefront: Running
let ordersDoor: Door

/** Stands in front of orders: sees what is sent, and can answer in its place. */
interface Door {
  readonly url: string
  readonly seen: IncomingMessage[]
  /** Answers the next request itself when it returns true. */
  instead: ((req: IncomingMessage, res: ServerResponse) => boolean) | undefined
}

async function doorTo(target: string): Promise<Door> {
  const door: { -readonly [key in keyof Door]: Door[key] } = { url: '', seen: [], instead: undefined }
  const server = createServer(async (req, res) => {
    door.seen.push(req)
    const chunks: Buffer[] = []
    for await (const chunk of req) chunks.push(chunk as Buffer)
    if (door.instead?.(req, res)) return
    const headers = new Headers(Object.entries(req.headers).map(([name, value]) => [name, String(value)]))
    for (const name of ['host', 'connection', 'content-length', 'transfer-encoding']) headers.delete(name)
    const body = chunks.length ? { body: Buffer.concat(chunks) } : {}
    const answer = await fetch(target + req.url, { method: req.method ?? 'GET', headers, ...body })
    res.writeHead(answer.status, { 'content-type': answer.headers.get('content-type') ?? '' }).end(await answer.text())
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  cleanups.push(() => {
    server.close()
    server.closeAllConnections()
  })
  door.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return door
}

before(async () => {
  const directory = await mkdtemp(join(tmpdir(), 'shop-'))
  cleanups.push(() => rm(directory, { recursive: true, force: true }))
  await chmod(directory, 0o755)
  const file = async (name: string, text: string) => {
    await writeFile(join(directory, name), text, { mode: 0o600 })
    return join(directory, name)
  }
  const keep = <T extends { stop(): Promise<void> }>(running: T): T => {
    cleanups.push(() => running.stop())
    return running
  }

  const { log } = captured
  secrets = await makeAuthSecrets(directory)
  auth = await startAuth(authOptions(), log)
  cleanups.push(() => auth.stop())
  const catalog = keep(await serve(createCatalog(log), AT))
  const payments = keep(await serve(createPayments(log), AT))

  const postgres = keep(
    await startPostgres({
      dataDir: join(directory, 'data'),
      socketDir: join(directory, 'socket'),
      user: 'orders',
      database: 'orders',
      log: () => {},
    }),
  )
  const relay = createTcpServer((client) => {
    const database = connect(postgres.socketPath)
    client.pipe(database).pipe(client)
    client.on('error', () => database.destroy())
    database.on('error', () => client.destroy())
  })
  relay.listen(0, '127.0.0.1')
  await once(relay, 'listening')
  cleanups.push(() => relay.close())

  const key = makeAesKey()
  const orders = keep(
    await startOrders(
      {
        ...AT,
        catalogUrl: catalog.url,
        paymentsUrl: payments.url,
        databaseUrl: `postgres://orders@127.0.0.1:${(relay.address() as AddressInfo).port}/orders`,
        encryptionKeysFile: await file('keys.json', JSON.stringify({ active: key.kid, keys: [key] })),
      },
      log,
    ),
  )
  ordersDoor = await doorTo(orders.url)
  storefront = keep(
    await startStorefront(
      {
        ...AT,
        issuer: ISSUER,
        authUrl: auth.url,
        authPath: '/auth',
        clientId: 'storefront',
        clientSecretFile: join(secrets.files.clientSecretsDir, 'storefront'),
        catalogUrl: catalog.url,
        ordersUrl: ordersDoor.url,
      },
      log,
    ),
  )
  await eventually(async () => assert.equal((await fetch(`${orders.url}/readyz`)).status, 200))
})

after(async () => {
  for (const cleanup of cleanups.reverse()) await cleanup()
})

const authOptions = () => ({
  ...AT,
  ...secrets.files,
  issuer: ISSUER,
  audience: 'https://shop.example/api',
  basePath: '/auth',
  publicHostnames: ['shop.localhost'],
})

const newBrowser = () =>
  new Browser([
    ['/auth', auth.url],
    ['/', storefront.url],
  ])

/** Logs in through the pages; ends on the page that the person wanted. */
async function login(browser: Browser, user: 'alice' | 'bob' = 'alice', from = '/login'): Promise<Page> {
  const page = await browser.open(from)
  assert.match(page.url, /\/auth\/interaction\//)
  return browser.submit(page, { user, password: secrets.passwords[user] ?? '', do: 'login' })
}

test('anybody sees the catalog; to order one signs in', async () => {
  const browser = newBrowser()
  const page = await browser.open('/')
  assert.equal(page.status, 200)
  for (const text of ['Hauberk', '€890.00', 'Sign in']) assert.ok(page.text.includes(text), text)
  const product = await browser.open('/products/coif')
  assert.match(product.text, /Sign in to order/)
  assert.equal((await browser.open('/products/crossbow')).status, 404)
  assert.equal(browser.cookies.size, 0)
})

test('a person signs in, orders, finds the order, and signs out', async () => {
  const browser = newBrowser()
  const product = await login(browser, 'alice', '/login?return=/products/coif')
  assert.equal(product.status, 200)
  assert.equal(product.url, `${browser.origin}/products/coif`)
  assert.match(product.text, /Signed in as alice/)

  const wish = { quantity: '2', shippingAddress: '1 <Smithy> Lane', cardNumber: '4242 4242 4242 4242' }
  const placed = await browser.submit(product, wish, '/orders')
  assert.equal(placed.status, 200, placed.text)
  assert.match(placed.text, /Thank you/)
  assert.match(placed.text, /1 &lt;Smithy&gt; Lane/)
  assert.match(placed.text, /ending in 4242/)
  assert.match(placed.text, /€370\.00/)

  const again = await browser.submit(product, wish, '/orders')
  assert.equal(again.text.match(/class="card order"/g)?.length, 1, 'the same form sent twice is one order')

  const out = await browser.submit(placed, {}, '/logout')
  assert.match(out.text, /Sign in/)
  assert.equal(browser.cookies.has('__Host-shop'), false)
  assert.match((await browser.open('/orders')).url, /\/auth\/interaction\//)
})

test('the browser holds one cookie that means nothing elsewhere, and no token', async () => {
  const browser = newBrowser()
  await login(browser)
  const cookie = browser.cookies.get('__Host-shop')
  assert.ok(cookie)
  assert.equal(cookie.path, '/')
  assert.deepEqual([...cookie.attributes].sort(), ['httponly', 'samesite=lax', 'secure'])
  assert.match(cookie.value, /^[\w-]{43}$/)
  for (const path of ['/', '/orders', '/products/coif']) {
    const page = await browser.open(path)
    assert.doesNotMatch(page.text + JSON.stringify([...page.headers]), /eyJ/)
    assert.equal(page.headers.get('cache-control'), 'no-store')
  }
  for (const { value } of browser.cookies.values()) assert.doesNotMatch(value, /eyJ/)
})

test('pages carry no script, and may be framed by nobody', async () => {
  const browser = newBrowser()
  await login(browser)
  for (const path of ['/', '/orders', '/products/coif', '/nothing']) {
    const page = await browser.open(path)
    assert.doesNotMatch(page.text, /<script|style="|\son[a-z]+=|javascript:/)
    const policy = page.headers.get('content-security-policy') ?? ''
    for (const directive of ["default-src 'none'", "frame-ancestors 'none'", "form-action 'self'", "base-uri 'none'"]) {
      assert.ok(policy.includes(directive), directive)
    }
  }
  assert.equal((await browser.open('/style.css')).headers.get('content-type'), 'text/css; charset=utf-8')
})

test("the services get the person's token, and nothing that the browser made up", async () => {
  const browser = newBrowser()
  await login(browser, 'bob')
  const headers = { authorization: 'Bearer made-up', traceparent: '00-1-2-01', 'x-user': 'alice' }
  await browser.request('/orders', { headers })
  const seen = ordersDoor.seen.at(-1)
  assert.equal(seen?.url, '/users/bob/orders')
  assert.equal(decodeJwt(seen?.headers.authorization?.slice('Bearer '.length) ?? '').sub, 'bob')
  assert.equal(seen?.headers.traceparent, '00-1-2-01')
  assert.equal(seen?.headers['x-user'], undefined)
})

test('a form that another site sends is refused', async () => {
  const browser = newBrowser()
  const page = await login(browser)
  const wish = { productId: 'coif', quantity: '1', shippingAddress: 'x', cardNumber: '4242424242424242' }
  const post = (fields: Record<string, string>, headers: Record<string, string> = {}) =>
    browser.request('/orders', { method: 'POST', headers, body: new URLSearchParams(fields) })
  const csrf = /name="csrf" value="([^"]+)"/.exec(page.text)?.[1] ?? ''
  assert.equal((await post(wish)).status, 403)
  assert.equal((await post({ ...wish, csrf: 'A'.repeat(43) })).status, 403)
  assert.equal((await post({ ...wish, csrf }, { 'sec-fetch-site': 'cross-site' })).status, 403)
  assert.equal((await browser.request('/logout', { method: 'POST' })).status, 403)
  assert.equal((await post({ ...wish, csrf }, { 'sec-fetch-site': 'same-origin' })).status, 303)
})

test('T26: an answer to a login that this browser did not begin is refused', async () => {
  const victim = newBrowser()
  const attacker = newBrowser()
  const page = await attacker.open('/login')
  const { target, password } = {
    target: /action="([^"]+)"/.exec(page.text)?.[1] ?? '',
    password: secrets.passwords.bob ?? '',
  }
  let answer = await attacker.request(target, {
    method: 'POST',
    body: new URLSearchParams({ user: 'bob', password, do: 'login' }),
  })
  answer = await attacker.request(answer.headers.get('location') ?? '')
  const callback = answer.headers.get('location') ?? ''
  assert.match(callback, /\/callback\?code=/)

  assert.equal((await victim.open(callback)).status, 400)
  await victim.open('/login')
  assert.equal((await victim.open(callback)).status, 400)
  assert.equal(victim.cookies.has('__Host-shop'), false)

  const { searchParams } = new URL(callback)
  searchParams.set('iss', 'https://evil.example')
  assert.equal((await attacker.open(`/callback?${searchParams}`)).status, 400)
})

test('a session gets a new name at each login, and a name from outside is worth nothing', async () => {
  const browser = newBrowser()
  browser.cookies.set('__Host-shop', { value: 'planted', path: '/', attributes: [] })
  await login(browser)
  const first = browser.cookies.get('__Host-shop')?.value
  assert.notEqual(first, 'planted')
  await login(browser, 'bob')
  assert.notEqual(browser.cookies.get('__Host-shop')?.value, first)
  browser.cookies.set('__Host-shop', { value: first ?? '', path: '/', attributes: [] })
  assert.match((await browser.open('/orders')).url, /\/auth\/interaction\//)
})

test('a login leads to a page of the shop, wherever a link wants it to lead', async () => {
  for (const elsewhere of ['https://evil.example/', '//evil.example', '/\\evil.example', '/auth/authorize', 'orders']) {
    const browser = newBrowser()
    const page = await login(browser, 'alice', `/login?return=${encodeURIComponent(elsewhere)}`)
    assert.equal(page.url, `${browser.origin}/`)
  }
})

test('a refused token is renewed once, by one refresh however many pages wait for it', async () => {
  const browser = newBrowser()
  await login(browser)
  const old = new Set<string | undefined>()
  ordersDoor.instead = (req, res) => {
    if (old.size === 0) old.add(req.headers.authorization)
    if (!old.has(req.headers.authorization)) return false
    res.writeHead(401).end()
    return true
  }
  const issued = () => captured.events('token issued').filter(({ grant }) => grant === 'refresh_token').length
  const before = issued()
  const pages = await Promise.all([1, 2, 3, 4].map(() => browser.open('/orders')))
  ordersDoor.instead = undefined
  assert.deepEqual(
    pages.map(({ status }) => status),
    [200, 200, 200, 200],
  )
  assert.equal(issued() - before, 1)
})

test('refusals of the mesh become pages that a person understands', async () => {
  const browser = newBrowser()
  await login(browser)
  ordersDoor.instead = (_req, res) => {
    res
      .writeHead(429, { 'retry-after': '3', 'content-type': 'application/problem+json' })
      .end('{"title":"rate-limited"}')
    return true
  }
  const limited = await browser.open('/orders')
  ordersDoor.instead = undefined
  assert.equal(limited.status, 429)
  assert.equal(limited.headers.get('retry-after'), '3')
  assert.match(limited.text, /Try again in 3 s/)

  const product = await browser.open('/products/coif')
  const wish = { quantity: '1', shippingAddress: 'x', cardNumber: '4000 0000 0000 0002' }
  const declined = await browser.submit(product, wish, '/orders')
  assert.equal(declined.status, 402)
  assert.match(declined.text, /declined/)
})

test('a cancelled login is no error of the shop', async () => {
  const browser = newBrowser()
  const page = await browser.open('/login')
  const answer = await browser.submit(page, { do: 'cancel' })
  assert.equal(answer.status, 400)
  assert.match(answer.text, /You are not signed in/)
})

test('when auth has forgotten a login, the person signs in again', async () => {
  const browser = newBrowser()
  await login(browser)
  const port = Number(new URL(auth.url).port)
  await auth.stop()
  auth = await startAuth({ ...authOptions(), port }, captured.log)
  ordersDoor.instead = (_req, res) => {
    res.writeHead(401).end()
    return true
  }
  const page = await browser.open('/orders')
  ordersDoor.instead = undefined
  assert.match(page.url, /\/auth\/interaction\//)
  assert.equal(browser.cookies.has('__Host-shop'), false)
  const orders = await browser.submit(page, { user: 'alice', password: secrets.passwords.alice ?? '', do: 'login' })
  assert.equal(orders.url, `${browser.origin}/orders`)
})

test('T31: no token, session name, password or card number is in the log', async () => {
  const text = captured.text()
  assert.match(text, /order placed/)
  for (const secret of ['eyJ', '4242 4242', 'Smithy', ...Object.values(secrets.passwords)]) {
    assert.equal(text.includes(secret), false, secret)
  }
})
