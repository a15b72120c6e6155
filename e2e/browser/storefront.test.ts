import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { type BrowserContext, chromium, type Page } from 'playwright-core'
import { type OwnWorld, startOwnWorld } from '../local/own-world.ts'
import { pinOfIssuingCa } from './pinned-ca.ts'

const CHROMIUM = process.env['CHROMIUM'] ?? '/usr/bin/chromium'

/** Three parts of base64url, the first of which begins like a JSON object: a token (RFC 7515). */
const TOKEN = /eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}/

let world: OwnWorld
let profiles: string
const contexts = new Set<BrowserContext>()

before(async () => {
  profiles = await mkdtemp(join(tmpdir(), 'hauberk-browser-'))
  world = await startOwnWorld()
})

after(async () => {
  for (const context of contexts) await context.close()
  await world?.stop()
  await rm(profiles, { recursive: true, force: true })
})

async function openBrowser(...args: readonly string[]): Promise<Page> {
  const profile = await mkdtemp(join(profiles, 'profile-'))
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: CHROMIUM,
    headless: true,
    args: [...args],
    viewport: { width: 1_100, height: 900 },
  })
  contexts.add(context)
  context.setDefaultTimeout(15_000)
  return context.pages()[0] ?? (await context.newPage())
}

/** What a page's scripts could read, and what it is made of. */
async function assertNoToken(page: Page): Promise<void> {
  const seen = await page.evaluate<Readonly<Record<'local' | 'session' | 'cookie' | 'html', string>>>(
    `({ local: JSON.stringify(localStorage), session: JSON.stringify(sessionStorage), cookie: document.cookie,
      html: document.documentElement.outerHTML })`,
  )
  assert.deepEqual([seen.local, seen.session, seen.cookie], ['{}', '{}', ''], `what scripts see on ${page.url()}`)
  assert.doesNotMatch(seen.html, TOKEN)
  assert.doesNotMatch(page.url(), TOKEN)
  for (const [secret, name] of world.vault.needles()) assert.ok(!seen.html.includes(secret), `${name} in the page`)
}

describe('the storefront in a real browser', () => {
  it('is refused by a browser that does not know the mesh’s CA', async () => {
    const page = await openBrowser()
    await assert.rejects(page.goto(world.gateway.origin), /ERR_CERT_AUTHORITY_INVALID/)
  })

  it('T31: a person logs in, orders and logs out, and the browser never holds a token', async () => {
    const password = await world.secret('identity', 'auth-users', 'password-alice')
    const pin = await pinOfIssuingCa(world.gateway)
    const page = await openBrowser(`--ignore-certificate-errors-spki-list=${pin}`)
    const bodies: Promise<string>[] = []
    page.on('response', (response) => {
      if (response.status() < 300) bodies.push(response.text().catch(() => ''))
    })
    try {
      await page.goto(world.gateway.origin)
      await page.getByRole('heading', { name: 'Wear something that holds' }).waitFor()
      await assertNoToken(page)

      await page.getByRole('listitem').first().getByRole('link').click()
      const product = await page.getByRole('heading', { level: 1 }).innerText()
      await page.getByRole('link', { name: 'Sign in to order' }).click()
      await page.getByLabel('User name').fill('alice')
      await page.getByLabel('Password').fill('not her password')
      await page.getByRole('button', { name: 'Sign in' }).click()
      await page.getByText('Wrong user name or password.').waitFor()
      await page.getByLabel('Password').fill(password)
      await page.getByRole('button', { name: 'Sign in' }).click()
      await page.getByTitle('Signed in as alice').waitFor()
      await assertNoToken(page)

      await page.getByLabel('Quantity').fill('2')
      await page.getByLabel('Ship to').fill('1 Browser Lane')
      await page.getByRole('button', { name: 'Place order' }).click()
      await page.getByRole('status').waitFor()
      const order = page.getByRole('listitem').filter({ hasText: '1 Browser Lane' }).first()
      assert.match(await order.innerText(), new RegExp(`2 × ${product}`))
      await assertNoToken(page)

      const cookies = await page.context().cookies()
      const session = cookies.find(({ name }) => name === '__Host-shop')
      assert.ok(session, cookies.map(({ name }) => name).join())
      assert.equal(session.domain, 'shop.localhost', 'for this host only')
      assert.equal(session.path, '/')
      for (const { name, httpOnly, secure, sameSite, value } of cookies) {
        assert.deepEqual([httpOnly, secure, sameSite], [true, true, 'Lax'], `${name}: HttpOnly, Secure, SameSite`)
        assert.doesNotMatch(value, TOKEN)
      }

      await page.getByRole('button', { name: 'Sign out' }).click()
      await page.getByRole('link', { name: 'Sign in', exact: true }).waitFor()
      const left = (await page.context().cookies()).map(({ name }) => name)
      assert.ok(!left.includes('__Host-shop'), 'the session’s cookie is gone')
      await page.goto(`${world.gateway.origin}/orders`)
      await page.getByLabel('User name').waitFor()
      await assertNoToken(page)
      for (const body of await Promise.all(bodies)) assert.doesNotMatch(body, TOKEN)
    } catch (error) {
      const path = join(tmpdir(), `hauberk-browser-${Date.now()}.png`)
      await page.screenshot({ path, fullPage: true }).catch(() => {})
      throw new Error(`at ${page.url()}, see ${path}: ${(error as Error).message}`, { cause: error })
    }
  })
})
