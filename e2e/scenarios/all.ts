import { plainHttp } from './01-plain-http.ts'
import { publicCatalog } from './02-public-catalog.ts'
import { noToken } from './03-no-token.ts'
import { ownOrders } from './04-own-orders.ts'
import { machine } from './05-machine.ts'
import { otherPeoplesOrders } from './06-other-peoples-orders.ts'
import { forgedTokens } from './07-forged-tokens.ts'
import { malformedRequests } from './08-malformed-requests.ts'
import { rateLimit } from './09-rate-limit.ts'
import { identityHeaders } from './10-identity-headers.ts'
import { plaintext } from './11-plaintext.ts'
import { certificates } from './12-certificates.ts'
import { serviceToService } from './13-service-to-service.ts'
import { database } from './14-database.ts'
import { noPolicy } from './15-no-policy.ts'
import { dryRun } from './16-dry-run.ts'
import { policyEdited } from './17-policy-edited.ts'
import { brokenPolicy } from './18-broken-policy.ts'
import { databaseSession } from './19-database-session.ts'
import { operatorKilled } from './20-operator-killed.ts'
import { keyRotation } from './21-key-rotation.ts'
import { sidecarKilled } from './22-sidecar-killed.ts'
import { shortCertificates } from './23-short-certificates.ts'
import type { Scenario } from './scenario.ts'

/** In the order of the tour. Each runs alone as well. The last one judges the load of all. */
export const SCENARIOS: readonly Scenario[] = [
  plainHttp,
  publicCatalog,
  noToken,
  ownOrders,
  machine,
  otherPeoplesOrders,
  forgedTokens,
  malformedRequests,
  rateLimit,
  identityHeaders,
  plaintext,
  certificates,
  serviceToService,
  database,
  noPolicy,
  dryRun,
  policyEdited,
  brokenPolicy,
  databaseSession,
  operatorKilled,
  keyRotation,
  sidecarKilled,
  shortCertificates,
]
