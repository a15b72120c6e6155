import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { headerOf, jsonOf } from './answer.ts'
import type { Gateway } from './gateway.ts'
import type { Vault } from './vault.ts'
import { createVisitor } from './visitor.ts'

/** What the token endpoint gives to somebody who logged in. */
export interface Login {
  readonly accessToken: string
  readonly idToken: string
  readonly refreshToken: string
}

/** A program on the person's own machine (RFC 8252); nobody has to listen where it is called back. */
const CLIENT = 'shop-cli'
const CALLBACK = 'http://127.0.0.1:49152/callback'

/** Authorization code with PKCE (RFC 7636) through the login page, as a browser and a command-line client do it together. */
export async function login(gateway: Gateway, vault: Vault, user: string, password: string): Promise<Login> {
  const verifier = vault.keep('code verifier', randomBytes(32).toString('base64url'))
  const state = randomBytes(16).toString('base64url')
  const parameters = new URLSearchParams({
    client_id: CLIENT,
    response_type: 'code',
    redirect_uri: CALLBACK,
    scope: 'openid orders:read orders:write',
    state,
    code_challenge: createHash('sha256').update(verifier).digest('base64url'),
    code_challenge_method: 'S256',
  })
  const visitor = createVisitor(gateway)
  const page = await visitor.open(`/auth/authorize?${parameters}`)
  assert.equal(page.status, 200, `the login page: ${page.status} ${page.body.slice(0, 200)}`)
  const answer = await visitor.submit(page, '/auth/interaction/', { user, password, do: 'login' })
  for (const [name, value] of visitor.cookies) {
    // It says which login this is, as the URL does. What proves that the browser began it is the signature beside it.
    if (name !== 'auth-interaction') vault.keep(`cookie ${name}`, value)
  }
  const callback = new URL(headerOf(answer, 'location') ?? '', gateway.origin)
  assert.equal(`${callback.origin}${callback.pathname}`, CALLBACK, `${answer.status} ${answer.body.slice(0, 200)}`)
  assert.equal(callback.searchParams.get('state'), state)
  const code = vault.keep('authorization code', callback.searchParams.get('code') ?? '')

  const body = new URLSearchParams({
    grant_type: 'authorization_code',
    client_id: CLIENT,
    code,
    redirect_uri: CALLBACK,
    code_verifier: verifier,
  })
  const redeemed = await gateway.ask({ method: 'POST', path: '/auth/token', body })
  assert.equal(redeemed.status, 200, redeemed.body)
  const { access_token, id_token, refresh_token } = jsonOf(redeemed) as Readonly<Record<string, string>>
  return {
    accessToken: vault.keep(`access token of ${user}`, access_token ?? ''),
    idToken: vault.keep(`ID token of ${user}`, id_token ?? ''),
    refreshToken: vault.keep(`refresh token of ${user}`, refresh_token ?? ''),
  }
}

/** A machine's token (RFC 6749, 4.4). */
export async function clientCredentials(
  gateway: Gateway,
  vault: Vault,
  { client, secret, scope }: { readonly client: string; readonly secret: string; readonly scope: string },
): Promise<string> {
  const credential = vault.keep(`Basic credential of ${client}`, Buffer.from(`${client}:${secret}`).toString('base64'))
  const answer = await gateway.ask({
    method: 'POST',
    path: '/auth/token',
    headers: { authorization: `Basic ${credential}` },
    body: new URLSearchParams({ grant_type: 'client_credentials', scope }),
  })
  assert.equal(answer.status, 200, answer.body)
  const { access_token } = jsonOf(answer) as Readonly<Record<string, string>>
  return vault.keep(`access token of ${client}`, access_token ?? '')
}
