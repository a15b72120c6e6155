import type { Section } from '../model/section.ts'
import { apiKeySection } from './api-key/section.ts'
import { authorizationSection } from './authorization/section.ts'
import { corsSection } from './cors/section.ts'
import { externalAuthorizationSection } from './external-authorization/section.ts'
import { tokenExchangeSection } from './internal-token/exchange-section.ts'
import { tokenRelaySection } from './internal-token/relay-section.ts'
import { internalTokenSection } from './internal-token/section.ts'
import { introspectionSection } from './introspection/section.ts'
import { jwtSection } from './jwt/section.ts'
import { mtlsSection } from './mtls/section.ts'
import { oidcSection } from './oidc/section.ts'
import { postgresSection } from './postgres/section.ts'
import { rateLimitSection } from './rate-limit/section.ts'
import { responseSection } from './response/section.ts'

/** LIST 2: every section of a policy, by the filter it configures. */
export const SECTIONS: readonly Section[] = [
  responseSection,
  mtlsSection,
  corsSection,
  apiKeySection,
  internalTokenSection,
  oidcSection,
  jwtSection,
  introspectionSection,
  authorizationSection,
  externalAuthorizationSection,
  rateLimitSection,
  tokenExchangeSection,
  tokenRelaySection,
  postgresSection,
]
