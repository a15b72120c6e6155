import type { Consideration } from '../../model/filter.ts'
import type { Facts, RequestView } from '../../model/request.ts'
import type { Denial } from '../../model/verdict.ts'
import { explainExemptions } from '../exemptions/explain.ts'
import { isNavigation, isOwnPage, isUnsafe } from './browser.ts'
import type { OidcConfig } from './config.ts'
import { Cookies } from './cookies.ts'
import { CROSS_SITE_REQUEST, LOGIN_FAILED, LOGIN_REQUIRED, LOGOUT_TOKEN_INVALID, SESSION_AND_TOKEN } from './denials.ts'
import { placeOf } from './places.ts'

const FILTER = 'oidc'

/**
 * Every exemption considered, and whether there is a session. No cookie is opened here: `facts.token` is whose session it is, by the
 * request's decision or by whoever asks "what if". A cookie that nobody has opened is none.
 */
export function explainOidc(config: OidcConfig, request: RequestView, facts: Facts): readonly Consideration[] {
  const place = placeOf(config)(request)
  if (place !== undefined) return [explainPlace(config, place, request)]
  const exempt = explainExemptions(FILTER, config, request)
  if (exempt.some(({ outcome }) => outcome === 'matched')) {
    facts.exempt = true
    delete facts.token
    const got = `${request.method} ${request.path}`
    return [...exempt, { filter: FILTER, outcome: 'allowed', field: 'exempt', expected: 'no session', got }]
  }
  return [...exempt, explainSession(config, request, facts)]
}

function explainSession(config: OidcConfig, request: RequestView, { token }: Facts): Consideration {
  const expected = `a session of ${config.issuer.name}`
  const common = { filter: FILTER, field: 'session', expected }
  const isOfSession = token?.issuer === config.issuer.name && request.header('authorization') === undefined
  if (isOfSession && request.scheme === 'https') {
    if (isUnsafe(request) && !isOwnPage(request, config.trustedOrigins)) {
      return denied(
        CROSS_SITE_REQUEST,
        'Sec-Fetch-Site',
        'same-origin',
        fromWhere(request),
        'send it from a page of this host',
      )
    }
    return { ...common, outcome: 'allowed', got: token.subject ?? token.issuer }
  }
  const hasCookie = new Cookies(config.cookieName).hasSession(request)
  if (token !== undefined && hasCookie && request.header('authorization') !== undefined) {
    return denied(SESSION_AND_TOKEN, 'authorization', 'a session or a token', 'both', 'send one of them')
  }
  const got = hasCookie ? 'a cookie that was not opened here' : 'none'
  if (!config.required) return { ...common, outcome: 'allowed', field: 'required', expected: 'false', got }
  if (request.scheme === 'https' && isNavigation(request)) {
    return { ...common, outcome: 'answered', got, change: 'log in: a browser is sent to the provider' }
  }
  return denied(LOGIN_REQUIRED, 'session', expected, got, `log in at ${config.paths.login}`)
}

function explainPlace({ paths, trustedOrigins }: OidcConfig, place: string, request: RequestView): Consideration {
  const answered: Consideration = { filter: FILTER, rule: place, outcome: 'answered', got: request.path }
  const isGet = request.method === 'GET'
  switch (place) {
    case 'callback':
      return denied(
        LOGIN_FAILED,
        'state',
        'a login that this browser began',
        'one that is not known here',
        'log in again',
      )
    case 'login':
      return request.scheme === 'https' && (isGet || request.method === 'HEAD')
        ? answered
        : denied(LOGIN_FAILED, 'method', 'GET by HTTPS', `${request.method} by ${request.scheme}`, `GET ${paths.login}`)
    case 'logout':
      return (isGet || request.method === 'POST') && isOwnPage(request, trustedOrigins)
        ? answered
        : denied(
            CROSS_SITE_REQUEST,
            'Sec-Fetch-Site',
            'same-origin',
            fromWhere(request),
            'log out from a page of this host',
          )
    default:
      return denied(LOGOUT_TOKEN_INVALID, 'logout_token', 'one by the provider', 'none that is known here')
  }
}

function fromWhere(request: RequestView): string {
  return request.header('sec-fetch-site') ?? request.header('origin') ?? 'none'
}

function denied({ name }: Denial, field: string, expected: string, got: string, change?: string): Consideration {
  return {
    filter: FILTER,
    outcome: 'denied',
    denial: name,
    field,
    expected,
    got,
    ...(change !== undefined && { change }),
  }
}
