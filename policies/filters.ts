import type { Filter } from '../model/filter.ts'
import { apiKey } from './api-key/filter.ts'
import { authorization } from './authorization/filter.ts'
import { cors } from './cors/filter.ts'
import { externalAuthorization } from './external-authorization/filter.ts'
import { tokenExchange } from './internal-token/exchange.ts'
import { internalToken } from './internal-token/filter.ts'
import { tokenRelay } from './internal-token/relay.ts'
import { introspection } from './introspection/filter.ts'
import { jwt } from './jwt/filter.ts'
import { mtls } from './mtls/filter.ts'
import { oidc } from './oidc/filter.ts'
import { postgres } from './postgres/filter.ts'
import { rateLimit } from './rate-limit/filter.ts'
import { response } from './response/filter.ts'

/** LIST 1: every filter, in the order that a request meets them. */
export const FILTERS: readonly Filter[] = [
  response,
  mtls,
  cors,
  apiKey,
  internalToken,
  oidc,
  jwt,
  introspection,
  authorization,
  externalAuthorization,
  rateLimit,
  tokenExchange,
  tokenRelay,
  postgres,
]
