import { type Environment, type ListenOptions, readListenOptions, required } from '../service/options.ts'

export interface AuthOptions extends ListenOptions {
  /** The `iss` of every token. A name: nobody dials it. */
  readonly issuer: string
  /** The `aud` of access tokens. */
  readonly audience: string
  /** Where the browser sees this service, such as `/auth`. */
  readonly basePath: string
  /** Hosts whose `/callback` the storefront may be called back at. */
  readonly publicHostnames: readonly string[]
  readonly signingKeysFile: string
  readonly cookieKeyFile: string
  /** A directory with one file for each confidential client, named for it. */
  readonly clientSecretsDir: string
  readonly usersFile: string
}

export function readAuthOptions(env: Environment = process.env): AuthOptions {
  return {
    ...readListenOptions(env),
    issuer: required(env, 'ISSUER'),
    audience: required(env, 'AUDIENCE'),
    basePath: required(env, 'BASE_PATH'),
    publicHostnames: required(env, 'PUBLIC_HOSTNAMES').split(','),
    signingKeysFile: required(env, 'SIGNING_KEYS_FILE'),
    cookieKeyFile: required(env, 'COOKIE_KEY_FILE'),
    clientSecretsDir: required(env, 'CLIENT_SECRETS_DIR'),
    usersFile: required(env, 'USERS_FILE'),
  }
}
