import { type Environment, type ListenOptions, readListenOptions, required, requiredUrl } from '../service/options.ts'

export interface OrdersOptions extends ListenOptions {
  readonly catalogUrl: string
  readonly paymentsUrl: string
  /** `postgres://USER@HOST:PORT/DATABASE`, without a password: the mesh tells the database who connects. */
  readonly databaseUrl: string
  readonly encryptionKeysFile: string
}

export function readOrdersOptions(env: Environment = process.env): OrdersOptions {
  return {
    ...readListenOptions(env),
    catalogUrl: requiredUrl(env, 'CATALOG_URL'),
    paymentsUrl: requiredUrl(env, 'PAYMENTS_URL'),
    databaseUrl: requiredUrl(env, 'DATABASE_URL'),
    encryptionKeysFile: required(env, 'ENCRYPTION_KEYS_FILE'),
  }
}
