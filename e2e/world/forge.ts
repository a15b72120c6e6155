import { createHmac, randomUUID } from 'node:crypto'
import { calculateJwkThumbprint, exportJWK, generateKeyPair, importJWK, type JWK, SignJWT } from 'jose'
import type { Vault } from './vault.ts'

/** A token that is not what it says it is, and in which way. */
export interface Forgery {
  readonly what: string
  readonly token: string
}

/** What forgers have: somebody's good token, and, for those tokens that are wrong in one thing only, the issuer's key. */
export interface ForgeryMaterial {
  /** A good access token. */
  readonly token: string
  /** An ID token of the same login: signed by the same key, and meant for something else. */
  readonly idToken: string
  /** The issuer's signing key. */
  readonly signingKey: JWK
}

/** Bytes of the token that is good in everything but its size. */
const BIG_TOKEN_BYTES = 10_240

/** Tokens that must all be refused: each is as good as can be, except for what it is named for (RFC 8725). */
export async function forgeTokens({ token, idToken, signingKey }: ForgeryMaterial, vault: Vault): Promise<Forgery[]> {
  const [head = '', payload = '', signature = ''] = token.split('.')
  const header = fromBase64Url(head) as { readonly alg: string; readonly typ: string; readonly kid: string }
  const claims = fromBase64Url(payload)
  const now = Math.floor(Date.now() / 1_000)
  const genuine = await importJWK(signingKey, 'ES256')
  const stranger = await generateKeyPair('ES256')
  const sign = (changes: object, key: Parameters<SignJWT['sign']>[0], named: object = {}) =>
    new SignJWT({ ...claims, jti: randomUUID(), ...changes })
      .setProtectedHeader({ ...header, ...named, alg: 'ES256' })
      .sign(key)
  const { d: _private, ...publicKey } = signingKey
  const hmacHead = toBase64Url({ ...header, alg: 'HS256' })

  const forgeries: Forgery[] = [
    { what: 'alg none', token: `${toBase64Url({ ...header, alg: 'none' })}.${payload}.` },
    { what: 'alg nOnE, signature kept', token: `${toBase64Url({ ...header, alg: 'nOnE' })}.${payload}.${signature}` },
    {
      what: 'HS256 with the public key as its secret',
      token: `${hmacHead}.${payload}.${hmac(JSON.stringify(publicKey), `${hmacHead}.${payload}`)}`,
    },
    { what: 'signed by another key under the same kid', token: await sign({}, stranger.privateKey) },
    { what: 'signed by a key nobody published', token: await unknownKeyToken(sign) },
    {
      what: 'bringing its own key in the header',
      token: await sign({}, stranger.privateKey, { jwk: await exportJWK(stranger.publicKey) }),
    },
    { what: 'for another audience', token: await sign({ aud: 'https://elsewhere.example/api' }, genuine) },
    { what: 'of another issuer', token: await sign({ iss: 'https://auth.shop.example.evil' }, genuine) },
    { what: 'expired', token: await sign({ iat: now - 900, exp: now - 600 }, genuine) },
    { what: 'without an end', token: await sign({ exp: undefined }, genuine) },
    { what: 'altered payload', token: `${head}.${toBase64Url({ ...claims, sub: 'bob' })}.${signature}` },
    { what: 'an ID token', token: idToken },
    { what: '10 KB, rightly signed', token: await sign({ filling: filling(token) }, genuine) },
  ]
  for (const { what, token: forged } of forgeries) vault.keep(`forged token, ${what}`, forged)
  return forgeries
}

/** A token that only a newer set of keys could verify: whoever sees it has a reason to ask for one. */
export async function tokenOfUnknownKey(token: string): Promise<string> {
  const [head = '', payload = ''] = token.split('.')
  return unknownKeyToken((changes, key, named) =>
    new SignJWT({ ...fromBase64Url(payload), ...changes })
      .setProtectedHeader({ ...fromBase64Url(head), ...named, alg: 'ES256' })
      .sign(key),
  )
}

type Sign = (changes: object, key: Parameters<SignJWT['sign']>[0], named: object) => Promise<string>

async function unknownKeyToken(sign: Sign): Promise<string> {
  const { privateKey, publicKey } = await generateKeyPair('ES256')
  return sign({}, privateKey, { kid: await calculateJwkThumbprint(await exportJWK(publicKey)) })
}

/** As much as makes a token of 10 KB, when base64url takes 4 characters for 3. */
function filling(token: string): string {
  return 'x'.repeat(Math.ceil(((BIG_TOKEN_BYTES - token.length) * 3) / 4))
}

function hmac(secret: string, text: string): string {
  return createHmac('sha256', secret).update(text).digest('base64url')
}

function toBase64Url(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url')
}

function fromBase64Url(text: string): Record<string, unknown> {
  return JSON.parse(Buffer.from(text, 'base64url').toString('utf8')) as Record<string, unknown>
}
