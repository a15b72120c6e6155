import { type Check, type Consideration, defineFilter } from '../../model/filter.ts'
import type { Facts, RequestView } from '../../model/request.ts'
import { fail, type Issue, issue, ok, type Result, under } from '../../model/result.ts'
import { CONTINUE, type Denial, type Deny, type HeaderPair, type Verdict } from '../../model/verdict.ts'
import { readWire } from '../read-wire.ts'
import { CorsConfig } from './config.ts'
import { type OriginPattern, parseOriginPattern } from './origin-pattern.ts'

/** A browser asked whether a page of another origin may make this call, and it may not. */
export const CORS_NOT_ALLOWED: Denial = {
  name: 'cors-not-allowed',
  status: 403,
  title: 'This service does not take such calls from pages of that origin.',
}

/**
 * Cross-Origin Resource Sharing (Fetch, 3.2): answers preflights, and tells browsers which pages may read a response.
 *
 * It keeps nobody out: a call from an origin that is not listed goes on, and its page does not get to read the answer.
 * Preflights are answered before user authentication, because browsers send them without credentials.
 */
export const cors = defineFilter<CorsConfig>({
  name: 'cors',
  denials: [CORS_NOT_ALLOWED],
  repeatable: true,
  tcp: false,
  decode: (wire) => readWire(CorsConfig, wire),
  compile(config) {
    const origins = parseOrigins(config)
    return origins.ok ? ok(checkOf(config, origins.value)) : origins
  },
  explain,
})

function parseOrigins({ allowOrigins, allowCredentials }: CorsConfig): Result<readonly OriginPattern[]> {
  const issues: Issue[] = []
  if (allowCredentials && allowOrigins.includes('*')) {
    issues.push(issue('credentials-for-everybody', 'allowCredentials', 'is true for every origin'))
  }
  const patterns: OriginPattern[] = []
  for (const [i, text] of allowOrigins.entries()) {
    const parsed = parseOriginPattern(text)
    if (parsed.ok) patterns.push(parsed.value)
    else issues.push(...parsed.issues.map((found) => under(`allowOrigins[${i}]`, found)))
  }
  return issues.length > 0 ? fail(...issues) : ok(patterns)
}

function checkOf(config: CorsConfig, origins: readonly OriginPattern[]): Check {
  const preflightHeaders = headersOfPreflights(config)
  const responseHeaders = headersOfResponses(config)
  /** One answer for every origin, so that it need not be named. */
  const isSame = origins.some(({ isAny }) => isAny)

  const allowOrigin = (origin: string): HeaderPair => ['access-control-allow-origin', isSame ? '*' : origin]

  return (request, facts): Verdict => {
    const origin = request.header('origin')
    const isPreflight = origin !== undefined && isPreflightRequest(request)
    if (!isSame && !isPreflight) facts.addResponseHeaders = [...(facts.addResponseHeaders ?? []), VARY_ORIGIN]
    if (origin === undefined) return CONTINUE
    const failure = failureOf(config, origins, request, origin)
    if (isPreflight) {
      if (failure !== undefined) return refused(failure)
      return {
        kind: 'answer',
        status: 204,
        headers: [allowOrigin(origin), ...preflightHeaders(request), VARY_PREFLIGHT],
      }
    }
    if (failure === undefined) {
      facts.setResponseHeaders = [...(facts.setResponseHeaders ?? []), allowOrigin(origin), ...responseHeaders]
    }
    return CONTINUE
  }
}

const VARY_ORIGIN: HeaderPair = ['vary', 'Origin']
const VARY_PREFLIGHT: HeaderPair = ['vary', 'Origin, Access-Control-Request-Method, Access-Control-Request-Headers']
const CREDENTIALS: HeaderPair = ['access-control-allow-credentials', 'true']

function headersOfPreflights(config: CorsConfig): (request: RequestView) => readonly HeaderPair[] {
  const { allowMethods, allowHeaders, allowCredentials, maxAgeSeconds } = config
  const fixed: HeaderPair[] = [['access-control-max-age', String(maxAgeSeconds)]]
  if (allowCredentials) fixed.push(CREDENTIALS)
  // With credentials `*` is a name like any other (Fetch, 4.9), so what was asked for is named.
  const named = (list: readonly string[], asked: string) =>
    list.includes('*') ? (allowCredentials ? asked : '*') : list.join(', ')
  return (request) => {
    const headers: HeaderPair[] = [
      ...fixed,
      ['access-control-allow-methods', named(allowMethods, request.header(REQUEST_METHOD) ?? '')],
    ]
    const allowed = named(allowHeaders, request.header(REQUEST_HEADERS) ?? '')
    if (allowed !== '') headers.push(['access-control-allow-headers', allowed])
    return headers
  }
}

function headersOfResponses({ allowCredentials, exposeHeaders }: CorsConfig): readonly HeaderPair[] {
  return [
    ...(allowCredentials ? [CREDENTIALS] : []),
    ...(exposeHeaders.length > 0 ? [['access-control-expose-headers', exposeHeaders.join(', ')] as const] : []),
  ]
}

const REQUEST_METHOD = 'access-control-request-method'
const REQUEST_HEADERS = 'access-control-request-headers'

function isPreflightRequest(request: RequestView): boolean {
  return request.method === 'OPTIONS' && request.header(REQUEST_METHOD) !== undefined
}

interface Failure {
  readonly field: 'allowOrigins' | 'allowMethods' | 'allowHeaders'
  readonly expected: string
  readonly got: string
}

/** What a cross-origin request has that is not listed. Only a preflight tells of methods and headers. */
function failureOf(
  { allowOrigins, allowMethods, allowHeaders }: CorsConfig,
  origins: readonly OriginPattern[],
  request: RequestView,
  origin: string,
): Failure | undefined {
  if (request.headers('origin').length !== 1 || !origins.some((pattern) => pattern.matches(origin))) {
    return { field: 'allowOrigins', expected: allowOrigins.join(', '), got: request.headers('origin').join(', ') }
  }
  if (!isPreflightRequest(request)) return undefined
  const method = request.header(REQUEST_METHOD) ?? ''
  if (!allowMethods.includes('*') && !allowMethods.includes(method)) {
    return { field: 'allowMethods', expected: allowMethods.join(', '), got: method }
  }
  const asked = (request.header(REQUEST_HEADERS) ?? '').split(',').map((name) => name.trim().toLowerCase())
  // Fetch, "CORS non-wildcard request-header name": `authorization` is never meant by `*`.
  const other = asked.find(
    (name) => name !== '' && !allowHeaders.includes(name) && (name === 'authorization' || !allowHeaders.includes('*')),
  )
  return other === undefined
    ? undefined
    : { field: 'allowHeaders', expected: allowHeaders.join(', ') || 'none', got: other }
}

function refused({ field, expected, got }: Failure): Deny {
  return { kind: 'deny', denial: CORS_NOT_ALLOWED, detail: `${field} is ${expected}; the page asked for ${got}` }
}

function explain(config: CorsConfig, request: RequestView, _: Facts): readonly Consideration[] {
  const origin = request.header('origin')
  const origins = parseOrigins(config)
  if (origin === undefined || !origins.ok) return [{ filter: 'cors', outcome: 'skipped', got: 'no Origin' }]
  const failure = failureOf(config, origins.value, request, origin)
  const isPreflight = isPreflightRequest(request)
  if (failure === undefined) return [{ filter: 'cors', outcome: isPreflight ? 'answered' : 'matched' }]
  return isPreflight
    ? [
        {
          filter: 'cors',
          ...failure,
          outcome: 'denied',
          denial: CORS_NOT_ALLOWED.name,
          change: `add ${failure.got} to cors.${failure.field}`,
        },
      ]
    : [{ filter: 'cors', ...failure, outcome: 'not-matched' }]
}
