import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { ClientMetadata } from 'oidc-provider'

/** What a person's token may allow. */
export const PERSON_SCOPES = ['orders:read', 'orders:write'] as const
/** What a machine's token may allow. */
export const MACHINE_SCOPES = ['catalog:write', 'orders:read-all'] as const

/** The one client that may be called back at any of the public hosts; where exactly is `callback.ts`. */
export const STOREFRONT = 'storefront'

/**
 * Who may ask for tokens. All of them are the shop's own, so nobody is asked for consent.
 *
 * `secretsDir` holds one file for each confidential client, named for it.
 */
export async function readClients(secretsDir: string, publicHostnames: readonly string[]): Promise<ClientMetadata[]> {
  const secretOf = async (client: string) => (await readFile(join(secretsDir, client), 'utf8')).trim()
  return [
    {
      client_id: STOREFRONT,
      client_name: 'Mail & Plate',
      client_secret: await secretOf(STOREFRONT),
      redirect_uris: publicHostnames.map((host) => `https://${host}/callback`),
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
      scope: ['openid', ...PERSON_SCOPES].join(' '),
    },
    {
      // A program on the user's own machine: it can keep no secret, PKCE stands in for one (RFC 8252).
      client_id: 'shop-cli',
      client_name: 'The shop, from a terminal',
      application_type: 'native',
      token_endpoint_auth_method: 'none',
      redirect_uris: ['http://127.0.0.1/callback'],
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
      scope: ['openid', ...PERSON_SCOPES].join(' '),
    },
    {
      client_id: 'warehouse',
      client_secret: await secretOf('warehouse'),
      redirect_uris: [],
      response_types: [],
      grant_types: ['client_credentials'],
      scope: MACHINE_SCOPES.join(' '),
    },
  ]
}
