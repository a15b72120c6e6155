import { type Environment, type ListenOptions, readListenOptions, required, requiredUrl } from '../service/options.ts'

export interface OrdersOptions extends ListenOptions {
  readonly catalogUrl: string
  readonly paymentsUrl: string
  /** `postgres://USER@HOST:PORT/DATABASE`, without a password. */
  readonly databaseUrl: string
  /** Read for each new connection. */
  readonly databasePasswordFile: string
  readonly encryptionKeysFile: string
}

export function readOrdersOptions(env: Environment = process.env): OrdersOptions {
  return {
    ...readListenOptions(env),
    catalogUrl: requiredUrl(env, 'CATALOG_URL'),
    paymentsUrl: requiredUrl(env, 'PAYMENTS_URL'),
    databaseUrl: requiredUrl(env, 'DATABASE_URL'),
    databasePasswordFile: required(env, 'DATABASE_PASSWORD_FILE'),
    encryptionKeysFile: required(env, 'ENCRYPTION_KEYS_FILE'),
  }
}
