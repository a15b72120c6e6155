import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { readFile, writeFile } from 'node:fs/promises'
import { after, before, test } from 'node:test'
import { createLocalJWKSet, decodeProtectedHeader, jwtVerify } from 'jose'
import { activateKey, publishKey, retireKeys } from '../service/key-rotation.ts'
import { parseKeySet } from '../service/key-set.ts'
import type { Running } from '../service/serve.ts'
import { Browser } from '../testing/browser.ts'
import { captureLog } from '../testing/captured-log.ts'
import { eventually } from '../testing/eventually.ts'
import { type AuthSecrets, makeAuthSecrets, temporaryDirectory } from '../testing/secrets.ts'
import { startAuth } from './app.ts'

const ISSUER = 'https://auth.shop.example'
const AUDIENCE = 'https://shop.example/api'
const CLI_CALLBACK = 'http://127.0.0.1:49152/callback'
const SHOP_CALLBACK = 'https://shop.localhost:8443/callback'

const captured = captureLog()
const cleanups: (() => Promise<void>)[] = []
let secrets: AuthSecrets
let auth: Running

before(async () => {
  secrets = await makeAuthSecrets(await temporaryDirectory({ after: (fn) => cleanups.push(fn) }))
  auth = await startAuth(
    {
      host: '127.0.0.1',
      port: 0,
      logLevel: 'info',
      issuer: ISSUER,
      audience: AUDIENCE,
      basePath: '/auth',
      publicHostnames: ['shop.localhost'],
      ...secrets.files,
    },
    captured.log,
  )
})

after(async () => {
  await auth.stop()
  for (const cleanup of cleanups) await cleanup()
})

const newBrowser = () => new Browser([['/auth', auth.url]])

/** A code verifier and its S256 challenge (RFC 7636). */
function pkce() {
  const verifier = randomBytes(32).toString('base64url')
  return { verifier, challenge: createHash('sha256').update(verifier).digest('base64url') }
}

function authorizeUrl(challenge: string, changes: Readonly<Record<string, string | undefined>> = {}): string {
  const parameters: Record<string, string | undefined> = {
    client_id: 'shop-cli',
    response_type: 'code',
    redirect_uri: CLI_CALLBACK,
    scope: 'openid orders:read orders:write',
    state: 'the-state',
    code_challenge: challenge,
    code_challenge_method: 'S256',
    ...changes,
  }
  const given = Object.entries(parameters).filter((entry): entry is [string, string] => entry[1] !== undefined)
  return `/auth/authorize?${new URLSearchParams(given)}`
}

/** Logs in through the page and returns what the client is called back with. */
async function callbackFor(user: 'alice' | 'bob', url: string, browser = newBrowser()): Promise<URLSearchParams> {
  const page = await browser.open(url)
  const answer = await browser.submit(page, { user, password: secrets.passwords[user] ?? '', do: 'login' })
  assert.equal(answer.status, 303, answer.text)
  return new URL(answer.headers.get('location') ?? '').searchParams
}

async function token(
  parameters: Readonly<Record<string, string>>,
  client?: 'storefront' | 'warehouse',
): Promise<{ status: number; body: Record<string, string> }> {
  const headers = new Headers()
  if (client) {
    headers.set(
      'authorization',
      `Basic ${Buffer.from(`${client}:${secrets.clientSecrets[client]}`).toString('base64')}`,
    )
  }
  const response = await fetch(`${auth.url}/token`, { method: 'POST', headers, body: new URLSearchParams(parameters) })
  return { status: response.status, body: (await response.json()) as Record<string, string> }
}

const redeem = (code: string | null, verifier: string) =>
  token({
    grant_type: 'authorization_code',
    client_id: 'shop-cli',
    code: code ?? '',
    redirect_uri: CLI_CALLBACK,
    code_verifier: verifier,
  })

async function login(user: 'alice' | 'bob' = 'alice'): Promise<Record<string, string>> {
  const { verifier, challenge } = pkce()
  const callback = await callbackFor(user, authorizeUrl(challenge))
  const { status, body } = await redeem(callback.get('code'), verifier)
  assert.equal(status, 200, JSON.stringify(body))
  return body
}

const refresh = (refreshToken: string | undefined) =>
  token({ grant_type: 'refresh_token', client_id: 'shop-cli', refresh_token: refreshToken ?? '' })

async function publishedKeys(): Promise<{ keys: { kid: string; d?: string }[] }> {
  return (await (await fetch(`${auth.url}/jwks`)).json()) as { keys: { kid: string; d?: string }[] }
}

test('a person who logs in gets an ES256 access token for the audience, in their own name', async () => {
  const { verifier, challenge } = pkce()
  const callback = await callbackFor('alice', authorizeUrl(challenge))
  assert.equal(callback.get('state'), 'the-state')
  assert.equal(callback.get('iss'), ISSUER)

  const { body } = await redeem(callback.get('code'), verifier)
  const keys = createLocalJWKSet(await publishedKeys())
  const { payload, protectedHeader } = await jwtVerify(body.access_token ?? '', keys, {
    issuer: ISSUER,
    audience: AUDIENCE,
    typ: 'at+jwt',
    algorithms: ['ES256'],
  })
  assert.equal(payload.sub, 'alice')
  assert.equal(payload.scope, 'orders:read orders:write')
  assert.equal(payload.client_id, 'shop-cli')
  assert.equal((payload.exp ?? 0) - (payload.iat ?? 0), 300)
  assert.ok(protectedHeader.kid)
  assert.ok(body.id_token)
  assert.ok(body.refresh_token)
})

test('the login page carries no script, may be framed by nobody, and its redirects stay on the origin', async () => {
  const browser = newBrowser()
  const redirect = await browser.request(authorizeUrl(pkce().challenge))
  assert.match(redirect.headers.get('location') ?? '', /^\/auth\/interaction\//)
  const page = await browser.open(redirect.headers.get('location') ?? '')
  assert.equal(page.status, 200)
  assert.doesNotMatch(page.text, /<script|style="|\son[a-z]+=/)
  const policy = page.headers.get('content-security-policy') ?? ''
  assert.match(policy, /default-src 'none'/)
  assert.match(policy, /frame-ancestors 'none'/)
  assert.match(policy, /form-action 'self' http:\/\/127\.0\.0\.1:49152;/)
  const stylesheet = await browser.open('/auth/style.css')
  assert.equal(stylesheet.headers.get('content-type'), 'text/css; charset=utf-8')
})

test('cookies are HttpOnly, Secure and SameSite, and go to the login service only', async () => {
  const browser = newBrowser()
  await callbackFor('alice', authorizeUrl(pkce().challenge), browser)
  const session = browser.cookies.get('auth-session')
  assert.ok(session)
  assert.equal(session.path, '/auth')
  for (const cookie of browser.cookies.values()) {
    for (const attribute of ['httponly', 'secure', 'samesite=lax']) assert.ok(cookie.attributes.includes(attribute))
    assert.ok(cookie.path.startsWith('/auth'))
  }
})

test('T26: a code is refused without the verifier of its challenge', async () => {
  const { challenge } = pkce()
  const callback = await callbackFor('alice', authorizeUrl(challenge))
  const { status, body } = await redeem(callback.get('code'), pkce().verifier)
  assert.equal(status, 400)
  assert.equal(body.error, 'invalid_grant')
})

test('T26: a login without PKCE, or with a plain challenge, is refused', async () => {
  for (const changes of [
    { code_challenge: undefined, code_challenge_method: undefined },
    { code_challenge_method: 'plain' },
    { code_challenge_method: undefined },
  ]) {
    const answer = await newBrowser().open(authorizeUrl(pkce().challenge, changes))
    assert.equal(answer.status, 303)
    assert.equal(new URL(answer.headers.get('location') ?? '').searchParams.get('error'), 'invalid_request')
  }
})

test('T26: a callback elsewhere is refused on the spot, never redirected to', async () => {
  const shop = { client_id: 'storefront' }
  const elsewhere = [
    { redirect_uri: 'http://127.0.0.1:49152/callback/../elsewhere' },
    { redirect_uri: 'http://127.0.0.1.example:49152/callback' },
    { redirect_uri: 'https://127.0.0.1:49152/callback' },
    { redirect_uri: undefined },
    { ...shop, redirect_uri: 'https://evil.example/callback' },
    { ...shop, redirect_uri: 'https://shop.localhost:9999/callback' },
    { ...shop, redirect_uri: `${SHOP_CALLBACK}?next=https://evil.example` },
    { ...shop, redirect_uri: `${SHOP_CALLBACK}#fragment` },
    { ...shop, redirect_uri: 'https://shop.localhost:8443@evil.example/callback' },
    { ...shop, redirect_uri: 'http://shop.localhost:8443/callback' },
  ]
  for (const changes of elsewhere) {
    const answer = await newBrowser().open(authorizeUrl(pkce().challenge, changes))
    assert.equal(answer.status, 400, JSON.stringify(changes))
    assert.equal(answer.headers.get('location'), null)
  }
})

test('the storefront is called back at the origin that the browser is on, whatever its port', async () => {
  for (const origin of ['https://shop.localhost:8443', 'https://shop.localhost', 'https://shop.localhost:31443']) {
    const browser = new Browser([['/auth', auth.url]], origin)
    const { verifier, challenge } = pkce()
    const redirect_uri = `${origin}/callback`
    const page = await browser.open(authorizeUrl(challenge, { client_id: 'storefront', redirect_uri }))
    assert.equal(page.status, 200, page.text)
    const { action } = /action="(?<action>[^"]+)"/.exec(page.text)?.groups ?? {}
    const password = secrets.passwords.bob ?? ''
    let answer = await browser.request(action ?? '', {
      method: 'POST',
      body: new URLSearchParams({ user: 'bob', password, do: 'login' }),
    })
    answer = await browser.request(answer.headers.get('location') ?? '')
    const location = answer.headers.get('location') ?? ''
    assert.ok(location.startsWith(`${redirect_uri}?`), location)
    const { status, body } = await token(
      {
        grant_type: 'authorization_code',
        code: new URL(location).searchParams.get('code') ?? '',
        redirect_uri,
        code_verifier: verifier,
      },
      'storefront',
    )
    assert.equal(status, 200, JSON.stringify(body))
  }
})

test('T26: a code that is used twice ends what was issued for it', async () => {
  const { verifier, challenge } = pkce()
  const callback = await callbackFor('alice', authorizeUrl(challenge))
  const first = await redeem(callback.get('code'), verifier)
  assert.equal(first.status, 200)
  const second = await redeem(callback.get('code'), verifier)
  assert.equal(second.body.error, 'invalid_grant')
  assert.equal((await refresh(first.body.refresh_token)).body.error, 'invalid_grant')
})

test('T26: refresh tokens rotate, and one that is used twice ends its family', async () => {
  const first = await login()
  const second = await refresh(first.refresh_token)
  assert.equal(second.status, 200)
  assert.notEqual(second.body.refresh_token, first.refresh_token)

  const reused = await refresh(first.refresh_token)
  assert.equal(reused.body.error, 'invalid_grant')
  const child = await refresh(second.body.refresh_token)
  assert.equal(child.body.error, 'invalid_grant')
  assert.ok(captured.events('grant revoked').length > 0)
})

test('one family ends without another of the same person', async () => {
  const [one, other] = [await login(), await login()]
  await refresh(one.refresh_token)
  await refresh(one.refresh_token)
  assert.equal((await refresh(other.refresh_token)).status, 200)
})

test('a revoked refresh token is good for nothing', async () => {
  const { refresh_token } = await login()
  await fetch(`${auth.url}/token/revocation`, {
    method: 'POST',
    body: new URLSearchParams({ token: refresh_token ?? '', client_id: 'shop-cli' }),
  })
  assert.equal((await refresh(refresh_token)).body.error, 'invalid_grant')
})

test('T26: a refresh cannot ask for more than was granted', async () => {
  const { refresh_token } = await login()
  const parameters = { grant_type: 'refresh_token', client_id: 'shop-cli', refresh_token: refresh_token ?? '' }
  assert.equal((await token({ ...parameters, scope: 'catalog:write' })).body.error, 'invalid_scope')
  assert.equal((await token({ ...parameters, resource: 'https://other.example' })).body.error, 'invalid_target')
})

test('a machine gets a token in its own name by its secret', async () => {
  const { body } = await token({ grant_type: 'client_credentials', scope: 'catalog:write' }, 'warehouse')
  const keys = createLocalJWKSet(await publishedKeys())
  const { payload } = await jwtVerify(body.access_token ?? '', keys, {
    issuer: ISSUER,
    audience: AUDIENCE,
    typ: 'at+jwt',
  })
  assert.equal(payload.sub, 'warehouse')
  assert.equal(payload.scope, 'catalog:write')
  assert.equal(body.refresh_token, undefined)
})

test('a machine gets no token with a wrong secret, and no scope that is not its own', async () => {
  const wrong = await fetch(`${auth.url}/token`, {
    method: 'POST',
    headers: { authorization: `Basic ${Buffer.from('warehouse:guess').toString('base64')}` },
    body: new URLSearchParams({ grant_type: 'client_credentials' }),
  })
  assert.equal(wrong.status, 401)
  const scope = await token({ grant_type: 'client_credentials', scope: 'orders:write' }, 'warehouse')
  assert.equal(scope.body.error, 'invalid_scope')
  const grant = await token({ grant_type: 'client_credentials' }, 'storefront')
  assert.equal(grant.status, 400)
})

test('a failed login is refused, logged by name and address, and counted; the password is written nowhere', async () => {
  const browser = newBrowser()
  const page = await browser.open(authorizeUrl(pkce().challenge))
  const answer = await browser.submit(page, { user: 'alice', password: 'a-wrong-guess', do: 'login' })
  assert.equal(answer.status, 403)
  assert.match(answer.text, /Wrong user name or password/)
  assert.match(answer.text, /value="alice"/)
  assert.doesNotMatch(answer.text, /a-wrong-guess/)

  const [event] = captured.events('login failed')
  assert.deepEqual(event?.user, { name: 'alice' })
  assert.deepEqual(event?.client, { ip: '192.0.2.7' })
  const metrics = await (await fetch(`${auth.url}/metrics`)).text()
  assert.match(metrics, /^shop_auth_logins_total\{result="wrong"\} 1$/m)

  const nobody = await browser.submit(page, { user: '"><b>mallory', password: 'a-wrong-guess', do: 'login' })
  assert.equal(nobody.status, 403)
  assert.match(nobody.text, /value="&quot;&gt;&lt;b&gt;mallory"/)
  assert.doesNotMatch(captured.text(), /a-wrong-guess/)
})

test('guesses are bounded for one user from one address, and nobody else is locked out', async () => {
  const guess = async (user: string, password: string, from: string) => {
    const browser = newBrowser()
    const page = await browser.open(authorizeUrl(pkce().challenge))
    const action = /action="([^"]+)"/.exec(page.text)?.[1] ?? ''
    return browser.request(action, {
      method: 'POST',
      headers: { 'x-forwarded-for': from },
      body: new URLSearchParams({ user, password, do: 'login' }),
    })
  }
  for (let i = 0; i < 5; i++) assert.equal((await guess('bob', 'guess', '198.51.100.1')).status, 403)
  const refused = await guess('bob', secrets.passwords.bob ?? '', '198.51.100.1')
  assert.equal(refused.status, 429)
  assert.ok(Number(refused.headers.get('retry-after')) > 0)
  assert.equal((await guess('bob', secrets.passwords.bob ?? '', '198.51.100.2')).status, 303)
  assert.equal((await guess('alice', secrets.passwords.alice ?? '', '198.51.100.1')).status, 303)
})

test('a cancelled login tells the client so', async () => {
  const browser = newBrowser()
  const page = await browser.open(authorizeUrl(pkce().challenge))
  const answer = await browser.submit(page, { do: 'cancel' })
  assert.equal(new URL(answer.headers.get('location') ?? '').searchParams.get('error'), 'access_denied')
})

test('a login that another browser began cannot be finished', async () => {
  const page = await newBrowser().open(authorizeUrl(pkce().challenge))
  const thief = newBrowser()
  const answer = await thief.submit(page, { user: 'alice', password: secrets.passwords.alice ?? '', do: 'login' })
  assert.equal(answer.status, 400)
})

test('the password is asked for at every login, and another person may be the next', async () => {
  const browser = newBrowser()
  await callbackFor('alice', authorizeUrl(pkce().challenge), browser)
  const again = await browser.open(authorizeUrl(pkce().challenge))
  assert.equal(again.status, 200)
  assert.match(again.text, /type="password"/)
  const silent = await browser.open(authorizeUrl(pkce().challenge, { prompt: 'none' }))
  assert.equal(new URL(silent.headers.get('location') ?? '').searchParams.get('error'), 'login_required')
  const callback = await callbackFor('bob', authorizeUrl(pkce().challenge), browser)
  assert.ok(callback.get('code'))
})

test('F08: a key is published before it signs, and old tokens verify until it is retired', async () => {
  const file = secrets.files.signingKeysFile
  const original = parseKeySet(await readFile(file, 'utf8'))
  const issued = async () => {
    const { body } = await token({ grant_type: 'client_credentials', scope: 'catalog:write' }, 'warehouse')
    return body.access_token ?? ''
  }
  const before = await issued()
  assert.equal(decodeProtectedHeader(before).kid, original.active)

  const published = await publishKey(original)
  const next = published.keys[1]?.kid ?? ''
  await writeFile(file, JSON.stringify(published))
  await eventually(async () => assert.equal((await publishedKeys()).keys.length, 2))
  assert.equal(decodeProtectedHeader(await issued()).kid, original.active)

  await writeFile(file, JSON.stringify(activateKey(published, next)))
  await eventually(async () => assert.equal(decodeProtectedHeader(await issued()).kid, next))
  const keys = createLocalJWKSet(await publishedKeys())
  await jwtVerify(before, keys, { issuer: ISSUER })
  await jwtVerify(await issued(), keys, { issuer: ISSUER })

  // A refresh token outlives the key that was in use when it was issued.
  const { refresh_token } = await login()
  await writeFile(file, JSON.stringify(retireKeys(activateKey(published, next))))
  await eventually(async () =>
    assert.deepEqual(
      (await publishedKeys()).keys.map(({ kid }) => kid),
      [next],
    ),
  )
  assert.equal((await refresh(refresh_token)).status, 200)

  await writeFile(file, '{"active": "half a fi')
  await eventually(() =>
    assert.equal(captured.events('signing keys cannot be read, the last good ones stay').length, 1),
  )
  assert.equal(decodeProtectedHeader(await issued()).kid, next)
})

test('no private key is published', async () => {
  for (const key of (await publishedKeys()).keys) assert.equal(key.d, undefined)
})

test('T31: no token, code, secret or password is in the log', () => {
  const text = captured.text()
  assert.match(text, /token issued/)
  assert.doesNotMatch(text, /eyJ/)
  for (const secret of [...Object.values(secrets.passwords), ...Object.values(secrets.clientSecrets)]) {
    assert.equal(text.includes(secret), false)
  }
})
