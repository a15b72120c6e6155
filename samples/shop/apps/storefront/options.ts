import { type Environment, type ListenOptions, readListenOptions, required, requiredUrl } from '../service/options.ts'

export interface StorefrontOptions extends ListenOptions {
  /** The `iss` that ID tokens must have. */
  readonly issuer: string
  /** The authorization server's back channel. */
  readonly authUrl: string
  /** Where the browser finds it, on our own origin. */
  readonly authPath: string
  readonly clientId: string
  readonly clientSecretFile: string
  readonly catalogUrl: string
  readonly ordersUrl: string
}

export function readStorefrontOptions(env: Environment = process.env): StorefrontOptions {
  return {
    ...readListenOptions(env),
    issuer: required(env, 'ISSUER'),
    authUrl: requiredUrl(env, 'AUTH_URL'),
    authPath: required(env, 'AUTH_PATH'),
    clientId: required(env, 'CLIENT_ID'),
    clientSecretFile: required(env, 'CLIENT_SECRET_FILE'),
    catalogUrl: requiredUrl(env, 'CATALOG_URL'),
    ordersUrl: requiredUrl(env, 'ORDERS_URL'),
  }
}
